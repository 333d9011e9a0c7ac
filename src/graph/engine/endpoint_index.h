// SPDX-License-Identifier: Apache-2.0
// Works out the addresses behind a Service's port from EndpointSlices, and from Endpoints of
// manifest folders. Endpoints never enter a derivation: their changes touch only the assignments of
// their own Service.
//
//   EndpointIndex index;
//   std::vector<ServiceKey> services = index.Apply(change);   // whose addresses may differ now
//   Assignment assignment = index.Build(services[0], "http");
//
// The slices of a Service are merged and duplicates removed. An endpoint counts if `ready` is not
// false; if none of the Service does, those count that are serving while they terminate (as
// kube-proxy does it). Ports are taken by name; a name that one side lacks matches any. Only TCP
// and IP addresses: Envoy refuses an assignment that holds a host name. One thread.

#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/endpoints.h"
#include "api/source.h"
#include "graph/model/endpoints.h"

namespace contour::graph {

class EndpointIndex {
 public:
  // Takes changes of EndpointSlice and Endpoints and ignores others. Returns the Services whose
  // addresses may differ now: two if a slice moves from one to another, none if the meaning is the
  // same.
  std::vector<ServiceKey> Apply(const api::Change& change);

  Assignment Build(const ServiceKey& service, const std::string& port_name) const;

  // Returns the Service of an EndpointSlice or Endpoints object; nullopt: the object is unknown, or
  // belongs to none.
  std::optional<ServiceKey> FindService(const api::ObjectRef& ref) const;

  std::size_t size() const { return objects_.size(); }

 private:
  struct ByRef {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Key(a) < Key(b);
    }
    static auto Key(const api::ObjectRef& ref) { return std::tie(ref.kind, ref.ns, ref.name); }
    static auto Key(const api::ObjectPtr& object) {
      return std::tie(object->kind, object->meta.ns, object->meta.name);
    }
  };

  std::set<api::ObjectPtr, ByRef> objects_;                  // those that belong to a Service
  std::map<ServiceKey, std::set<api::ObjectPtr>> services_;  // none is empty
};

}  // namespace contour::graph
