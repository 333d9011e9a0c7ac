// SPDX-License-Identifier: Apache-2.0

#include "api/ingress_class.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

constexpr char kFull[] = R"({
  "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
  "metadata": {"name": "contour", "namespace": "ignored",
               "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
  "spec": {"controller": "projectcontour.io/ingress-controller"}
})";

TEST(IngressClass, ReadsEveryField) {
  const IngressClass ingress_class = ParseAs<IngressClass>(kFull);
  EXPECT_EQ(ingress_class.Ref().String(), "IngressClass contour") << "cluster-wide";
  EXPECT_EQ(ingress_class.controller, "projectcontour.io/ingress-controller");
  EXPECT_TRUE(ingress_class.is_default);
}

TEST(IngressClass, IsDefaultOnlyIfTrue) {
  EXPECT_FALSE(ParseAs<IngressClass>(Edited(kFull, {R"("true")", R"("True")"})).is_default);
  EXPECT_FALSE(ParseAs<IngressClass>(Edited(kFull, {R"("true")", "null"})).is_default);
}

TEST(IngressClass, Meaning) {
  ExpectMeanings<IngressClass>(
      kFull, {{R"("true")", R"("false")"}, {"projectcontour.io/", "example.com/"}}, {},
      {{"ignored", "x"}});
}

TEST(IngressClass, Refuses) {
  ExpectRefusals(kFull,
                 {{{R"("projectcontour.io/ingress-controller")", "1"},
                   "IngressClass contour: spec.controller: expected a string, got an integer"}});
}

}  // namespace
}  // namespace contour::api
