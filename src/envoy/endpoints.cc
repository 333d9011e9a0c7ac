// SPDX-License-Identifier: Apache-2.0
#include "envoy/endpoints.h"

#include <google/protobuf/arena.h>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/message.h"

namespace contour::envoy {

namespace endpoint = ::envoy::config::endpoint::v3;

Resource TranslateAssignment(const graph::Assignment& assignment, const Names& names) {
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<endpoint::ClusterLoadAssignment>(&arena);
  result.name =
      ServiceName({assignment.ns, assignment.service, assignment.port_name}, names.hash_digits);
  message.set_cluster_name(result.name);
  endpoint::LocalityLbEndpoints* locality = nullptr;
  for (const graph::Assignment::Address& address : assignment.addresses) {
    if (!IsIP(address.ip)) continue;
    if (locality == nullptr) locality = message.add_endpoints();
    SetAddress(address.ip, address.port,
               locality->add_lb_endpoints()->mutable_endpoint()->mutable_address());
  }
  result.bytes = Serialize(message);
  return result;
}

}  // namespace contour::envoy
