// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/backend.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "api/service.h"
#include "base/status.h"
#include "base/strings.h"
#include "graph/policy/annotation.h"
#include "graph/policy/circuit_breakers.h"
#include "graph/policy/upstream_protocol.h"

namespace contour::graph {
namespace {

bool IsOwnAddress(std::uint32_t host_order) {
  const std::uint32_t first = host_order >> 24;
  return first == 127 || first == 0 || (host_order >> 16) == 0xa9fe;  // 127/8, 0/8, 169.254/16
}

bool IsOwnAddress(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address) ||
      IN6_IS_ADDR_LINKLOCAL(&address)) {
    return true;
  }
  std::uint32_t last = 0;
  std::memcpy(&last, address.s6_addr + 12, sizeof last);
  return (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address)) &&
         IsOwnAddress(ntohl(last));
}

bool Matches(const api::ServicePort& port, const PortReference& wanted) {
  if (port.protocol != "TCP" && !port.protocol.empty()) return false;
  if (wanted.number != 0 && port.port == wanted.number) return true;
  if (wanted.name.empty()) return !port.name.empty() && port.name == std::to_string(wanted.number);
  return port.name == wanted.name || ParseInt(wanted.name) == port.port;
}

}  // namespace

bool ExternalNamePermitted(std::string_view external_name, std::string_view own_namespace) {
  std::string name = LowerCase(external_name);
  while (name.ends_with('.')) name.pop_back();
  if (name.empty()) return false;
  if (name == "localhost" || name.ends_with(".localhost") || name.starts_with("localhost."))
    return false;
  if (name == "ip6-localhost" || name == "ip6-loopback") return false;  // of /etc/hosts
  in_addr v4{};
  // inet_aton also takes the spellings 2130706433, 0x7f.1 and 0177.0.0.1, as resolvers do.
  if (inet_aton(name.c_str(), &v4) != 0) return !IsOwnAddress(ntohl(v4.s_addr));
  std::string v6_text = name;
  if (v6_text.starts_with('[') && v6_text.ends_with(']'))
    v6_text = v6_text.substr(1, v6_text.size() - 2);
  in6_addr v6{};
  if (inet_pton(AF_INET6, v6_text.substr(0, v6_text.find('%')).c_str(), &v6) == 1)
    return !IsOwnAddress(v6);
  for (const std::string_view service : {"contour", "envoy"}) {
    const std::string own = fmt::format("{}.{}", service, own_namespace);
    // Envoy's resolver may search our own namespace.
    if (name == service || name == own || name == own + ".svc" || name.starts_with(own + ".svc."))
      return false;
  }
  return true;
}

absl::StatusOr<Cluster> LookupBackend(const BackendSpec& spec, Reader& reader,
                                      const Options& options) {
  const auto& [ns, name, port, use] = spec;
  const auto* service = reader.Find<api::Service>(ns, name);
  if (service == nullptr) return NotFound("Service {}/{} not found", ns, name);
  for (const api::ServicePort& candidate : service->spec.ports) {
    if (!Matches(candidate, port) || candidate.port < 1 || candidate.port > 65535) continue;
    Cluster cluster;
    cluster.ns = ns;
    cluster.service = name;
    cluster.port = static_cast<std::uint16_t>(candidate.port);
    cluster.port_name = candidate.name;
    cluster.circuit_breakers = ParseCircuitBreakers(service->meta);
    const Protocol protocol = UpstreamProtocol(service->meta, candidate.name, candidate.port);
    if (use == Use::kHTTP) cluster.protocol = protocol;
    cluster.plain_tcp = use == Use::kTCP && protocol != Protocol::kHTTP1;
    if (service->spec.type == "ExternalName") {
      cluster.external_name = service->spec.external_name;
      if (!options.external_name_services) {
        return FailedPrecondition(
            "Service {}/{} is an ExternalName, which enableExternalNameService: false refuses", ns,
            name);
      }
      if (!ExternalNamePermitted(cluster.external_name, options.own_namespace)) {
        return FailedPrecondition(
            "Service {}/{}: externalName {} leads back to this host or to our own Services", ns,
            name, Quote(cluster.external_name));
      }
    }
    return cluster;
  }
  return FailedPrecondition("Service {}/{} has no TCP port {}", ns, name, port.String());
}

}  // namespace contour::graph
