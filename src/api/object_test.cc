// SPDX-License-Identifier: Apache-2.0

#include "api/object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/endpoints.h"
#include "api/ingress_class.h"
#include "api/service.h"

namespace contour::api {
namespace {

TEST(Kind, NamesAndVersions) {
  EXPECT_EQ(KindName(Kind::kService), "Service");
  EXPECT_EQ(KindName(Kind::kEndpoints), "Endpoints");
  EXPECT_EQ(KindName(Kind::kEndpointSlice), "EndpointSlice");
  EXPECT_EQ(KindName(Kind::kSecret), "Secret");
  EXPECT_EQ(KindName(Kind::kIngress), "Ingress");
  EXPECT_EQ(KindName(Kind::kIngressClass), "IngressClass");
  EXPECT_EQ(KindName(Kind::kIngressRoute), "IngressRoute");
  EXPECT_EQ(KindName(Kind::kTLSCertificateDelegation), "TLSCertificateDelegation");
  EXPECT_EQ(ApiVersion(Kind::kEndpointSlice), "discovery.k8s.io/v1");
  EXPECT_EQ(ApiVersion(Kind::kTLSCertificateDelegation), "contour.heptio.com/v1beta1");
  for (int i = 0; i < kKindCount; ++i) {
    EXPECT_EQ(IsNamespaced(Kind(i)), Kind(i) != Kind::kIngressClass) << KindName(Kind(i));
  }
}

TEST(ObjectRef, StringAndOrder) {
  const ObjectRef service = {Kind::kService, "default", "kuard"};
  EXPECT_EQ(service.String(), "Service default/kuard");
  EXPECT_EQ((ObjectRef{Kind::kIngressClass, "", "contour"}).String(), "IngressClass contour");
  EXPECT_LT(service, (ObjectRef{Kind::kService, "default", "kuarda"}));
  EXPECT_LT(service, (ObjectRef{Kind::kEndpoints, "a", "a"}));
}

TEST(Object, AsAsksForTheKind) {
  const Service service;
  const Object* object = &service;
  EXPECT_EQ(As<Service>(object), &service);
  EXPECT_EQ(As<Endpoints>(object), nullptr);
  EXPECT_EQ(As<Service>(static_cast<const Object*>(nullptr)), nullptr);
}

TEST(Object, AnotherKindHasAnotherMeaning) {
  EXPECT_FALSE(SameMeaning(Service(), Endpoints()));
  EXPECT_FALSE(SameStatus(Service(), Endpoints()));
}

TEST(Meta, FindAnnotation) {
  Meta meta;
  meta.annotations = {{"a", "1"}, {"b", "2"}, {"d", "4"}};
  EXPECT_EQ(*meta.FindAnnotation("a"), "1");
  EXPECT_EQ(*meta.FindAnnotation("d"), "4");
  EXPECT_EQ(meta.FindAnnotation("c"), nullptr);
  EXPECT_EQ(meta.FindAnnotation("e"), nullptr);
  EXPECT_EQ(Meta().FindAnnotation("a"), nullptr);
}

TEST(IsReadAnnotation, Table) {
  for (const char* key :
       {"contour.heptio.com/ingress.class", "kubernetes.io/ingress.class",
        "ingress.kubernetes.io/force-ssl-redirect", "kubernetes.io/ingress.allow-http",
        "contour.heptio.com/upstream-protocol.h2", "projectcontour.io/tls-cert-namespace",
        "projectcontour.io/num-retries", "ingressclass.kubernetes.io/is-default-class"}) {
    EXPECT_TRUE(IsReadAnnotation(key)) << key;
  }
  for (const char* key :
       {"", "kubectl.kubernetes.io/last-applied-configuration", "contour.heptio.com",
        "kubernetes.io/ingress.classes", "nginx.ingress.kubernetes.io/rewrite-target"}) {
    EXPECT_FALSE(IsReadAnnotation(key)) << key;
  }
}

}  // namespace
}  // namespace contour::api
