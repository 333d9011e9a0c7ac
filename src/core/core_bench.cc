// SPDX-License-Identifier: Apache-2.0
// Measures the time from a changed object to a committed snapshot: derivation, translation and
// commit together, by the number of hosts that don't change. It must not grow with that number.

#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <malloc.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/ingress_route.h"
#include "api/service.h"
#include "core/pipeline.h"

namespace contour::core {
namespace {

template <typename T>
std::shared_ptr<T> Make(std::string name) {
  auto object = std::make_shared<T>();
  object->meta.ns = "default";
  object->meta.name = std::move(name);
  return object;
}

api::Change Added(const api::ObjectPtr& object) { return {object->Ref(), object}; }

api::ObjectPtr Service(std::int64_t i) {
  auto service = Make<api::Service>(fmt::format("service-{}", i));
  service->spec.ports.push_back({"http", 80, "TCP"});
  return service;
}

api::ObjectPtr Slice(std::int64_t i, std::int64_t address) {
  auto slice = Make<api::EndpointSlice>(fmt::format("service-{}-1", i));
  slice->service_name = fmt::format("service-{}", i);
  slice->address_type = "IPv4";
  slice->ports.push_back({"http", 8080, "TCP"});
  auto& endpoint = slice->endpoints.emplace_back();
  endpoint.addresses.push_back(fmt::format("10.0.{}.{}", address / 250 % 250, address % 250 + 1));
  return slice;
}

api::ObjectPtr Root(std::int64_t i, std::int64_t content = 0) {
  auto root = Make<api::IngressRoute>(fmt::format("root-{}", i));
  root->spec.virtualhost =
      api::IngressRouteVirtualHost{fmt::format("host-{}.example.com", i), std::nullopt};
  root->spec.routes.emplace();
  for (const std::string& path : {std::string("/"), fmt::format("/path-{}", content)}) {
    api::IngressRouteRoute& route = root->spec.routes->emplace_back();
    route.match = path;
    route.services.push_back({.name = fmt::format("service-{}", i), .port = 80});
  }
  return root;
}

std::vector<api::Change> ManyHosts(std::int64_t hosts) {
  std::vector<api::Change> changes;
  for (std::int64_t i = 0; i < hosts; ++i) {
    changes.push_back(Added(Service(i)));
    changes.push_back(Added(Slice(i, 0)));
    changes.push_back(Added(Root(i)));
  }
  return changes;
}

// One pipeline for each delivery mode and number of hosts, kept between benchmarks.
Pipeline& PipelineOf(std::int64_t hosts, envoy::Delivery delivery) {
  static std::map<std::pair<std::int64_t, envoy::Delivery>, std::unique_ptr<Pipeline>> pipelines;
  std::unique_ptr<Pipeline>& pipeline = pipelines[{hosts, delivery}];
  if (pipeline != nullptr) return *pipeline;
  Pipeline::Options options;
  options.listeners.delivery = delivery;
  pipeline = std::make_unique<Pipeline>(options);
  pipeline->Apply(ManyHosts(hosts));
  return *pipeline;
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMicrosecond);
}

template <envoy::Delivery delivery>
void RouteEdited(benchmark::State& state) {
  Pipeline& pipeline = PipelineOf(state.range(0), delivery);
  std::int64_t content = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(pipeline.Apply({Added(Root(content % state.range(0), content))}));
    ++content;
  }
}
BENCHMARK_TEMPLATE(RouteEdited, envoy::Delivery::kClassic)->Apply(Sizes);
BENCHMARK_TEMPLATE(RouteEdited, envoy::Delivery::kSharded)->Apply(Sizes);

void EndpointsChanged(benchmark::State& state) {
  Pipeline& pipeline = PipelineOf(state.range(0), envoy::Delivery::kSharded);
  std::int64_t address = 0;
  for (auto _ : state) {
    ++address;
    benchmark::DoNotOptimize(pipeline.Apply({Added(Slice(address % state.range(0), address))}));
  }
}
BENCHMARK(EndpointsChanged)->Apply(Sizes);

void EditWithoutMeaning(benchmark::State& state) {
  Pipeline& pipeline = PipelineOf(state.range(0), envoy::Delivery::kSharded);
  auto root = std::static_pointer_cast<const api::IngressRoute>(Root(5));
  std::int64_t version = 0;
  pipeline.Apply({Added(root)});
  for (auto _ : state) {
    auto newer = std::make_shared<api::IngressRoute>(*root);
    newer->meta.resource_version = fmt::format("{}", ++version);
    benchmark::DoNotOptimize(pipeline.Apply({Added(newer)}));
  }
}
BENCHMARK(EditWithoutMeaning)->Apply(Sizes);

// Measures a build from nothing, and the bytes that the pipeline then has for each host, including
// its objects.
void FirstBuild(benchmark::State& state) {
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const std::size_t at_start = mallinfo2().uordblks;
    std::vector<api::Change> changes = ManyHosts(state.range(0));
    auto pipeline = std::make_unique<Pipeline>(Pipeline::Options());
    state.ResumeTiming();
    pipeline->Apply(changes);
    state.PauseTiming();
    changes = {};
    bytes = static_cast<double>(mallinfo2().uordblks - at_start);
    pipeline = nullptr;
    state.ResumeTiming();
  }
  state.counters["bytes_per_host"] = bytes / static_cast<double>(state.range(0));
}
BENCHMARK(FirstBuild)->Arg(1000)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);

// A root whose cluster would have the name of another's comes and goes: each time both are renamed.
void NameContestedAndBack(benchmark::State& state) {
  Pipeline& pipeline = PipelineOf(state.range(0), envoy::Delivery::kSharded);
  const auto checked = [](const std::string& name, std::int64_t unhealthy, std::int64_t healthy) {
    auto root = Make<api::IngressRoute>(name);
    root->spec.virtualhost = api::IngressRouteVirtualHost{name + ".example.com", std::nullopt};
    api::IngressRouteRoute& route = root->spec.routes.emplace().emplace_back();
    route.match = "/";
    route.services.push_back(
        {.name = "service-5",
         .port = 80,
         .health_check = api::IngressRouteHealthCheck{.path = "/",
                                                      .unhealthy_threshold_count = unhealthy,
                                                      .healthy_threshold_count = healthy}});
    return root;
  };
  const auto other = checked("other", 12, 3);
  pipeline.Apply({Added(checked("one", 1, 23))});
  for (auto _ : state) {
    benchmark::DoNotOptimize(pipeline.Apply({Added(other)}));
    benchmark::DoNotOptimize(pipeline.Apply({{other->Ref(), nullptr}}));
  }
}
BENCHMARK(NameContestedAndBack)->Apply(Sizes);

}  // namespace
}  // namespace contour::core
