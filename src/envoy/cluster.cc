// SPDX-License-Identifier: Apache-2.0
#include "envoy/cluster.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/message.h"

namespace contour::envoy {
namespace {

namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using EnvoyCluster = ::envoy::config::cluster::v3::Cluster;

// A DNS resolver that answers at all does so within this time.
constexpr std::chrono::seconds kDNSTime{1};

EnvoyCluster::LbPolicy Policy(graph::LoadBalancing::Strategy strategy) {
  using Strategy = graph::LoadBalancing::Strategy;
  switch (strategy) {
    case Strategy::kLeastRequest:
      return EnvoyCluster::LEAST_REQUEST;
    case Strategy::kRandom:
      return EnvoyCluster::RANDOM;
    case Strategy::kCookie:
      return EnvoyCluster::RING_HASH;
    case Strategy::kRoundRobin:
      break;
  }
  return EnvoyCluster::ROUND_ROBIN;
}

void SetHealthCheck(const graph::HealthCheck& check, EnvoyCluster* message) {
  using std::chrono::seconds;
  auto* health_check = message->add_health_checks();
  // Envoy requires at least one unit for these.
  SetDuration(std::max(check.timeout, seconds(1)), health_check->mutable_timeout());
  SetDuration(std::max(check.interval, seconds(1)), health_check->mutable_interval());
  health_check->mutable_unhealthy_threshold()->set_value(check.unhealthy_threshold);
  health_check->mutable_healthy_threshold()->set_value(check.healthy_threshold);
  auto* http = health_check->mutable_http_health_check();
  http->set_path(check.path.empty() ? "/" : Text(check.path));
  if (!check.host.empty()) http->set_host(Text(check.host));
  // An endpoint that Kubernetes removed gets no more traffic, however healthy it seems.
  message->set_ignore_health_on_host_removal(true);
}

void SetCircuitBreakers(const graph::CircuitBreakers& limits, EnvoyCluster* message) {
  const auto positive = [](const std::optional<std::uint32_t>& limit) {
    return limit.value_or(0) > 0;
  };
  if (positive(limits.per_host_max_connections)) {
    message->mutable_circuit_breakers()
        ->add_per_host_thresholds()
        ->mutable_max_connections()
        ->set_value(*limits.per_host_max_connections);
  }
  if (!positive(limits.max_connections) && !positive(limits.max_pending_requests) &&
      !positive(limits.max_requests) && !positive(limits.max_retries)) {
    return;
  }
  auto* thresholds = message->mutable_circuit_breakers()->add_thresholds();
  if (positive(limits.max_connections))
    thresholds->mutable_max_connections()->set_value(*limits.max_connections);
  if (positive(limits.max_pending_requests))
    thresholds->mutable_max_pending_requests()->set_value(*limits.max_pending_requests);
  if (positive(limits.max_requests))
    thresholds->mutable_max_requests()->set_value(*limits.max_requests);
  if (positive(limits.max_retries))
    thresholds->mutable_max_retries()->set_value(*limits.max_retries);
}

void SetTLS(const graph::Cluster& cluster, EnvoyCluster* message) {
  tls::UpstreamTlsContext context;
  auto* common = context.mutable_common_tls_context();
  // Envoy's default for upstreams is 1.2, and an upstream with 1.3 alone couldn't be reached.
  common->mutable_tls_params()->set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  if (cluster.protocol == graph::Protocol::kH2) common->add_alpn_protocols("h2");
  if (cluster.validation) {
    // Both parts are set, even if one were empty: Envoy then NACKs the cluster, and nothing reaches
    // an upstream that isn't verified.
    auto* validation = common->mutable_validation_context();
    validation->mutable_trusted_ca()->set_inline_bytes(cluster.validation->ca_certificate);
    auto* san = validation->add_match_typed_subject_alt_names();
    san->set_san_type(tls::SubjectAltNameMatcher::DNS);
    san->mutable_matcher()->set_exact(Text(cluster.validation->subject_name));
  }
  auto* socket = message->mutable_transport_socket();
  socket->set_name("envoy.transport_sockets.tls");
  Pack(context, socket->mutable_typed_config());
}

}  // namespace

ClusterResource TranslateCluster(const graph::Cluster& cluster, std::string name,
                                 ConfigSource config_source, std::size_t hash_digits) {
  ClusterResource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<EnvoyCluster>(&arena);
  result.resource.name = std::move(name);
  message.set_name(result.resource.name);
  message.set_alt_stat_name(AltStatName(cluster, hash_digits));
  SetDuration(std::chrono::seconds(2), message.mutable_connect_timeout());
  message.set_lb_policy(Policy(cluster.load_balancing.strategy()));
  message.mutable_common_lb_config()->mutable_healthy_panic_threshold();  // present and 0: off

  if (cluster.external_name.empty()) {
    result.assignment = ServiceName({cluster.ns, cluster.service, cluster.port_name}, hash_digits);
    message.set_type(EnvoyCluster::EDS);
    auto* eds = message.mutable_eds_cluster_config();
    eds->set_service_name(*result.assignment);
    SetConfigSource(config_source, eds->mutable_eds_config());
  } else {
    message.set_type(EnvoyCluster::STRICT_DNS);
    auto* assignment = message.mutable_load_assignment();
    assignment->set_cluster_name(ExternalServiceName(cluster));
    SetAddress(
        cluster.external_name, cluster.port,
        assignment->add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address());
  }
  result.warm_by_assignment = result.assignment && !cluster.health_check;

  if (!result.assignment) result.warm_time = kDNSTime;
  if (cluster.health_check) {
    SetHealthCheck(*cluster.health_check, &message);
    // An object can have any number of seconds, so the time is limited.
    result.warm_time += std::clamp<std::chrono::seconds>(
        cluster.health_check->timeout, std::chrono::seconds(1), std::chrono::hours(1));
  }
  SetCircuitBreakers(cluster.circuit_breakers, &message);
  switch (cluster.protocol) {
    case graph::Protocol::kHTTP1:
      break;
    case graph::Protocol::kTLS:
      SetTLS(cluster, &message);
      break;
    case graph::Protocol::kH2:
      SetTLS(cluster, &message);
      SetHTTP2(&message);
      break;
    case graph::Protocol::kH2C:
      SetHTTP2(&message);
      break;
  }
  result.resource.bytes = Serialize(message);
  return result;
}

ClusterResource ClosedCluster(std::string name) {
  ClusterResource result;
  EnvoyCluster message;
  result.resource.name = std::move(name);
  result.warm_by_assignment = false;
  message.set_name(result.resource.name);
  message.set_type(EnvoyCluster::STATIC);
  message.mutable_load_assignment()->set_cluster_name(result.resource.name);
  result.resource.bytes = Serialize(message);
  return result;
}

}  // namespace contour::envoy
