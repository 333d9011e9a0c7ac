// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/upstream_protocol.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace contour::graph {
namespace {

api::Meta With(std::vector<std::pair<std::string, std::string>> annotations) {
  api::Meta meta;
  meta.annotations = std::move(annotations);
  std::sort(meta.annotations.begin(), meta.annotations.end());
  return meta;
}

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
