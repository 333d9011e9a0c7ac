// SPDX-License-Identifier: Apache-2.0
#include "envoy/config_source.h"

#include <string>

#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/names.h"

namespace contour::envoy {

namespace core = ::envoy::config::core::v3;

void SetConfigSource(ConfigSource source, core::ConfigSource* message) {
  message->Clear();
  message->set_resource_api_version(core::V3);
  if (source == ConfigSource::kAds) {
    message->mutable_ads();
    return;
  }
  auto* api = message->mutable_api_config_source();
  api->set_api_type(source == ConfigSource::kGrpc ? core::ApiConfigSource::GRPC
                                                  : core::ApiConfigSource::DELTA_GRPC);
  api->set_transport_api_version(core::V3);
  api->add_grpc_services()->mutable_envoy_grpc()->set_cluster_name(std::string(kContourCluster));
}

}  // namespace contour::envoy
