// SPDX-License-Identifier: Apache-2.0
// The bootstrap file of an Envoy that takes its configuration from contour
// (envoy.config.bootstrap.v3.Bootstrap, as JSON with the names of the protobuf fields).
//
//   BootstrapOptions options;
//   options.xds_address = "contour.projectcontour.svc";
//   CONTOUR_ASSIGN_OR_RETURN(const std::string json, BootstrapJSON(options));
//
// Envoy starts only with a node id and cluster; its flags --service-node and --service-cluster win
// over those of the file. The listener of metrics and health isn't here: it comes by LDS.
//
// With TLS and a resources folder the certificates come from SDS files in that folder, which Envoy
// reads again, together with the certificates that they name, when something is moved into the
// folder of the certificates: by rename, or by the swap of `..data` in a mounted Secret. So a
// renewal needs no restart. Without the folder Envoy reads the certificates once, as it starts.
//
// Pure: nothing is read or written, paths are only named in the result.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "envoy/config_source.h"

namespace contour::envoy {

// How Envoy asks: by one aggregated stream or one per type, for changes or for the state of the
// world.
enum class BootstrapMode : std::uint8_t { kDeltaAds, kSotwAds, kDelta, kSotw };

// "delta-ads", "sotw-ads", "delta", "sotw".
std::string_view BootstrapModeName(BootstrapMode mode);
// The inverse. kInvalidArgument names the four.
absl::StatusOr<BootstrapMode> ParseBootstrapMode(std::string_view name);

// What the resources served to such an Envoy must use in their references.
ConfigSource ConfigSourceOf(BootstrapMode mode);

struct BootstrapOptions {
  BootstrapMode mode = BootstrapMode::kDeltaAds;
  // Where contour serves xDS. A host name is resolved by Envoy, again and again.
  std::string xds_address = "127.0.0.1";
  std::uint16_t xds_port = 8001;
  // The admin interface can stop Envoy and shows private matters: a loopback address (127.0.0.0/8,
  // ::1), or the absolute path of a Unix socket.
  std::string admin_address = "127.0.0.1";
  // With a Unix socket only part of a statistic's name.
  std::uint16_t admin_port = 9001;
  // Paths in Envoy's container, all three or none: the CA that signed contour's certificate (for
  // the name `contour`), and the certificate and key that Envoy shows. None: no TLS.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  // Folder in Envoy's container for BootstrapResources(); empty: none are used.
  std::string resources_dir;
  // Contour's namespace: part of the statistics' names.
  std::string ns = "heptio-contour";
  // Who this Envoy says that it is, to contour and in its logs: one id for each Envoy of the fleet.
  // Empty: nothing is written, and Envoy needs the flags.
  std::string node_id;
  std::string node_cluster = "contour";
  // Limits of Envoy's overload manager; 0: none. Near the heap's limit Envoy gives memory back
  // (95 %), then refuses requests (98 %). Above the number of connections, all of the ingress
  // listeners together, new ones are closed at once; the stats listener and the admin interface are
  // exempt.
  std::uint64_t max_heap_bytes = 0;
  std::uint32_t max_downstream_connections = 0;
};

// A file that the bootstrap refers to (envoy.service.discovery.v3.DiscoveryResponse, as JSON).
struct ResourceFile {
  std::string path;
  std::string content;
};

// One line without a line end. kInvalidArgument: some of the three TLS files are missing, or the
// admin address is neither loopback nor the path of a socket.
absl::StatusOr<std::string> BootstrapJSON(const BootstrapOptions& options);

// The files that must be there before an Envoy starts with BootstrapJSON() of the same options:
// <resources_dir>/sds/xds-tls-certificate.json and xds-validation-context.json; none without TLS or
// without a resources folder. Errors as there.
absl::StatusOr<std::vector<ResourceFile>> BootstrapResources(const BootstrapOptions& options);

}  // namespace contour::envoy
