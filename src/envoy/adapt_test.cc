// SPDX-License-Identifier: Apache-2.0
#include "envoy/adapt.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "envoy/cluster.h"
#include "envoy/listener.h"
#include "envoy/testing.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/host.h"

namespace contour::envoy {
namespace {

graph::VirtualHost SecureHost() {
  graph::VirtualHost host;
  host.host = "foo.com";
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>(
      graph::ServingSecret{"default", "tls", "c", "k"});
  return host;
}

std::string ListenerBytes(ConfigSource source) {
  const ListenerOptions options{.config_source = source};
  std::string bytes = HTTPSListenerHead(options).bytes;
  AppendPart(kFilterChainsField, TranslateFilterChain(SecureHost(), options)->bytes, &bytes);
  return bytes;
}

// An adapted message equals one that is translated for that xDS mode.
TEST(Adapt, EqualsTheTranslationForTheMode) {
  const graph::Cluster cluster = TestCluster();
  const std::string for_ads = TranslateCluster(cluster, ConfigSource::kAds).resource.bytes;
  for (const ConfigSource source : {ConfigSource::kGrpc, ConfigSource::kDeltaGrpc}) {
    EXPECT_EQ(AdaptCluster(for_ads, source), TranslateCluster(cluster, source).resource.bytes);
    // Adapting the right side to the mode that it has only puts its fields in the order of their
    // numbers.
    EXPECT_EQ(AdaptListener(ListenerBytes(ConfigSource::kAds), source),
              AdaptListener(ListenerBytes(source), source));
    EXPECT_EQ(AdaptListener(HTTPListener({}).bytes, source),
              HTTPListener({.config_source = source}).bytes);
    const ListenerOptions sharded{.config_source = source, .delivery = Delivery::kSharded};
    EXPECT_EQ(AdaptListener(HTTPListener({.delivery = Delivery::kSharded}).bytes, source),
              HTTPListener(sharded).bytes);
    const ListenerOptions https{.config_source = source, .delivery = Delivery::kShardedHTTPS};
    const auto shared = [](const ListenerOptions& options) {
      std::string bytes = HTTPSListenerHead(options).bytes;
      AppendPart(kFilterChainsField, SharedFilterChain(options, {}).bytes, &bytes);
      return bytes;
    };
    EXPECT_EQ(AdaptListener(shared({.delivery = Delivery::kShardedHTTPS}), source),
              AdaptListener(shared(https), source));
    EXPECT_NE(shared(https), shared({.delivery = Delivery::kShardedHTTPS}));
    EXPECT_EQ(AdaptListener(CertificatesListener("x", {"a"}, {}).bytes, source),
              AdaptListener(CertificatesListener("x", {"a"}, https).bytes, source));
    EXPECT_EQ(AdaptListener(StatsListener({}).bytes, source), StatsListener({}).bytes);
  }
}

TEST(Adapt, LeavesOtherThingsAlone) {
  graph::Cluster external = TestCluster();
  external.external_name = "example.com";
  const std::string bytes = TranslateCluster(external, ConfigSource::kAds).resource.bytes;
  EXPECT_EQ(AdaptCluster(bytes, ConfigSource::kGrpc), bytes);
  EXPECT_EQ(AdaptCluster("\xff\xff", ConfigSource::kGrpc), "\xff\xff");
  EXPECT_EQ(AdaptListener("\xff\xff", ConfigSource::kGrpc), "\xff\xff");
}

}  // namespace
}  // namespace contour::envoy
