// SPDX-License-Identifier: Apache-2.0

#include "api/service.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {

void ReadLoadBalancer(JsonReader& reader, std::vector<LoadBalancerIngress>* addresses) {
  reader.Object("status", [&] {
    reader.Object("loadBalancer", [&] {
      reader.Each("ingress", addresses, [&](LoadBalancerIngress& address) {
        reader.String("ip", &address.ip);
        reader.String("hostname", &address.hostname);
      });
    });
  });
}

void Read(JsonReader& reader, Service* object) {
  reader.Object("spec", [&] {
    reader.String("type", &object->spec.type);
    reader.String("externalName", &object->spec.external_name);
    reader.Each("ports", &object->spec.ports, [&](ServicePort& port) {
      reader.String("name", &port.name);
      reader.Port("port", &port.port);
      reader.String("protocol", &port.protocol);
    });
  });
  ReadLoadBalancer(reader, &object->load_balancer);
}

bool SameSpec(const Service& a, const Service& b) { return a.spec == b.spec; }
bool SameStatus(const Service& a, const Service& b) { return a.load_balancer == b.load_balancer; }

}  // namespace contour::api
