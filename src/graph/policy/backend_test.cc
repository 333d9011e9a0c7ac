// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "api/service.h"
#include "base/status.h"
#include "graph/kinds/kinds.h"

namespace contour::graph {
namespace {

using ::testing::HasSubstr;

class LookupBackendTest : public ::testing::Test {
 protected:
  api::Service& Add(const std::string& name) {
    auto service = std::make_shared<api::Service>();
    service->meta.ns = "default";
    service->meta.name = name;
    service->spec.ports = {{"dns", 53, "UDP"}, {"http", 8080, "TCP"}, {"https", 8443, "TCP"}};
    objects_.push_back(service);
    return *service;
  }

  absl::StatusOr<Cluster> Lookup(const std::string& name, const PortReference& port,
                                 Use use = Use::kHTTP) {
    for (const auto& object : objects_) store_.Apply({object->Ref(), object});
    Reader reader(store_);
    return LookupBackend({"default", name, port, use}, reader, options_);
  }

  Options options_;
  Store store_{options_, Kinds()};
  std::vector<std::shared_ptr<api::Service>> objects_;
};

TEST_F(LookupBackendTest, FindsByNumberNameAndNumericText) {
  Add("kuard");
  for (const PortReference& port :
       {PortReference{8080, ""}, PortReference{0, "http"}, PortReference{0, "8080"}}) {
    const absl::StatusOr<Cluster> cluster = Lookup("kuard", port);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    EXPECT_EQ(cluster->port, 8080);
    EXPECT_EQ(cluster->port_name, "http");
  }
}

TEST_F(LookupBackendTest, SaysWhatIsMissing) {
  Add("kuard");
  EXPECT_THAT(std::string(Message(Lookup("nobody", {80, ""}).status())),
              HasSubstr("default/nobody not found"));
  EXPECT_THAT(std::string(Message(Lookup("kuard", {9999, ""}).status())),
              HasSubstr("no TCP port 9999"));
  EXPECT_FALSE(Lookup("kuard", {53, ""}).ok()) << "UDP";
  EXPECT_FALSE(Lookup("kuard", {0, ""}).ok());
}

TEST_F(LookupBackendTest, TakesProtocolAndLimitsFromAnnotations) {
  Add("kuard").meta.annotations = {{"contour.heptio.com/max-connections", "9"},
                                   {"contour.heptio.com/max-pending-requests", "-10"},
                                   {"contour.heptio.com/max-requests", "1e6"},
                                   {"contour.heptio.com/max-retries", "99999999999"},
                                   {"contour.heptio.com/per-host-max-connections", "5"},
                                   {"contour.heptio.com/upstream-protocol.h2", "8443, http"},
                                   {"contour.heptio.com/upstream-protocol.tls", "https"}};
  const absl::StatusOr<Cluster> http = Lookup("kuard", {8080, ""});
  ASSERT_TRUE(http.ok());
  EXPECT_EQ(http->circuit_breakers,
            (CircuitBreakers{.max_connections = 9, .max_retries = 2147483647}));
  EXPECT_EQ(http->protocol, Protocol::kH2);
  EXPECT_EQ(Lookup("kuard", {8443, ""})->protocol, Protocol::kTLS) << "by name beats by number";
  const absl::StatusOr<Cluster> tcp = Lookup("kuard", {8443, ""}, Use::kTCP);
  EXPECT_EQ(tcp->protocol, Protocol::kHTTP1);
  EXPECT_TRUE(tcp->plain_tcp) << "must not share the cluster of HTTP users";
  EXPECT_FALSE(http->plain_tcp);
}

TEST_F(LookupBackendTest, RefusesExternalNamesThatLeadBack) {
  api::Service& service = Add("outside");
  service.spec.type = "ExternalName";
  service.spec.external_name = "example.com";
  EXPECT_EQ(Lookup("outside", {8080, ""})->external_name, "example.com");
  options_.external_name_services = false;
  EXPECT_THAT(std::string(Message(Lookup("outside", {8080, ""}).status())),
              HasSubstr("enableExternalNameService"));
}

TEST(ExternalNamePermitted, Table) {
  for (const char* name :
       {"example.com", "10.0.0.1", "contour.example.com", "2001:db8::1", "localhost1.com"}) {
    EXPECT_TRUE(ExternalNamePermitted(name, "heptio-contour")) << name;
  }
  for (const char* name : {"",
                           ".",
                           "localhost",
                           "LOCALHOST.",
                           "a.localhost",
                           "localhost.localdomain",
                           "127.0.0.1",
                           "127.1",
                           "2130706433",
                           "0x7f.1",
                           "0177.0.0.1",
                           "0.0.0.0",
                           "169.254.169.254",
                           "::1",
                           "[::1]",
                           "::",
                           "fe80::1%eth0",
                           "::ffff:127.0.0.1",
                           "contour.heptio-contour",
                           "envoy.heptio-contour.svc.cluster.local",
                           "contour.heptio-contour.svc."}) {
    EXPECT_FALSE(ExternalNamePermitted(name, "heptio-contour")) << name;
  }
}

}  // namespace
}  // namespace contour::graph
