// SPDX-License-Identifier: Apache-2.0
#include "envoy/listener.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/message.h"
#include "envoy/on_demand_secret.pb.h"
#include "envoy/sni_mapper.pb.h"
#include "envoy/weights.h"

namespace contour::envoy {
namespace {

namespace http = ::envoy::extensions::filters::http;
namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;
namespace listener = ::envoy::config::listener::v3;
namespace on_demand =
    ::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3;
namespace sni = ::envoy::extensions::transport_sockets::tls::cert_mappers::sni::v3;
namespace tcp = ::envoy::extensions::filters::network::tcp_proxy::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;

// The cipher suites in the order of preference, without CBC and SHA-1.
constexpr std::string_view kCipherSuites[] = {
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
};
// These follow where TLS 1.1 is permitted, which has no others.
constexpr std::string_view kOldCipherSuites[] = {
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
};

// A connection that is to be closed stays for this long without progress: a client may pause while
// it reads the rest of an answer. docs/envoy-defaults.md says why not longer.
constexpr std::chrono::seconds kDelayedCloseTimeout{30};
// A connection of a TCP proxy tries as many endpoints. Nothing has been sent to one that fails.
constexpr std::uint32_t kTCPConnectAttempts = 3;
// The count of headers of a request. Their size has a limit of its own, Envoy's 60 KiB.
constexpr std::uint32_t kMaxRequestHeaders = 1000;
// The host of HTTP/1.0 requests without `Host`, so that the host "*" can take them.
constexpr std::string_view kNoHost = "host.invalid";

// Limits for clients. docs/hardening.md says which attack each of them stops.
constexpr std::chrono::seconds kHandshakeTimeout{15};
constexpr std::chrono::seconds kRequestHeadersTimeout{60};
// The window of a stream and of a connection, in bytes. Envoy buffers as much of an HTTP/1.1
// connection.
constexpr std::uint32_t kHTTP2Window = 1024 * 1024;

void SetListenAddress(const std::string& host, std::uint16_t port, listener::Listener* message) {
  SetAddress(host, port, message->mutable_address());
  if (host == "::") message->mutable_address()->mutable_socket_address()->set_ipv4_compat(true);
}

// Adds an element with a name and a typed configuration: filters of all kinds, access logs.
template <typename Config, typename Element>
void Add(std::string name, const Config& config, Element* element) {
  element->set_name(std::move(name));
  Pack(config, element->mutable_typed_config());
}

void AddProxyProtocol(listener::Listener* message) {
  Add("envoy.filters.listener.proxy_protocol",
      ::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol(),
      message->add_listener_filters());
}

void AddRouter(hcm::HttpConnectionManager* manager) {
  Add("envoy.filters.http.router", http::router::v3::Router(), manager->add_http_filters());
}

// Takes routes from the route configuration that has the name of the listener.
void SetRDS(std::string_view name, const ListenerOptions& options,
            hcm::HttpConnectionManager* manager) {
  auto* rds = manager->mutable_rds();
  rds->set_route_config_name(std::string(name));
  SetConfigSource(options.config_source, rds->mutable_config_source());
}

// The second fragment of a scope's key on HTTPS, so that hosts of plain HTTP are not found there,
// and vice versa: Envoy has one set of scopes for both. The header has the client's protocol; since
// `use_remote_address` is set, Envoy overwrites the header of a client.
constexpr std::string_view kProtocolHeader = "x-forwarded-proto";

// Takes routes from a scoped route configuration for each host.
void SetScopedRDS(std::string_view name, const ListenerOptions& options, const HostLookup& lookup,
                  hcm::HttpConnectionManager* manager) {
  auto* scoped = manager->mutable_scoped_routes();
  scoped->set_name(std::string(name));
  SetConfigSource(options.config_source, scoped->mutable_rds_config_source());
  SetConfigSource(options.config_source,
                  scoped->mutable_scoped_rds()->mutable_scoped_rds_config_source());
  AddHostLookup(lookup, manager);
  if (name != kIngressHTTPS) return;
  auto* by_protocol =
      scoped->mutable_scope_key_builder()->add_fragments()->mutable_header_value_extractor();
  by_protocol->set_name(std::string(kProtocolHeader));
  by_protocol->set_index(0);
}

// Returns the settings for both plain HTTP and HTTPS, without the source of the routes.
hcm::HttpConnectionManager IngressManager(std::string_view name, const std::string& access_log,
                                          const ListenerOptions& options) {
  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix(std::string(name));

  http::compressor::v3::Compressor compressor;
  Add("envoy.compression.gzip.compressor",
      ::envoy::extensions::compression::gzip::compressor::v3::Gzip(),
      compressor.mutable_compressor_library());
  Add("envoy.filters.http.compressor", compressor, manager.add_http_filters());
  Add("envoy.filters.http.grpc_web", http::grpc_web::v3::GrpcWeb(), manager.add_http_filters());
  AddRouter(&manager);

  auto* http1 = manager.mutable_http_protocol_options();
  http1->set_accept_http_10(true);
  // On HTTPS there is no host "*".
  if (name == kIngressHTTP) http1->set_default_host_for_http_10(std::string(kNoHost));
  // Who offers TLS within HTTP gets the answer that he would get without the offer.
  http1->add_ignore_http_11_upgrade()->set_prefix("TLS/");
  auto* http2 = manager.mutable_http2_protocol_options();
  http2->mutable_max_concurrent_streams()->set_value(options.max_concurrent_streams);
  http2->mutable_initial_stream_window_size()->set_value(kHTTP2Window);
  http2->mutable_initial_connection_window_size()->set_value(kHTTP2Window);
  SetDuration(kRequestHeadersTimeout, manager.mutable_request_headers_timeout());
  AddAccessLog(access_log, options.access_log, manager.mutable_access_log());
  manager.mutable_use_remote_address()->set_value(true);
  manager.mutable_normalize_path()->set_value(true);
  manager.set_strip_trailing_host_dot(true);
  SetDuration(kDelayedCloseTimeout, manager.mutable_delayed_close_timeout());
  auto* common = manager.mutable_common_http_protocol_options();
  SetDuration(std::chrono::seconds(60), common->mutable_idle_timeout());
  common->mutable_max_headers_count()->set_value(kMaxRequestHeaders);
  manager.set_preserve_external_request_id(true);
  return manager;
}

// Adds the connection manager of one of the two ports, with routes by the delivery mode.
void AddIngressManager(bool https, const ListenerOptions& options, const HostLookup& lookup,
                       listener::FilterChain* chain) {
  const std::string_view name = https ? kIngressHTTPS : kIngressHTTP;
  hcm::HttpConnectionManager manager =
      IngressManager(name, https ? options.https_access_log : options.http_access_log, options);
  if (https ? ShardsHTTPS(options.delivery) : ShardsHTTP(options.delivery)) {
    SetScopedRDS(name, options, lookup, &manager);
  } else {
    SetRDS(name, options, &manager);
    AddFallThrough(lookup, &manager);
  }
  Add("envoy.filters.network.http_connection_manager", manager, chain->add_filters());
}

void AddTCPProxy(const graph::TCPProxy& source, const ListenerOptions& options, const Names& names,
                 listener::FilterChain* chain, std::vector<std::string>* used) {
  tcp::TcpProxy proxy;
  proxy.set_stat_prefix(std::string(kIngressHTTPS));
  ClusterNamer namer(names);
  std::vector<Share> shares = Shares(source.clusters, namer);
  // Envoy takes no weight 0 here. (If all were 0, they are 1, so some are left.)
  std::erase_if(shares, [](const Share& share) { return share.weight == 0; });
  for (const Share& share : shares) used->push_back(share.cluster);
  if (shares.size() == 1) {
    proxy.set_cluster(std::move(shares.front().cluster));
  } else {
    for (Share& share : shares) {
      auto* cluster = proxy.mutable_weighted_clusters()->add_clusters();
      cluster->set_name(std::move(share.cluster));
      cluster->set_weight(share.weight);
    }
  }
  AddAccessLog(options.https_access_log, options.access_log, proxy.mutable_access_log());
  SetDuration(std::chrono::seconds(9001), proxy.mutable_idle_timeout());
  proxy.mutable_max_connect_attempts()->set_value(kTCPConnectAttempts);
  Add("envoy.filters.network.tcp_proxy", proxy, chain->add_filters());
}

tls::TlsParameters::TlsProtocol Protocol(graph::TLSVersion version) {
  switch (version) {
    case graph::TLSVersion::k1_1:
      return tls::TlsParameters::TLSv1_1;
    case graph::TLSVersion::k1_2:
      return tls::TlsParameters::TLSv1_2;
    case graph::TLSVersion::k1_3:
      return tls::TlsParameters::TLSv1_3;
  }
  return tls::TlsParameters::TLSv1_3;  // no such version: the strictest
}

struct Versions {
  graph::TLSVersion minimum;
  graph::TLSVersion maximum;
};

// Returns the versions of a host. They are never below the configured minimum, not even if the
// host's maximum is.
Versions VersionsOf(const graph::ListenerHost& secure, const ListenerOptions& options) {
  const graph::TLSVersion minimum = std::max(options.minimum_tls_version, secure.minimum_version);
  return {minimum, std::max(minimum, secure.maximum_version)};
}

// Returns the settings that are the same for every certificate.
tls::DownstreamTlsContext TLSContext(const Versions& versions, bool http) {
  tls::DownstreamTlsContext context;
  auto* common = context.mutable_common_tls_context();
  auto* parameters = common->mutable_tls_params();
  parameters->set_tls_minimum_protocol_version(Protocol(versions.minimum));
  parameters->set_tls_maximum_protocol_version(Protocol(versions.maximum));
  for (const std::string_view suite : kCipherSuites) {
    parameters->add_cipher_suites(std::string(suite));
  }
  if (versions.minimum == graph::TLSVersion::k1_1) {
    for (const std::string_view suite : kOldCipherSuites) {
      parameters->add_cipher_suites(std::string(suite));
    }
  }
  if (http) {
    common->add_alpn_protocols("h2");
    common->add_alpn_protocols("http/1.1");
  }
  return context;
}

void AddTLS(const tls::DownstreamTlsContext& context, listener::FilterChain* chain) {
  Add("envoy.transport_sockets.tls", context, chain->mutable_transport_socket());
  SetDuration(kHandshakeTimeout, chain->mutable_transport_socket_connect_timeout());
}

void SetTLS(const graph::ListenerHost& secure, const ListenerOptions& options, const Names& names,
            listener::FilterChain* chain) {
  tls::DownstreamTlsContext context = TLSContext(VersionsOf(secure, options), !secure.tcp_proxy);
  auto* secret = context.mutable_common_tls_context()->add_tls_certificate_sds_secret_configs();
  secret->set_name(names.Secret(*secure.secret));
  SetConfigSource(options.config_source, secret->mutable_sds_config());
  AddTLS(context, chain);
}

// The secret name for a handshake without a server name. No host has it.
constexpr std::string_view kNoServerName = "(none)";

// Makes Envoy fetch the certificate by the server name, and those of `prefetched` at once.
void SetTLSByServerName(const std::vector<std::string>& prefetched, const ListenerOptions& options,
                        listener::FilterChain* chain) {
  tls::DownstreamTlsContext context =
      TLSContext({options.minimum_tls_version, graph::TLSVersion::k1_3}, true);
  context.set_disable_stateless_session_resumption(true);
  context.set_disable_stateful_session_resumption(true);
  on_demand::Config selector;
  SetConfigSource(options.config_source, selector.mutable_config_source());
  sni::SNI mapper;
  mapper.set_default_value(std::string(kNoServerName));
  Add("envoy.tls.certificate_mappers.sni", mapper, selector.mutable_certificate_mapper());
  for (const std::string& host : prefetched)
    selector.add_prefetch_secret_names(OnDemandSecretName(host));
  Add("envoy.tls.certificate_selectors.on_demand_secret", selector,
      context.mutable_common_tls_context()->mutable_custom_tls_certificate_selector());
  AddTLS(context, chain);
}

void AddTLSHost(std::string_view host, listener::FilterChain* chain) {
  ::envoy::extensions::filters::network::set_filter_state::v3::Config config;
  auto* value = config.add_on_new_connection();
  value->set_object_key(std::string(kTLSHostKey));
  value->set_factory_key("envoy.string");
  std::string format;  // a percent sign would begin an operator
  for (const char c : TLSHostValue(host)) format.append(c == '%' ? 2 : 1, c);
  value->mutable_format_string()->mutable_text_format_source()->set_inline_string(format);
  Add("envoy.filters.network.set_filter_state", config, chain->add_filters());
}

// Closes connections with server names that the wildcard host doesn't take, since Envoy's filter
// chain takes any number of labels. This happens after the handshake, with the client's first
// bytes: no filter of Envoy can close a connection by the name earlier.
void AddServerNames(std::string_view host, listener::FilterChain* chain) {
  ::envoy::extensions::filters::network::rbac::v3::RBAC filter;
  filter.set_stat_prefix(std::string(kIngressHTTPS) + ".");
  auto& policy = (*filter.mutable_rules()->mutable_policies())["server names of the wildcard"];
  policy.add_permissions()->mutable_requested_server_name()->mutable_safe_regex()->set_regex(
      WildcardRegex(LowerCase(Text(host))));
  policy.add_principals()->set_any(true);
  Add("envoy.filters.network.rbac", filter, chain->add_filters());
}

// True if Envoy takes the host in `server_names`: it NACKs the whole listener for a wildcard that
// isn't the first label.
bool IsServerName(std::string_view host) {
  if (IsWildcardHost(host)) host.remove_prefix(2);
  return !host.empty() && host.find('*') == std::string_view::npos;
}

}  // namespace

Resource HTTPListener(const ListenerOptions& options, const HostLookup& lookup) {
  Resource result;
  result.name = kIngressHTTP;
  listener::Listener message;
  message.set_name(result.name);
  SetListenAddress(options.http_address, options.http_port, &message);
  AddKeepalive(message.mutable_socket_options());
  if (options.use_proxy_protocol) AddProxyProtocol(&message);
  AddIngressManager(false, options, lookup, message.add_filter_chains());
  result.bytes = Serialize(message);
  return result;
}

Resource HTTPSListenerHead(const ListenerOptions& options) {
  Resource result;
  result.name = kIngressHTTPS;
  listener::Listener message;
  message.set_name(result.name);
  SetListenAddress(options.https_address, options.https_port, &message);
  AddKeepalive(message.mutable_socket_options());
  if (options.use_proxy_protocol) AddProxyProtocol(&message);
  Add("envoy.filters.listener.tls_inspector",
      ::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector(),
      message.add_listener_filters());
  result.bytes = Serialize(message);
  return result;
}

bool HasFilterChain(const graph::VirtualHost& host) {
  const graph::ListenerHost* secure = host.Find(graph::kHTTPSListener);
  if (secure == nullptr || !IsServerName(host.host)) return false;
  return secure->tcp_proxy ? !secure->tcp_proxy->clusters.empty() : secure->secret != nullptr;
}

std::optional<Resource> TranslateFilterChain(const graph::VirtualHost& host,
                                             const ListenerOptions& options,
                                             const HostLookup& lookup, const Names& names) {
  if (!HasFilterChain(host)) return std::nullopt;
  const graph::ListenerHost& secure = *host.Find(graph::kHTTPSListener);
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<listener::FilterChain>(&arena);
  result.name = Text(host.host);
  message.set_name(result.name);
  // Envoy compares this with the client's SNI in lower case.
  message.mutable_filter_chain_match()->add_server_names(LowerCase(result.name));
  if (secure.secret != nullptr) SetTLS(secure, options, names, &message);
  if (secure.tcp_proxy) {
    AddTCPProxy(*secure.tcp_proxy, options, names, &message, &result.clusters);
    result.clusters.erase(std::unique(result.clusters.begin(), result.clusters.end()),
                          result.clusters.end());
  } else {
    if (IsWildcardHost(host.host)) AddServerNames(host.host, &message);
    if (TakesOwnConnectionsOnly(host, options)) AddTLSHost(host.host, &message);
    AddIngressManager(true, options, lookup, &message);
  }
  result.bytes = Serialize(message);
  return result;
}

bool ShareFilterChain(const graph::VirtualHost& host, const ListenerOptions& options) {
  const graph::ListenerHost* secure = host.Find(graph::kHTTPSListener);
  return secure != nullptr && secure->secret != nullptr && !secure->tcp_proxy &&
         IsServerName(host.host) && !TakesOwnConnectionsOnly(host, options);
}

Resource SharedFilterChain(const ListenerOptions& options, const HostLookup& lookup) {
  Resource result;
  result.name = kSharedFilterChain;
  listener::FilterChain message;
  message.set_name(result.name);
  SetTLSByServerName({}, options, &message);
  AddIngressManager(true, options, lookup, &message);
  result.bytes = Serialize(message);
  return result;
}

std::string OnDemandSecretName(std::string_view host) { return LowerCase(Text(host)); }

Resource CertificatesListener(std::string_view name, const std::vector<std::string>& hosts,
                              const ListenerOptions& options) {
  Resource result;
  result.name = name;
  listener::Listener message;
  message.set_name(result.name);
  // Nobody connects, but Envoy needs an address that no other listener has. The @ makes it a socket
  // without a file.
  message.mutable_address()->mutable_pipe()->set_path("@" + result.name);
  message.mutable_bind_to_port()->set_value(false);
  SetTLSByServerName(hosts, options, message.add_filter_chains());
  result.bytes = Serialize(message);
  return result;
}

bool TakesOwnConnectionsOnly(const graph::VirtualHost& host, const ListenerOptions& options) {
  const graph::ListenerHost* secure = host.Find(graph::kHTTPSListener);
  if (secure == nullptr || secure->secret == nullptr) return false;
  const Versions versions = VersionsOf(*secure, options);
  return versions.minimum != options.minimum_tls_version ||
         versions.maximum != graph::TLSVersion::k1_3 ||
         (IsWildcardHost(host.host) && IsServerName(host.host));
}

std::string TLSHostValue(std::string_view host) { return LowerCase(Text(host)); }

Resource StatsListener(const ListenerOptions& options) {
  Resource result;
  result.name = kStatsHealth;
  listener::Listener message;
  message.set_name(result.name);
  SetListenAddress(options.stats_address, options.stats_port, &message);
  message.set_ignore_global_conn_limit(true);  // health and figures when all connections are in use

  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix("stats");
  auto* backend = manager.mutable_route_config()->add_virtual_hosts();
  backend->set_name("backend");
  backend->add_domains("*");
  auto* stats = backend->add_routes();
  stats->mutable_match()->set_prefix("/stats");
  auto* action = stats->mutable_route();
  action->set_cluster(std::string(kServiceStatsCluster));
  action->mutable_timeout();  // present and 0: none, since the statistics of many hosts take long

  http::health_check::v3::HealthCheck health;
  health.mutable_pass_through_mode()->set_value(false);
  auto* path = health.add_headers();
  path->set_name(":path");
  path->mutable_string_match()->set_exact("/healthz");
  Add("envoy.filters.http.health_check", health, manager.add_http_filters());
  AddRouter(&manager);
  manager.mutable_normalize_path()->set_value(true);
  SetDuration(kDelayedCloseTimeout, manager.mutable_delayed_close_timeout());
  Add("envoy.filters.network.http_connection_manager", manager,
      message.add_filter_chains()->add_filters());
  result.bytes = Serialize(message);
  return result;
}

}  // namespace contour::envoy
