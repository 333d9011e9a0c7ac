// SPDX-License-Identifier: Apache-2.0
// Holds docs/envoy-defaults.md against the descriptors of Envoy's API: each field of the messages
// that are sent to Envoy has a row there, and each row names fields that exist.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/overload/v3/overload.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace contour::envoy {
namespace {

namespace bootstrap = ::envoy::config::bootstrap::v3;
namespace cluster = ::envoy::config::cluster::v3;
namespace core = ::envoy::config::core::v3;
namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;
namespace listener = ::envoy::config::listener::v3;
namespace route = ::envoy::config::route::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using google::protobuf::Descriptor;
using Names = std::set<std::string>;

template <typename... Messages>
std::vector<const Descriptor*> Descriptors() {
  return {Messages::descriptor()...};
}

// The messages whose fields the page lists: those of which contour sends any, and those whose
// defaults matter.
std::vector<const Descriptor*> Documented() {
  return Descriptors<
      listener::Listener, listener::FilterChain, listener::FilterChainMatch,
      hcm::HttpConnectionManager, hcm::HttpConnectionManager::UpgradeConfig,
      hcm::HttpConnectionManager::HcmAccessLogOptions, hcm::HttpFilter, hcm::Rds, hcm::ScopedRoutes,
      core::HttpProtocolOptions, core::Http1ProtocolOptions, core::Http2ProtocolOptions,
      core::KeepaliveSettings, core::TcpKeepalive, route::RouteConfiguration,
      route::ScopedRouteConfiguration, route::VirtualHost, route::Route, route::RouteMatch,
      route::RouteAction, route::RouteAction::UpgradeConfig, route::RetryPolicy,
      route::WeightedCluster, route::WeightedCluster::ClusterWeight, route::DirectResponseAction,
      route::RedirectAction, ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy,
      cluster::Cluster, cluster::Cluster::CommonLbConfig, cluster::Cluster::RefreshRate,
      cluster::Cluster::EdsClusterConfig, cluster::CircuitBreakers,
      cluster::CircuitBreakers::Thresholds, cluster::UpstreamConnectionOptions, core::BindConfig,
      core::HealthCheck, core::HealthCheck::HttpHealthCheck,
      ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions,
      core::UpstreamHttpProtocolOptions, tls::DownstreamTlsContext, tls::UpstreamTlsContext,
      tls::CommonTlsContext, tls::TlsParameters, tls::CertificateValidationContext,
      bootstrap::Bootstrap, bootstrap::Admin, bootstrap::ClusterManager, core::ConfigSource,
      core::ApiConfigSource, ::envoy::config::overload::v3::OverloadManager>();
}

Names FieldsOf(const Descriptor& message, bool deprecated) {
  Names names;
  for (int i = 0; i < message.field_count(); ++i) {
    if (deprecated || !message.field(i)->options().deprecated())
      names.insert(message.field(i)->name());
  }
  return names;
}

// A message has a heading "### `full.name`"; the first column of the table below it has the names
// of its fields in back-quotes. A name that comes twice is in `twice`.
struct Page {
  std::map<std::string, Names> fields;
  std::vector<std::string> twice;
  std::vector<std::string> bad_rows;
};

Page Read(std::istream& text) {
  Page page;
  Names* fields = nullptr;
  const std::regex name("`([^`]+)`");
  for (std::string line; std::getline(text, line);) {
    std::smatch match;
    if (line.starts_with("#")) {
      fields = nullptr;
      if (line.starts_with("### ") && std::regex_search(line, match, name)) {
        if (page.fields.contains(match[1])) page.twice.push_back(match[1]);
        fields = &page.fields[match[1]];
      }
    } else if (fields != nullptr && line.starts_with("| `")) {
      if (std::count(line.begin(), line.end(), '|') != 6) page.bad_rows.push_back(line);
      const std::string first = line.substr(2, line.find('|', 2) - 2);
      for (std::sregex_iterator found(first.begin(), first.end(), name), end; found != end; ++found)
        if (!fields->insert((*found)[1]).second) page.twice.push_back((*found)[1]);
    }
  }
  return page;
}

TEST(DefaultsPage, HasEachFieldOfEachMessage) {
  std::ifstream file(CONTOUR_ENVOY_DEFAULTS_PAGE);
  const Page page = Read(file);
  EXPECT_THAT(page.twice, testing::IsEmpty());
  EXPECT_THAT(page.bad_rows, testing::IsEmpty()) << "a row has five columns";
  Names documented;
  for (const Descriptor* message : Documented()) {
    documented.insert(message->full_name());
    const auto found = page.fields.find(message->full_name());
    if (found == page.fields.end()) {
      ADD_FAILURE() << "no table for " << message->full_name();
      continue;
    }
    const Names all = FieldsOf(*message, true);
    for (const std::string& name : FieldsOf(*message, false))
      EXPECT_TRUE(found->second.contains(name)) << message->full_name() << " lacks " << name;
    for (const std::string& name : found->second)
      EXPECT_TRUE(all.contains(name)) << message->full_name() << " has no field " << name;
  }
  for (const auto& [name, fields] : page.fields)
    EXPECT_TRUE(documented.contains(name)) << "the table of " << name << " isn't checked";
}

TEST(DefaultsPage, IsReadStrictly) {
  std::istringstream text(
      "### `a.B`\n| `x`, `y` | 1 | 2 | `no` | |\n| `x` | | | | |\n| `z` | |\n## C\n| `w` | | | | "
      "|\n");
  const Page page = Read(text);
  EXPECT_THAT(page.fields, testing::ElementsAre(
                               testing::Pair("a.B", testing::UnorderedElementsAre("x", "y", "z"))));
  EXPECT_THAT(page.twice, testing::ElementsAre("x"));
  EXPECT_THAT(page.bad_rows, testing::ElementsAre("| `z` | |"));
}

}  // namespace
}  // namespace contour::envoy
