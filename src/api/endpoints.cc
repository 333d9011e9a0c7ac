// SPDX-License-Identifier: Apache-2.0

#include "api/endpoints.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {
namespace {

void ReadAddresses(JsonReader& reader, std::string_view key, std::vector<std::string>* addresses) {
  reader.Each(key, addresses, [&](std::string& address) { reader.String("ip", &address); });
}

}  // namespace

void ReadPort(JsonReader& reader, EndpointPort* port) {
  reader.String("name", &port->name);
  reader.Port("port", &port->port);
  reader.String("protocol", &port->protocol);
}

void Read(JsonReader& reader, Endpoints* object) {
  reader.Each("subsets", &object->subsets, [&](EndpointSubset& subset) {
    ReadAddresses(reader, "addresses", &subset.addresses);
    ReadAddresses(reader, "notReadyAddresses", &subset.not_ready_addresses);
    reader.Each("ports", &subset.ports, [&](EndpointPort& port) { ReadPort(reader, &port); });
  });
}

bool SameSpec(const Endpoints& a, const Endpoints& b) { return a.subsets == b.subsets; }

}  // namespace contour::api
