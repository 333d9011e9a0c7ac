// SPDX-License-Identifier: Apache-2.0

#include "envoy/adapt.h"

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/message.h"
#include "envoy/on_demand_secret.pb.h"

namespace contour::envoy {
namespace {

namespace on_demand =
    ::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3;
using ::envoy::config::cluster::v3::Cluster;
using ::envoy::config::listener::v3::FilterChain;
using ::envoy::config::listener::v3::Listener;
using ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using ::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;

void AdaptFilterChain(ConfigSource source, FilterChain& chain) {
  for (auto& filter : *chain.mutable_filters()) {
    HttpConnectionManager manager;
    if (!filter.typed_config().UnpackTo(&manager)) continue;
    if (manager.has_rds()) {
      SetConfigSource(source, manager.mutable_rds()->mutable_config_source());
    } else if (manager.has_scoped_routes()) {
      auto& scoped = *manager.mutable_scoped_routes();
      SetConfigSource(source, scoped.mutable_rds_config_source());
      SetConfigSource(source, scoped.mutable_scoped_rds()->mutable_scoped_rds_config_source());
    } else {
      continue;
    }
    Pack(manager, filter.mutable_typed_config());
  }
  DownstreamTlsContext tls;
  if (!chain.has_transport_socket() || !chain.transport_socket().typed_config().UnpackTo(&tls))
    return;
  for (auto& secret :
       *tls.mutable_common_tls_context()->mutable_tls_certificate_sds_secret_configs()) {
    SetConfigSource(source, secret.mutable_sds_config());
  }
  if (tls.common_tls_context().has_custom_tls_certificate_selector()) {
    auto* any = tls.mutable_common_tls_context()
                    ->mutable_custom_tls_certificate_selector()
                    ->mutable_typed_config();
    on_demand::Config selector;
    if (any->UnpackTo(&selector)) {
      SetConfigSource(source, selector.mutable_config_source());
      Pack(selector, any);
    }
  }
  Pack(tls, chain.mutable_transport_socket()->mutable_typed_config());
}

}  // namespace

std::string AdaptCluster(std::string_view bytes, ConfigSource source) {
  Cluster cluster;
  if (!cluster.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !cluster.has_eds_cluster_config()) {
    return std::string(bytes);
  }
  SetConfigSource(source, cluster.mutable_eds_cluster_config()->mutable_eds_config());
  return Serialize(cluster);
}

std::string AdaptListener(std::string_view bytes, ConfigSource source) {
  Listener listener;
  if (!listener.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return std::string(bytes);
  for (FilterChain& chain : *listener.mutable_filter_chains()) AdaptFilterChain(source, chain);
  return Serialize(listener);
}

}  // namespace contour::envoy
