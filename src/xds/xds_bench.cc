// SPDX-License-Identifier: Apache-2.0
// Measures what a change costs, by the number of resources that don't change. The times of one
// change must not grow with it.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "xds/session/session.h"
#include "xds/snapshot/snapshot.h"
#include "xds/wire/encoder.h"

namespace contour::xds {
namespace {

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kRDS = ResourceType::kRoutes;

std::string Name(std::int64_t i) {
  return "default/service-" + std::to_string(i) + "/80/da39a3ee5e";
}
std::string Host(std::int64_t i) { return "host-" + std::to_string(i) + ".example.com"; }

Resource MakeCluster(std::int64_t i, std::int64_t content = 0) {
  Resource cluster{.name = Name(i),
                   .bytes = Name(i) + std::string(200, 'c') + std::to_string(content)};
  cluster.warm_by = WarmBy::kAssignment;
  cluster.assignment = Name(i);
  return cluster;
}
Resource MakeEndpoints(std::int64_t i, std::int64_t content = 0) {
  return {.name = Name(i), .bytes = Name(i) + std::string(100, 'e') + std::to_string(content)};
}
Part MakeHost(std::int64_t i, std::int64_t content = 0) {
  return {.name = Host(i),
          .bytes = Host(i) + std::string(250, 'h') + std::to_string(content),
          .clusters = {Name(i)}};
}

// As many clusters, assignments and virtual hosts.
SnapshotPtr MakeSnapshot(std::int64_t count) {
  SnapshotEditor editor(nullptr);
  editor.SetHead(kRDS, "ingress_http", "head");
  for (std::int64_t i = 0; i < count; ++i) {
    editor.Set(kCDS, MakeCluster(i));
    editor.Set(kEDS, MakeEndpoints(i));
    editor.SetPart(kRDS, "ingress_http", MakeHost(i));
  }
  return editor.Commit();
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(1000)->Arg(10000)->Arg(100000);
}

void BuildSnapshot(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(MakeSnapshot(state.range(0)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BuildSnapshot)->Apply(Sizes)->Unit(benchmark::kMillisecond);

void CommitOneResource(benchmark::State& state) {
  SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  std::int64_t content = 0;
  for (auto _ : state) {
    ++content;
    SnapshotEditor editor(snapshot);
    editor.Set(kEDS, MakeEndpoints(content % state.range(0), content));
    snapshot = editor.Commit();
  }
}
BENCHMARK(CommitOneResource)->Apply(Sizes);

void CommitOneHost(benchmark::State& state) {
  SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  std::int64_t content = 0;
  for (auto _ : state) {
    ++content;
    SnapshotEditor editor(snapshot);
    editor.SetPart(kRDS, "ingress_http", MakeHost(content % state.range(0), content));
    snapshot = editor.Commit();
  }
}
BENCHMARK(CommitOneHost)->Apply(Sizes);

void CommitNothing(benchmark::State& state) {
  const SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  for (auto _ : state) {
    SnapshotEditor editor(snapshot);
    editor.Set(kEDS, MakeEndpoints(5));
    benchmark::DoNotOptimize(editor.Commit());
  }
}
BENCHMARK(CommitNothing)->Apply(Sizes);

void DiffOneResource(benchmark::State& state) {
  const SnapshotPtr before = MakeSnapshot(state.range(0));
  SnapshotEditor editor(before);
  editor.Set(kEDS, MakeEndpoints(5, 1));
  const SnapshotPtr after = editor.Commit();
  for (auto _ : state) {
    std::size_t count = 0;
    for (const TypeInfo& info : kTypes) {
      Table::Diff(before->table(info.type), after->table(info.type),
                  [&](const ResourcePtr&, const ResourcePtr&) { ++count; });
    }
    if (count != 1) state.SkipWithError("not one difference");
  }
}
BENCHMARK(DiffOneResource)->Apply(Sizes);

// An Envoy over ADS that acknowledges everything at once.
struct Node {
  explicit Node(const SnapshotPtr& snapshot, std::int64_t count)
      : session({"node", "peer", true}, {}, snapshot), stream(session.Attach(Protocol::kDelta)) {
    Request(kCDS, {});
    xds::Request endpoints;
    for (std::int64_t i = 0; i < count; ++i) endpoints.subscribe.push_back(Name(i));
    Request(kEDS, std::move(endpoints));
    Run();
    Request(kRDS, {.subscribe = {"ingress_http"}});
    Run();
  }
  void Request(ResourceType type, xds::Request request) {
    request.type_url = Info(type).url;
    if (!stream.OnRequest(request, now).ok()) std::abort();
  }
  void Run() {
    while (!session.TakeReady(now).empty()) {
      while (std::optional<Response> response = stream.Next(now)) {
        resources += response->resources.size();
        if (encoder != nullptr)
          bytes += encoder->Encode(*response, StreamMode::kAggregatedDelta).size;
        Request(response->type, {.nonce = response->nonce});
      }
    }
  }
  Time now{};
  Session session;
  Stream& stream;
  std::size_t resources = 0;
  Encoder* encoder = nullptr;  // of the responses, if they are to be encoded
  std::size_t bytes = 0;
};

void FirstConnection(benchmark::State& state) {
  const SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  for (auto _ : state) {
    Node node(snapshot, state.range(0));
    benchmark::DoNotOptimize(node.resources);
  }
}
BENCHMARK(FirstConnection)->Apply(Sizes)->Unit(benchmark::kMillisecond);

void EndpointsToOneEnvoy(benchmark::State& state) {
  SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  Node node(snapshot, state.range(0));
  std::int64_t content = 0;
  for (auto _ : state) {
    ++content;
    SnapshotEditor editor(snapshot);
    editor.Set(kEDS, MakeEndpoints(content % state.range(0), content));
    snapshot = editor.Commit();
    node.session.Offer(snapshot);
    node.Run();
  }
}
BENCHMARK(EndpointsToOneEnvoy)->Apply(Sizes);

// Without the encoding: the route configuration as a whole is what Envoy is sent.
void HostToOneEnvoy(benchmark::State& state) {
  SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  Node node(snapshot, state.range(0));
  std::int64_t content = 0;
  for (auto _ : state) {
    ++content;
    SnapshotEditor editor(snapshot);
    editor.SetPart(kRDS, "ingress_http", MakeHost(content % state.range(0), content));
    snapshot = editor.Commit();
    node.session.Offer(snapshot);
    node.Run();
  }
}
BENCHMARK(HostToOneEnvoy)->Apply(Sizes);

// One change to so many Envoys at 1,000 hosts, encoded for each.
void EndpointsToEnvoys(benchmark::State& state) {
  constexpr std::int64_t kHosts = 1000;
  SnapshotPtr snapshot = MakeSnapshot(kHosts);
  Encoder encoder(nullptr);
  std::vector<std::unique_ptr<Node>> nodes;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    nodes.push_back(std::make_unique<Node>(snapshot, kHosts));
    nodes.back()->encoder = &encoder;
  }
  std::int64_t content = 0;
  for (auto _ : state) {
    ++content;
    SnapshotEditor editor(snapshot);
    editor.Set(kEDS, MakeEndpoints(content % kHosts, content));
    snapshot = editor.Commit();
    for (const auto& node : nodes) {
      node->session.Offer(snapshot);
      node->Run();
    }
  }
  if (nodes.front()->bytes == 0) state.SkipWithError("nothing was sent");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EndpointsToEnvoys)->Arg(1)->Arg(20)->Arg(200)->Unit(benchmark::kMicrosecond);

void EncodeRoutes(benchmark::State& state) {
  const SnapshotPtr snapshot = MakeSnapshot(state.range(0));
  Response response;
  response.type = kRDS;
  response.resources = {snapshot->Find(kRDS, "ingress_http")};
  std::size_t bytes = 0;
  for (auto _ : state) {
    Encoder encoder(nullptr);  // nobody else is being sent it
    bytes += encoder.Encode(response, StreamMode::kAggregatedDelta).size;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(EncodeRoutes)->Apply(Sizes)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace contour::xds
