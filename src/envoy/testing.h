// SPDX-License-Identifier: Apache-2.0
// Helpers of this room's tests, which compare serialized messages with protobuf's text format.
//
//   EXPECT_EQ(Difference<Cluster>(resource.bytes, R"(name: "x" …)"), "");

#pragma once

#include <google/protobuf/text_format.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "envoy/cluster.h"
#include "graph/model/cluster.h"
#include "graph/policy/load_balancing.h"

namespace contour::envoy {

// Returns "" if `bytes` is the message that `text` describes, else the differences.
template <typename T>
std::string Difference(const std::string& bytes, const std::string& text) {
  T got;
  T want;
  if (!got.ParseFromString(bytes)) return "the bytes don't parse";
  if (!google::protobuf::TextFormat::ParseFromString(text, &want))
    return "the expectation doesn't parse";
  google::protobuf::util::MessageDifferencer differencer;
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(want, got)) return "";
  return report + "\ngot:\n" + got.DebugString();
}

// The numbers of the repeated fields that are filled part by part.
inline constexpr int kVirtualHostsField = 2;  // of RouteConfiguration
inline constexpr int kFilterChainsField = 3;  // of Listener

// Appends one element of the repeated message field `field` to the serialised message `bytes`.
inline void AppendPart(int field, std::string_view part, std::string* bytes) {
  google::protobuf::UnknownFieldSet fields;
  fields.AddLengthDelimited(field, std::string(part));
  std::string element;
  fields.SerializeToString(&element);
  *bytes += element;
}

// The options that AddKeepalive() adds, in the text format: SO_KEEPALIVE, TCP_KEEPIDLE,
// TCP_KEEPINTVL and TCP_KEEPCNT.
inline constexpr const char* kKeepalive = R"(
  socket_options { level: 1 name: 9 int_value: 1 }
  socket_options { level: 6 name: 4 int_value: 120 }
  socket_options { level: 6 name: 5 int_value: 30 }
  socket_options { level: 6 name: 6 int_value: 6 })";

// Returns the cluster `default/<service>/80/da39a3ee5e`.
inline graph::Cluster TestCluster(std::string service = "kuard") {
  graph::Cluster cluster;
  cluster.ns = "default";
  cluster.service = std::move(service);
  cluster.port = 80;
  return cluster;
}

// Translates a cluster that has its plain name.
inline ClusterResource TranslateCluster(const graph::Cluster& cluster, ConfigSource source) {
  return TranslateCluster(cluster, ClusterName(cluster), source);
}

inline graph::WeightedCluster Weighted(const std::string& service, std::uint32_t weight = 0,
                                       const std::string& strategy = "") {
  graph::Cluster cluster = TestCluster(service);
  cluster.load_balancing = graph::ParseLoadBalancing({strategy});
  return {std::make_shared<const graph::Cluster>(std::move(cluster)), weight};
}

}  // namespace contour::envoy
