// SPDX-License-Identifier: Apache-2.0
// Measures what one changed object costs in this room: translation of a host, a cluster, an
// assignment.

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <memory>
#include <string>

#include "envoy/cluster.h"
#include "envoy/endpoints.h"
#include "envoy/listener.h"
#include "envoy/names.h"
#include "envoy/route.h"
#include "envoy/testing.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/endpoints.h"
#include "graph/model/host.h"
#include "graph/model/route.h"

namespace contour::envoy {
namespace {

graph::VirtualHost Host(std::int64_t routes) {
  graph::VirtualHost host;
  host.host = "www.example.com";
  for (std::int64_t i = 0; i < routes; ++i) {
    graph::Route route;
    route.match.path.value = fmt::format("/path-{}", i);
    graph::RouteAction action;
    action.clusters = {Weighted(fmt::format("service-{}", i))};
    route.action = action;
    host.At(graph::kHTTPListener).routes.push_back(route);
  }
  host.At(graph::kHTTPSListener).routes = host.Find(graph::kHTTPListener)->routes;
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>(
      graph::ServingSecret{"default", "secret", "", ""});
  return host;
}

void BM_VirtualHost(benchmark::State& state) {  // both sides
  const graph::VirtualHost host = Host(state.range(0));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const VirtualHostResources got = TranslateVirtualHost(host, {});
    bytes = got.http->bytes.size();
    benchmark::DoNotOptimize(bytes);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_VirtualHost)->Arg(1)->Arg(10)->Arg(100)->Unit(benchmark::kMicrosecond);

void BM_FilterChain(benchmark::State& state) {
  const graph::VirtualHost host = Host(1);
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = TranslateFilterChain(host, {})->bytes.size();
    benchmark::DoNotOptimize(bytes);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_FilterChain)->Unit(benchmark::kMicrosecond);

void BM_Cluster(benchmark::State& state) {
  const graph::Cluster cluster = TestCluster();
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes =
        TranslateCluster(cluster, ClusterName(cluster), ConfigSource::kAds).resource.bytes.size();
    benchmark::DoNotOptimize(bytes);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_Cluster)->Unit(benchmark::kMicrosecond);

void BM_ClusterName(benchmark::State& state) {
  const graph::Cluster cluster = TestCluster();
  for (auto _ : state) benchmark::DoNotOptimize(ClusterName(cluster));
}
BENCHMARK(BM_ClusterName)->Unit(benchmark::kMicrosecond);

void BM_Assignment(benchmark::State& state) {
  graph::Assignment assignment{"default", "kuard", "http", {}};
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    assignment.addresses.push_back(
        {fmt::format("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255), 8080});
  }
  std::size_t bytes = 0;
  for (auto _ : state) {
    bytes = TranslateAssignment(assignment).bytes.size();
    benchmark::DoNotOptimize(bytes);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_Assignment)->Arg(1)->Arg(100)->Arg(10000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace contour::envoy
