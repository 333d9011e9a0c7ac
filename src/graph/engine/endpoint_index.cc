// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/endpoint_index.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace contour::graph {
namespace {

bool IsIP(const std::string& address) {
  in6_addr buffer{};
  return inet_pton(AF_INET, address.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, address.c_str(), &buffer) == 1;
}

bool IsUsable(const api::EndpointPort& port, const std::string& port_name) {
  if (port.port < 1 || port.port > 65535 || (port.protocol != "TCP" && !port.protocol.empty()))
    return false;
  return port.name == port_name || port.name.empty() || port_name.empty();
}

void Add(const std::string& address, const std::vector<api::EndpointPort>& ports,
         const std::string& port_name, Assignment& assignment) {
  if (!IsIP(address)) return;
  for (const api::EndpointPort& port : ports) {
    if (IsUsable(port, port_name))
      assignment.addresses.push_back({address, static_cast<std::uint16_t>(port.port)});
  }
}

enum class Pass { kReady, kTerminating };

bool Counts(const api::Endpoint& endpoint, Pass pass) {
  const bool ready = endpoint.ready.value_or(true);
  if (pass == Pass::kReady) return ready;
  return !ready && endpoint.serving.value_or(false) && endpoint.terminating.value_or(false);
}

std::optional<ServiceKey> ServiceOf(const api::Object* object) {
  if (const auto* slice = api::As<api::EndpointSlice>(object)) {
    if (slice->service_name.empty()) return std::nullopt;
    return ServiceKey{slice->meta.ns, slice->service_name};
  }
  if (const auto* endpoints = api::As<api::Endpoints>(object))
    return ServiceKey{endpoints->meta.ns, endpoints->meta.name};
  return std::nullopt;
}

}  // namespace

std::vector<ServiceKey> EndpointIndex::Apply(const api::Change& change) {
  if (change.ref.kind != api::Kind::kEndpointSlice && change.ref.kind != api::Kind::kEndpoints)
    return {};
  std::optional<ServiceKey> before;
  bool same = false;
  if (const auto known = objects_.find(change.ref); known != objects_.end()) {
    before = ServiceOf(known->get());
    same = change.object != nullptr && api::SameMeaning(**known, *change.object);
    const auto service = services_.find(*before);
    service->second.erase(*known);
    if (service->second.empty()) services_.erase(service);
    objects_.erase(known);
  }
  const std::optional<ServiceKey> now = ServiceOf(change.object.get());
  if (now) {
    services_[*now].insert(change.object);
    objects_.insert(change.object);
  }
  std::vector<ServiceKey> touched;
  if (before && before != now) touched.push_back(*before);
  if (now && !(same && before == now)) touched.push_back(*now);
  return touched;
}

std::optional<ServiceKey> EndpointIndex::FindService(const api::ObjectRef& ref) const {
  const auto found = objects_.find(ref);
  return found == objects_.end() ? std::nullopt : ServiceOf(found->get());
}

Assignment EndpointIndex::Build(const ServiceKey& service, const std::string& port_name) const {
  Assignment assignment{service.ns, service.name, port_name, {}};
  const auto found = services_.find(service);
  if (found == services_.end()) return assignment;
  for (const Pass pass : {Pass::kReady, Pass::kTerminating}) {
    for (const api::ObjectPtr& object : found->second) {
      if (const auto* slice = api::As<api::EndpointSlice>(*object)) {
        for (const api::Endpoint& endpoint : slice->endpoints) {
          if (!Counts(endpoint, pass)) continue;
          for (const std::string& address : endpoint.addresses)
            Add(address, slice->ports, port_name, assignment);
        }
      } else if (const auto* endpoints = api::As<api::Endpoints>(*object);
                 endpoints != nullptr && pass == Pass::kReady) {
        for (const api::EndpointSubset& subset : endpoints->subsets) {
          for (const std::string& address : subset.addresses)
            Add(address, subset.ports, port_name, assignment);
        }
      }
    }
    if (!assignment.addresses.empty()) break;
  }
  std::sort(assignment.addresses.begin(), assignment.addresses.end());
  assignment.addresses.erase(std::unique(assignment.addresses.begin(), assignment.addresses.end()),
                             assignment.addresses.end());
  return assignment;
}

}  // namespace contour::graph
