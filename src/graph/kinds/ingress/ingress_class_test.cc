// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingress/ingress_class.h"

#include <gtest/gtest.h>

#include "api/ingress.h"
#include "api/ingress_class.h"

namespace contour::graph::ingress {
namespace {

struct Case {
  const char* name;
  std::optional<std::string> annotation;
  std::optional<std::string> class_name;
  std::optional<std::string> controller;  // of the object of that class; nullopt: no object
  std::optional<std::string> configured;
  bool ours;
};

class IngressClassTest : public ::testing::TestWithParam<Case> {};

TEST_P(IngressClassTest, Table) {
  const Case& c = GetParam();
  api::Ingress ingress;
  if (c.annotation) ingress.meta.annotations = {{"kubernetes.io/ingress.class", *c.annotation}};
  ingress.spec.ingress_class_name = c.class_name;
  api::IngressClass object;
  object.controller = c.controller.value_or("");
  Options options;
  options.ingress_class = c.configured;
  EXPECT_EQ(IsOurs(ingress, c.controller ? &object : nullptr, options), c.ours);
  EXPECT_EQ(NamedClass(ingress), c.annotation ? std::nullopt : c.class_name);
}

const char* const kOurs = kIngressController;
const char* const kOther = "example.com/other";

INSTANTIATE_TEST_SUITE_P(
    Spec, IngressClassTest,
    testing::Values(Case{"nothing", {}, {}, {}, {}, true},
                    Case{"annotation", "contour", {}, {}, {}, true},
                    Case{"annotation_of_another", "nginx", {}, {}, {}, false},
                    Case{"annotation_configured", "mine", {}, {}, "mine", true},
                    Case{"annotation_goes_first", "contour", "nginx", kOther, {}, true},
                    Case{"foreign_annotation_goes_first", "nginx", "contour", kOurs, {}, false},
                    Case{"name_without_object", {}, "contour", {}, {}, true},
                    Case{"name_of_another_controller", {}, "contour", kOther, {}, false},
                    Case{"another_name", {}, "other", {}, {}, false},
                    Case{"another_name_of_our_controller", {}, "other", kOurs, {}, true},
                    Case{"another_name_while_configured", {}, "other", kOurs, "mine", false},
                    Case{"configured_name", {}, "mine", kOurs, "mine", true}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace contour::graph::ingress
