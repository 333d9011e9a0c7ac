// SPDX-License-Identifier: Apache-2.0
// Measures the cost of a change by the number of hosts, on which it must not depend, and the cost
// of hosts, long chains and big objects. Counters: `allocations` per change, `derivations` per
// change, `bytes_per_host`.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "graph/engine/engine.h"
#include "graph/kinds/kinds.h"
#include "graph/model/route.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}  // namespace

// It isn't inlined, since the compiler would then compare malloc with delete and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace contour::graph {
namespace {

template <typename T>
std::shared_ptr<T> Make(std::string name) {
  auto object = std::make_shared<T>();
  object->meta.ns = "default";
  object->meta.name = std::move(name);
  return object;
}

api::Change Added(const api::ObjectPtr& object) { return {object->Ref(), object}; }

api::ObjectPtr Service(std::string name, const char* limit = nullptr) {
  auto service = Make<api::Service>(std::move(name));
  service->spec.ports.push_back({"http", 80, "TCP"});
  if (limit != nullptr)
    service->meta.annotations.emplace_back("contour.heptio.com/max-requests", limit);
  return service;
}

std::string Number(std::size_t i) { return std::to_string(i); }

api::IngressRouteRoute Route(std::string match, std::string service) {
  api::IngressRouteRoute route;
  route.match = std::move(match);
  route.services.push_back({.name = std::move(service), .port = 80});
  return route;
}

// Returns a root with two routes: to a Service of its own, and to one that 1,000 hosts share.
std::shared_ptr<api::IngressRoute> Root(std::size_t i, std::string timeout = "") {
  auto root = Make<api::IngressRoute>("root-" + Number(i));
  root->spec.virtualhost =
      api::IngressRouteVirtualHost{"host-" + Number(i) + ".example.com", std::nullopt};
  root->spec.routes.emplace();
  root->spec.routes->push_back(Route("/", "service-" + Number(i)));
  root->spec.routes->push_back(Route("/shared", "shared-" + Number(i / 1000)));
  if (!timeout.empty()) root->spec.routes->front().timeout_request = std::move(timeout);
  return root;
}

api::ObjectPtr Unread(const char* data) {
  auto secret = Make<api::Secret>("unread");
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = data;
  return secret;
}

std::vector<api::Change> ManyHosts(std::size_t hosts) {
  std::vector<api::Change> changes;
  for (std::size_t i = 0; i < hosts; ++i) {
    changes.push_back(Added(Service("service-" + Number(i))));
    if (i % 1000 == 0) changes.push_back(Added(Service("shared-" + Number(i / 1000))));
    changes.push_back(Added(Root(i)));
  }
  return changes;
}

// One engine per number of hosts, kept between benchmarks.
Engine& EngineOf(std::size_t hosts) {
  static std::map<std::size_t, std::unique_ptr<Engine>> engines;
  std::unique_ptr<Engine>& engine = engines[hosts];
  if (engine == nullptr) {
    engine = std::make_unique<Engine>(Options(), Kinds());
    std::vector<api::Change> changes = ManyHosts(hosts);
    changes.push_back(Added(Unread("one")));
    engine->Apply(changes);
  }
  return *engine;
}

// Applies the two states of one object in turn.
void Toggle(benchmark::State& state, const api::ObjectPtr& first, const api::ObjectPtr& second) {
  Engine& engine = EngineOf(static_cast<std::size_t>(state.range(0)));
  const std::vector<api::Change> changes[2] = {{Added(first)}, {Added(second)}};
  const std::uint64_t allocations_before = allocations;
  const std::uint64_t derivations_before = engine.derivations();
  std::size_t turn = 0;
  for (auto _ : state) benchmark::DoNotOptimize(engine.Apply(changes[turn++ % 2]));
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["allocations"] = static_cast<double>(allocations - allocations_before) / rounds;
  state.counters["derivations"] =
      static_cast<double>(engine.derivations() - derivations_before) / rounds;
}

void BM_RouteEdit(benchmark::State& state) { Toggle(state, Root(500, "1s"), Root(500, "2s")); }
void BM_EditWithoutMeaning(benchmark::State& state) {
  auto newer = Root(500);
  newer->meta.resource_version = "2";
  Toggle(state, Root(500), newer);
}
void BM_ServiceEditReadByOne(benchmark::State& state) {
  Toggle(state, Service("service-500", "7"), Service("service-500", "8"));
}
void BM_ServiceEditReadByThousand(benchmark::State& state) {
  Toggle(state, Service("shared-0", "7"), Service("shared-0", "8"));
}
void BM_UnreadSecretEdit(benchmark::State& state) { Toggle(state, Unread("one"), Unread("two")); }
void BM_HostAddedAndRemoved(benchmark::State& state) {
  Engine& engine = EngineOf(static_cast<std::size_t>(state.range(0)));
  auto root = Root(500);
  root->meta.name = "new";
  root->spec.virtualhost->fqdn = "new.example.com";
  const std::vector<api::Change> add = {Added(root)};
  const std::vector<api::Change> remove = {{root->Ref(), nullptr}};
  for (auto _ : state) {
    engine.Apply(add);
    engine.Apply(remove);
  }
}
BENCHMARK(BM_RouteEdit)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_EditWithoutMeaning)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ServiceEditReadByOne)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ServiceEditReadByThousand)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_UnreadSecretEdit)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HostAddedAndRemoved)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMicrosecond);

