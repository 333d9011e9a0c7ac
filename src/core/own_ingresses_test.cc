// SPDX-License-Identifier: Apache-2.0

#include "core/own_ingresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "api/ingress.h"
#include "api/ingress_class.h"
#include "graph/kinds/kinds.h"

namespace contour::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OwnIngressesTest : public ::testing::Test {
 protected:
  static api::Change Ingress(const std::string& name, std::optional<std::string> class_name) {
    auto ingress = std::make_shared<api::Ingress>();
    ingress->meta.ns = "default";
    ingress->meta.name = name;
    ingress->spec.ingress_class_name = std::move(class_name);
    return {ingress->Ref(), ingress};
  }
  static api::Change IngressClass(const std::string& name, const std::string& controller) {
    auto object = std::make_shared<api::IngressClass>();
    object->meta.name = name;
    object->controller = controller;
    return {object->Ref(), object};
  }
  std::vector<std::string> Apply(const std::vector<api::Change>& changes) {
    engine_.Apply(changes);
    std::vector<std::string> shown;
    for (const auto& [ref, ours] : ingresses_.Apply(changes, engine_, options_)) {
      shown.push_back(ref.name + (ours ? " ours" : " not ours"));
    }
    return shown;
  }

  graph::Options options_;
  graph::Engine engine_{options_, graph::Kinds()};
  OwnIngresses ingresses_;
};

// None of these has a host, since it doesn't matter for whose an Ingress is.
TEST_F(OwnIngressesTest, ComeChangeAndGo) {
  EXPECT_THAT(Apply({Ingress("b", {}), Ingress("a", "contour"), Ingress("c", "nginx")}),
              ElementsAre("a ours", "b ours"));
  EXPECT_THAT(Apply({Ingress("a", "contour")}), IsEmpty());
  EXPECT_THAT(Apply({Ingress("a", "nginx"), Ingress("c", "contour")}),
              ElementsAre("a not ours", "c ours"));
  EXPECT_THAT(Apply({{Ingress("c", {}).ref, nullptr}, {Ingress("a", {}).ref, nullptr}}),
              ElementsAre("c not ours"));
}

TEST_F(OwnIngressesTest, FollowIngressClasses) {
  Apply({Ingress("a", "fast"), Ingress("b", "contour")});
  EXPECT_THAT(Apply({IngressClass("fast", graph::kIngressController)}), ElementsAre("a ours"));
  EXPECT_THAT(Apply({IngressClass("contour", "example.com/other")}), ElementsAre("b not ours"));
  EXPECT_THAT(
      Apply({{IngressClass("contour", "").ref, nullptr}, {IngressClass("fast", "").ref, nullptr}}),
      ElementsAre("a not ours", "b ours"));
}

}  // namespace
}  // namespace contour::core
