// SPDX-License-Identifier: Apache-2.0

#include "api/endpoint_slice.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {

void Read(JsonReader& reader, EndpointSlice* object) {
  reader.Object("metadata", [&] {
    reader.Object("labels",
                  [&] { reader.String("kubernetes.io/service-name", &object->service_name); });
  });
  reader.String("addressType", &object->address_type);
  reader.Each("endpoints", &object->endpoints, [&](Endpoint& endpoint) {
    reader.Strings("addresses", &endpoint.addresses);
    reader.Object("conditions", [&] {
      reader.Bool("ready", &endpoint.ready);
      reader.Bool("serving", &endpoint.serving);
      reader.Bool("terminating", &endpoint.terminating);
    });
    reader.String("zone", &endpoint.zone);
  });
  reader.Each("ports", &object->ports, [&](EndpointPort& port) { ReadPort(reader, &port); });
}

bool SameSpec(const EndpointSlice& a, const EndpointSlice& b) {
  return a.service_name == b.service_name && a.address_type == b.address_type &&
         a.endpoints == b.endpoints && a.ports == b.ports;
}

}  // namespace contour::api