// Measures a build from nothing, and the bytes that the engine then has for each host, without and
// with the objects.
void BM_FirstBuild(benchmark::State& state) {
  const auto hosts = static_cast<std::size_t>(state.range(0));
  double bytes = 0;
  double with_objects = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const std::size_t at_start = mallinfo2().uordblks;
    std::vector<api::Change> changes = ManyHosts(hosts);
    const std::size_t with_changes = mallinfo2().uordblks;
    auto engine = std::make_unique<Engine>(Options(), Kinds());
    state.ResumeTiming();
    engine->Apply(changes);
    state.PauseTiming();
    bytes = static_cast<double>(mallinfo2().uordblks - with_changes);
    changes = {};
    with_objects = static_cast<double>(mallinfo2().uordblks - at_start);
    engine = nullptr;
    state.ResumeTiming();
  }
  state.counters["bytes_per_host"] = bytes / static_cast<double>(hosts);
  state.counters["bytes_per_host_with_objects"] = with_objects / static_cast<double>(hosts);
}
BENCHMARK(BM_FirstBuild)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);

// Measures a build from nothing, without making the objects.
void Build(benchmark::State& state, const std::vector<api::Change>& changes) {
  for (auto _ : state) {
    Engine engine{Options(), Kinds()};
    benchmark::DoNotOptimize(engine.Apply(changes));
  }
}

void BM_RoutesInOneObject(benchmark::State& state) {
  std::vector<api::Change> changes = {Added(Service("kuard"))};
  auto root = Root(0);
  root->spec.routes->clear();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    root->spec.routes->push_back(Route("/path/" + std::to_string(i), "kuard"));
  }
  changes.push_back(Added(root));
  Build(state, changes);
}
BENCHMARK(BM_RoutesInOneObject)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

void BM_RulesInOneIngress(benchmark::State& state) {
  std::vector<api::Change> changes = {Added(Service("kuard"))};
  auto ingress = Make<api::Ingress>("big");
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    api::IngressRule rule{"host-" + std::to_string(i) + ".example.com", std::nullopt};
    rule.http.emplace().push_back(
        {.path = "/", .backend = {.service = "kuard", .port_number = 80}});
    ingress->spec.rules.push_back(std::move(rule));
  }
  changes.push_back(Added(ingress));
  Build(state, changes);
}
BENCHMARK(BM_RulesInOneIngress)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

void BM_ChildrenOfOneRoot(benchmark::State& state) {
  std::vector<api::Change> changes = {Added(Service("kuard"))};
  auto root = Root(0);
  root->spec.routes->clear();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const std::string path = "/path/" + std::to_string(i);
    auto child = Make<api::IngressRoute>("child-" + std::to_string(i));
    child->spec.routes.emplace().push_back(Route(path, "kuard"));
    changes.push_back(Added(child));
    root->spec.routes->push_back(
        {.match = path, .delegate = api::IngressRouteDelegate{child->meta.name, ""}});
  }
  changes.push_back(Added(root));
  Build(state, changes);
}
BENCHMARK(BM_ChildrenOfOneRoot)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

void BM_ChainOfDelegation(benchmark::State& state) {
  std::vector<api::Change> changes = {Added(Service("kuard"))};
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    auto link = Make<api::IngressRoute>("link-" + std::to_string(i));
    if (i == 0) {
      link->spec.virtualhost = api::IngressRouteVirtualHost{"chain.example.com", std::nullopt};
    }
    link->spec.routes.emplace();
    if (i + 1 < state.range(0)) {
      link->spec.routes->push_back(
          {.match = "/",
           .delegate = api::IngressRouteDelegate{"link-" + std::to_string(i + 1), ""}});
    } else {
      link->spec.routes->push_back(Route("/", "kuard"));
    }
    changes.push_back(Added(link));
  }
  Build(state, changes);
}
BENCHMARK(BM_ChainOfDelegation)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace contour::graph
