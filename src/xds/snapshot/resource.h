// SPDX-License-Identifier: Apache-2.0
// The resources that are sent to Envoy: the types of xDS v3 and resources as immutable,
// already serialised values. No gRPC, no protobuf messages, nothing of Kubernetes.
//
//   Resource cluster{.name = "default/kuard/80/da39a3ee5e", .bytes = serialized};
//   cluster.warm_by = WarmBy::kAssignment;
//   cluster.assignment = "default/kuard";
//   SnapshotEditor editor(base);
//   editor.Set(ResourceType::kCluster, std::move(cluster));
//
// A big resource is a head and parts: a RouteConfiguration without its virtual hosts plus each
// virtual host, a Listener without its filter chains plus each chain. It is put together from these
// bytes when it is sent and never built as a message; its version follows from the hashes of head
// and parts, so a changed part costs one part.

#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "xds/snapshot/persistent_map.h"

namespace contour::xds {

enum class ResourceType : std::uint8_t {
  kCluster,
  kEndpoints,
  kListener,
  kRoutes,
  kSecret,
  kScopedRoutes,  // the routes of one host, as a resource of their own
};
inline constexpr std::size_t kResourceTypes = 6;

// Says how the protocol treats a type. A further type is a further row of kTypes.
struct TypeInfo {
  ResourceType type;
  std::string_view name;     // in logs and metrics: the field's short name
  std::string_view url;      // of the messages in Any
  std::string_view service;  // gRPC service of its own streams
  std::string_view method;   // Stream<method>, Delta<method>
  // State of the world: an answer holds everything that is subscribed, and what it lacks is thereby
  // withdrawn. The other types are answered with what changed.
  bool whole;
  // State of the world: a name that doesn't exist is answered by a message with only its name
  // (field 1 in each).
  bool blank_if_unknown;
  std::uint32_t parts_field;  // of the repeated sub-message that parts are; 0: no parts
  // Envoy rejects a resource that is made of parts and has none (a listener without filter chains).
  bool needs_parts = false;
};

inline constexpr std::array<TypeInfo, kResourceTypes> kTypes = {{
    {ResourceType::kCluster, "CDS", "type.googleapis.com/envoy.config.cluster.v3.Cluster",
     "envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", true, false, 0},
    {ResourceType::kEndpoints, "EDS",
     "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
     "envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", false, true, 0},
    {ResourceType::kListener, "LDS", "type.googleapis.com/envoy.config.listener.v3.Listener",
     "envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", true, false, 3, true},
    {ResourceType::kRoutes, "RDS", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
     "envoy.service.route.v3.RouteDiscoveryService", "Routes", false, true, 2},
    {ResourceType::kSecret, "SDS",
     "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
     "envoy.service.secret.v3.SecretDiscoveryService", "Secrets", false, false, 0},
    {ResourceType::kScopedRoutes, "SRDS",
     "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
     "envoy.service.route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", true, false, 0},
}};

constexpr std::size_t Index(ResourceType type) { return static_cast<std::size_t>(type); }
constexpr const TypeInfo& Info(ResourceType type) { return kTypes[Index(type)]; }
static_assert(Info(ResourceType::kScopedRoutes).type == ResourceType::kScopedRoutes &&
                  kTypes[0].type == ResourceType::kCluster,
              "rows are in the order of the enumeration");

// Returns nullptr if `url` is no type of ours.
const TypeInfo* FindType(std::string_view url);

// Names what Envoy can reject by itself: a resource, or of a composite resource one part (a virtual
// host, a filter chain) or its head.
struct ResourceKey {
  ResourceType type = ResourceType::kCluster;
  std::string resource;
  std::optional<std::string> part;  // nullopt: the resource, of a composite one its head
  bool operator==(const ResourceKey&) const = default;
  auto operator<=>(const ResourceKey&) const = default;
};

// A piece of a composite resource. Immutable once in a snapshot.
struct Part {
  std::string name;   // unique in its resource; parts are sent in the order of their names
  std::string bytes;  // the sub-message, serialised, without tag and length
  // Clusters that it routes to, sorted: it is sent to an Envoy when those that it newly needs are
  // warm there, and none of them is withdrawn while it is in use there. Must follow from the bytes.
  std::vector<std::string> clusters;
  Hash128 version;  // set by SnapshotEditor
};
using PartPtr = std::shared_ptr<const Part>;
using Parts = PersistentMap<Part>;

// Says what shows that an Envoy can use a cluster.
enum class WarmBy : std::uint8_t {
  kAcknowledgement,  // the CDS response was acknowledged (DNS, static, health-checked clusters)
  kAssignment,  // its ClusterLoadAssignment was acknowledged after the cluster (EDS without health
                // check)
};

// Immutable once in a snapshot (and on disk: a member more, here or in Part, goes into
// snapshot_file.cc). Everything but `parts` must follow from the bytes: equal bytes are an equal
// resource.
struct Resource {
  std::string name;
  std::string bytes;  // the message, serialised deterministically, not wrapped in Any; of a
                      // composite: the head
  std::vector<std::string> clusters;  // as in Part, for the resource as a whole

  // The following members are set for clusters only.
  WarmBy warm_by = WarmBy::kAcknowledgement;
  std::string assignment;  // name of its ClusterLoadAssignment, with or without health check;
                           // empty: not EDS
  // How long after its acknowledgement a health check or DNS may take. Counts only for streams per
  // type, where Envoy acknowledges before the cluster is warm; in ADS the acknowledgement itself
  // waits.
  std::chrono::milliseconds warm_time{0};

  // Set for assignments only: it has no endpoint. What newly needs its cluster waits a
  // moment for endpoints (see Session::Options::empty_wait). A blank one is so by itself.
  bool without_endpoints = false;

  Parts parts = {};
  Hash128 version = {};  // set by SnapshotEditor
  // False only in the state of an Envoy, which has some content under this name that we can't know.
  bool known = true;
};
using ResourcePtr = std::shared_ptr<const Resource>;

// True if both are nullptr or have the same content.
bool SameVersion(const ResourcePtr& a, const ResourcePtr& b);

// Returns the version of the content of a part. `part`: nullopt stands for the resource, of a
// composite one for its head. Returns nullopt if there is no such part.
std::optional<Hash128> ContentVersion(const Resource& resource,
                                      const std::optional<std::string>& part);

// Returns the whole message: the head, then the parts in the order of their names. Deterministic.
std::string Assemble(ResourceType type, const Resource& resource);

// Returns a message with nothing but its name: an assignment without endpoints, a route
// configuration without hosts.
ResourcePtr MakeBlank(std::string_view name);

// Returns the resource under another name (field 1, which comes first). REQUIRES: no parts.
ResourcePtr Renamed(const Resource& resource, std::string_view name);

// Returns a resource that stands for what an Envoy has under `name` in a version that we don't know
// (learned from its initial_resource_versions).
ResourcePtr MakeUnknown(std::string_view name, const Hash128& version);

}  // namespace contour::xds
