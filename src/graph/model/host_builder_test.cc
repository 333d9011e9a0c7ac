// SPDX-License-Identifier: Apache-2.0

#include "graph/model/host_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace contour::graph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Route To(const std::string& prefix) {
  return {{{PathMatch::Type::kPrefix, prefix}}, false, DirectResponse{503}};
}

TCPProxy Proxy() { return {{{std::make_shared<const Cluster>(), 0}}}; }

std::vector<std::string> Prefixes(const ListenerHost& served) {
  std::vector<std::string> prefixes;
  for (const Route& route : served.routes) prefixes.push_back(route.match.path.value);
  return prefixes;
}

TEST(HostBuilder, IsNothingWithoutWhatAListenerServes) {
  HostBuilder builder("a.example");
  builder.AddRoute(kHTTPSListener, To("/"));
  EXPECT_EQ(std::move(builder).Build(), nullptr) << "a listener with TLS needs a secret";
}

TEST(HostBuilder, AThirdListenerIsData) {
  constexpr ListenerKey kOther{8443, ListenerKey::Protocol::kHTTPS};
  constexpr ListenerKey kBytes{5432, ListenerKey::Protocol::kHTTP};
  HostBuilder builder("a.example");
  builder.SetSecure(kOther, std::make_shared<const ServingSecret>(), TLSVersion::k1_3);
  builder.SetTCPProxy(kBytes, Proxy(), false);
  builder.AddRoute(kOther, To("/other"));
  builder.AddRoute(kHTTPListener, To("/a"));
  builder.AddRoute(kHTTPListener, To("/b"));
  const VirtualHostPtr host = std::move(builder).Build();
  ASSERT_NE(host, nullptr);
  ASSERT_EQ(host->listeners.size(), 3U);
  EXPECT_EQ(host->listeners[0].listener, kHTTPListener);
  EXPECT_THAT(Prefixes(host->listeners[0]), ElementsAre("/b", "/a"));
  EXPECT_EQ(host->listeners[1].listener, kBytes) << "a TCP listener needs no host and no route";
  EXPECT_TRUE(host->listeners[1].tcp_proxy);
  EXPECT_THAT(host->listeners[1].routes, IsEmpty());
  EXPECT_EQ(host->listeners[2].listener, kOther);
  EXPECT_THAT(Prefixes(host->listeners[2]), ElementsAre("/other"));
  EXPECT_EQ(host->listeners[2].minimum_version, TLSVersion::k1_3);
  EXPECT_EQ(host->Find(kHTTPSListener), nullptr);
}

}  // namespace
}  // namespace contour::graph
