// SPDX-License-Identifier: Apache-2.0
// Measures parsing 10,000 objects in the form in which an API server sends them, one JSON text
// each.

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <string>
#include <vector>

#include "api/parse.h"

namespace contour::api {
namespace {

constexpr int kObjects = 10'000;

std::string SliceJson(int index) {
  std::string endpoints;
  for (int i = 0; i < 5; ++i) {
    endpoints += fmt::format(
        R"({}{{"addresses":["10.{}.{}.{}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},)"
        R"("nodeName":"node-{}","targetRef":{{"kind":"Pod","name":"service-{}-7d4f9-{}","namespace":"ns-{}",)"
        R"("uid":"3f0c1c52-6f0e-4b39-8f5f-0c9a{:08}"}},"zone":"zone-{}"}})",
        i == 0 ? "" : ",", index / 250 % 250, index % 250, i, i, index, i, index % 100, index,
        i % 3);
  }
  return fmt::format(
      R"({{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"service-{0}-x2v7k",)"
      R"("namespace":"ns-{1}","uid":"7a0c1c52-6f0e-4b39-8f5f-0c9a{0:08}","resourceVersion":"{2}","generation":4,)"
      R"("creationTimestamp":"2024-05-01T10:00:00Z","labels":{{"app":"service-{0}",)"
      R"("endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io",)"
      R"("kubernetes.io/service-name":"service-{0}"}},"ownerReferences":[{{"apiVersion":"v1","kind":"Service",)"
      R"("name":"service-{0}","uid":"u","controller":true}}],"managedFields":[{{"manager":"kube-controller-manager",)"
      R"("operation":"Update","apiVersion":"discovery.k8s.io/v1","time":"2024-05-01T10:00:00Z","fieldsType":"FieldsV1",)"
      R"("fieldsV1":{{"f:addressType":{{}},"f:endpoints":{{}},"f:metadata":{{"f:labels":{{".":{{}},"f:app":{{}}}}}},)"
      R"("f:ports":{{}}}}}}]}},"addressType":"IPv4","endpoints":[{3}],)"
      R"("ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}})",
      index, index % 100, 100000 + index, endpoints);
}

std::string IngressRouteJson(int index) {
  return fmt::format(
      R"({{"apiVersion":"contour.heptio.com/v1beta1","kind":"IngressRoute","metadata":{{"name":"host-{0}",)"
      R"("namespace":"ns-{1}","uid":"7a0c1c52-6f0e-4b39-8f5f-0c9a{0:08}","resourceVersion":"{2}","generation":1,)"
      R"("creationTimestamp":"2024-05-01T10:00:00Z","managedFields":[{{"manager":"kubectl","operation":"Update",)"
      R"("apiVersion":"contour.heptio.com/v1beta1","time":"2024-05-01T10:00:00Z","fieldsType":"FieldsV1",)"
      R"("fieldsV1":{{"f:spec":{{".":{{}},"f:routes":{{}},"f:virtualhost":{{".":{{}},"f:fqdn":{{}}}}}}}}}}]}},)"
      R"("spec":{{"virtualhost":{{"fqdn":"host-{0}.example.com"}},"routes":[)"
      R"({{"match":"/","services":[{{"name":"service-{0}","port":80}}]}},)"
      R"({{"match":"/blog","services":[{{"name":"service-{0}","port":80}}]}}]}},)"
      R"("status":{{"currentStatus":"valid","description":"valid IngressRoute"}}}})",
      index, index % 100, 100000 + index);
}

void Parse(benchmark::State& state, std::string (*json)(int)) {
  std::vector<std::string> texts;
  std::int64_t bytes = 0;
  for (int i = 0; i < kObjects; ++i) {
    bytes += static_cast<std::int64_t>(texts.emplace_back(json(i)).size());
  }
  for (auto _ : state) {
    Parser parser;
    std::vector<ObjectPtr> kept;
    kept.reserve(kObjects);
    for (const std::string& text : texts) {
      auto parsed = parser.Parse(text);
      if (!parsed.ok() || parsed->object == nullptr) return state.SkipWithError("refused");
      kept.push_back(std::move(parsed->object));
    }
    benchmark::DoNotOptimize(kept.data());
  }
  state.SetBytesProcessed(state.iterations() * bytes);
  state.SetItemsProcessed(state.iterations() * kObjects);
}
BENCHMARK_CAPTURE(Parse, EndpointSlices, SliceJson)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Parse, IngressRoutes, IngressRouteJson)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace contour::api
