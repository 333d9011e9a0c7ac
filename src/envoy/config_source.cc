// SPDX-License-Identifier: Apache-2.0
#include "envoy/config_source.h"

#include <chrono>
#include <string>

#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/message.h"
#include "envoy/names.h"

namespace contour::envoy {

namespace core = ::envoy::config::core::v3;

void SetStream(bool delta, core::ApiConfigSource* message) {
  message->set_api_type(delta ? core::ApiConfigSource::DELTA_GRPC : core::ApiConfigSource::GRPC);
  message->set_transport_api_version(core::V3);
  auto* grpc = message->add_grpc_services()->mutable_envoy_grpc();
  grpc->set_cluster_name(std::string(kContourCluster));
  auto* back_off = grpc->mutable_retry_policy()->mutable_retry_back_off();
  SetDuration(std::chrono::milliseconds(200), back_off->mutable_base_interval());
  SetDuration(std::chrono::seconds(2), back_off->mutable_max_interval());
}

void SetConfigSource(ConfigSource source, core::ConfigSource* message) {
  message->Clear();
  message->set_resource_api_version(core::V3);
  if (source == ConfigSource::kAds) {
    message->mutable_ads();
    return;
  }
  SetStream(source == ConfigSource::kDeltaGrpc, message->mutable_api_config_source());
}

}  // namespace contour::envoy
