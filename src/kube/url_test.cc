// SPDX-License-Identifier: Apache-2.0

#include "kube/url.h"

#include <gtest/gtest.h>

#include <string>

#include "kube/backoff.h"
#include "kube/resources.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;

TEST(UrlTest, Split) {
  struct Case {
    const char *url, *scheme, *authority, *host, *port, *path;
  };
  for (const Case& c : {
           Case{"https://10.0.0.1:6443", "https", "10.0.0.1:6443", "10.0.0.1", "6443", ""},
           Case{"HTTPS://kubernetes/base?x=1", "https", "kubernetes", "kubernetes", "443",
                "/base?x=1"},
           Case{"http://kubernetes/", "http", "kubernetes", "kubernetes", "80", "/"},
           Case{"https://[fd00::1]:6443/a", "https", "[fd00::1]:6443", "[fd00::1]", "6443", "/a"},
           Case{"https://[fd00::1]", "https", "[fd00::1]", "[fd00::1]", "443", ""},
           Case{"10.0.0.1", "", "10.0.0.1", "10.0.0.1", "443", ""},
           Case{"", "", "", "", "443", ""},
       }) {
    const Url url = SplitUrl(c.url);
    EXPECT_EQ(url.scheme, c.scheme) << c.url;
    EXPECT_EQ(url.authority, c.authority) << c.url;
    EXPECT_EQ(url.host, c.host) << c.url;
    EXPECT_EQ(url.port, c.port) << c.url;
    EXPECT_EQ(url.path, c.path) << c.url;
  }
}

TEST(UrlTest, Encode) {
  EXPECT_EQ(UrlEncode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(UrlEncode("a b/c=d&e+%\xc3\xa4"), "a%20b%2Fc%3Dd%26e%2B%25%C3%A4");
}

TEST(ResourcesTest, Paths) {
  EXPECT_EQ(CollectionPath(api::Kind::kService, ""), "/api/v1/services");
  EXPECT_EQ(CollectionPath(api::Kind::kSecret, "default"), "/api/v1/namespaces/default/secrets");
  EXPECT_EQ(CollectionPath(api::Kind::kEndpointSlice, ""),
            "/apis/discovery.k8s.io/v1/endpointslices");
  EXPECT_EQ(CollectionPath(api::Kind::kIngress, "a"),
            "/apis/networking.k8s.io/v1/namespaces/a/ingresses");
  EXPECT_EQ(CollectionPath(api::Kind::kIngressClass, ""),
            "/apis/networking.k8s.io/v1/ingressclasses");
  EXPECT_EQ(CollectionPath(api::Kind::kTLSCertificateDelegation, ""),
            "/apis/contour.heptio.com/v1beta1/tlscertificatedelegations");
  EXPECT_EQ(ObjectPath({api::Kind::kIngressRoute, "default", "root"}),
            "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/root");
  EXPECT_EQ(CollectionPath("coordination.k8s.io/v1", "leases", "projectcontour"),
            "/apis/coordination.k8s.io/v1/namespaces/projectcontour/leases");
}

TEST(BackoffTest, DoublesWithinItsLimits) {
  Backoff backoff({100ms, 1000ms});
  for (const auto want : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms})
    EXPECT_EQ(backoff.Next(0.5), want);
  backoff.Reset();
  EXPECT_EQ(backoff.Next(0), 75ms);
  EXPECT_EQ(backoff.Next(0.999), 249ms);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.Next(0.999), 1000ms);
}

}  // namespace
}  // namespace contour::kube
