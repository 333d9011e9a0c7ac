// SPDX-License-Identifier: Apache-2.0
// Makes the bootstrap file of an Envoy that takes its configuration from contour
// (envoy.config.bootstrap.v3.Bootstrap, as JSON with the names of the protobuf fields).
//
// Example:
//   BootstrapOptions options;
//   options.xds_address = "contour.projectcontour.svc";
//   CONTOUR_ASSIGN_OR_RETURN(const std::string json, BootstrapJSON(options));
//
// Envoy starts only with a node id and cluster; its flags --service-node and --service-cluster win
// over those of the file. The listener of metrics and health isn't in the file: it comes by LDS.
//
// With TLS and a resources folder the certificates come from SDS files in that folder. Envoy reads
// these files, and the certificates that they name, again when something is moved into the folder
// of the certificates: by rename, or when `..data` of a mounted Secret is replaced. So a renewal
// needs no restart. Without the folder Envoy reads the certificates only when it starts.
//
// Pure: nothing is read or written; paths are only written into the result.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace contour::envoy {

// The xDS mode: one aggregated stream or one per type, incremental or state of the world.
enum class BootstrapMode : std::uint8_t { kDeltaAds, kSotwAds, kDelta, kSotw };

// Returns the mode with the name "delta-ads", "sotw-ads", "delta" or "sotw". kInvalidArgument names
// the four.
absl::StatusOr<BootstrapMode> ParseBootstrapMode(std::string_view name);

struct BootstrapOptions {
  BootstrapMode mode = BootstrapMode::kDeltaAds;
  // The address at which contour serves xDS. Envoy resolves a host name repeatedly.
  std::string xds_address = "127.0.0.1";
  std::uint16_t xds_port = 8001;
  // A loopback address (127.0.0.0/8, ::1) or the absolute path of a Unix socket, since the admin
  // interface can stop Envoy and shows private data.
  std::string admin_address = "127.0.0.1";
  // With a Unix socket this is only part of the name of a statistic.
  std::uint16_t admin_port = 9001;
  // Paths in Envoy's container, all three or none: the CA that signed contour's certificate (for
  // the name `contour`), and the client certificate and key of Envoy. None: no TLS.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  // Folder in Envoy's container for BootstrapResources(); empty: none are used.
  std::string resources_dir;
  // Contour's namespace: part of the statistics' names.
  std::string ns = "heptio-contour";
  // The id of this Envoy, which contour and Envoy's logs show. Each Envoy must have its own. Empty:
  // no node is written, and Envoy needs the flags.
  std::string node_id;
  std::string node_cluster = "contour";
  // Limits of Envoy's overload manager; 0: none. Near the limit of the heap Envoy gives memory back
  // (95 %), then refuses requests (98 %). Above the limit of connections, counted over all ingress
  // listeners, Envoy closes new ones at once; the stats listener and the admin interface are
  // exempt.
  std::uint64_t max_heap_bytes = 0;
  std::uint32_t max_downstream_connections = 0;
};

// A file that the bootstrap refers to (envoy.service.discovery.v3.DiscoveryResponse, as JSON).
struct ResourceFile {
  std::string path;
  std::string content;
};

// Returns the bootstrap as one line without a line end. kInvalidArgument: only some of the three
// TLS files are given, or the admin address is neither loopback nor the path of a socket.
absl::StatusOr<std::string> BootstrapJSON(const BootstrapOptions& options);

// Returns the files that must exist before an Envoy starts with BootstrapJSON() of the same
// options: <resources_dir>/sds/xds-tls-certificate.json and xds-validation-context.json; none
// without TLS or without a resources folder. It gives the same errors as BootstrapJSON().
absl::StatusOr<std::vector<ResourceFile>> BootstrapResources(const BootstrapOptions& options);

}  // namespace contour::envoy
