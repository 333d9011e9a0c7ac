// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/upstream_protocol.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "graph/policy/testing.h"

namespace contour::graph {
namespace {

TEST(UpstreamProtocol, NameBeatsNumberAndTheLastListWins) {
  const api::Meta meta = With({{"contour.heptio.com/upstream-protocol.h2", "80, http"},
                               {"contour.heptio.com/upstream-protocol.h2c", "http"},
                               {"contour.heptio.com/upstream-protocol.tls", "80 ,443,https"},
                               {"contour.heptio.com/upstream-protocol.quic", "90"}});
  EXPECT_EQ(UpstreamProtocol(meta, "http", 80), Protocol::kH2C);
  EXPECT_EQ(UpstreamProtocol(meta, "", 80), Protocol::kTLS);
  EXPECT_EQ(UpstreamProtocol(meta, "https", 8443), Protocol::kTLS);
  EXPECT_EQ(UpstreamProtocol(meta, "other", 90), Protocol::kHTTP1);
}

}  // namespace
}  // namespace contour::graph
