// SPDX-License-Identifier: Apache-2.0
// The configuration of `contour serve`. A value is immutable once it is loaded. A changed file
// gives a new value; settings in it that can't be applied at once wait for a restart.
//
// Example, given `const GivenFlags& flags`:
//   CONTOUR_ASSIGN_OR_RETURN(const auto loaded, LoadServe(flags, ProcessEnvironment()));
//   const std::string manifests = loaded->serve().manifests;
//
// A new setting needs a member here and a line in serve.cc.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/log.h"
#include "config/settings.h"

namespace contour::config {

enum class TLSVersion : std::uint8_t { k1_1, k1_2, k1_3 };
enum class LockKind : std::uint8_t { kLease, kConfigMap };
// The replicas that serve xDS: the leader alone, or all.
enum class ServedBy : std::uint8_t { kLeader, kAll };

// The delivery mode. kClassic: all hosts of a listener are one route configuration. kSharded: each
// host of plain HTTP is a scoped route configuration. kShardedHTTPS: HTTPS hosts are too, and their
// certificates are found by server name.
enum class Delivery : std::uint8_t { kClassic, kSharded, kShardedHTTPS };

enum class AccessLogFormat : std::uint8_t { kEnvoy, kJSON };
enum class AccessLogLevel : std::uint8_t { kInfo, kError, kCritical, kDisabled };

struct ListenerSettings {
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8080;
  std::string http_access_log = "/dev/stdout";
  std::string https_address = "0.0.0.0";
  std::uint16_t https_port = 8443;
  std::string https_access_log = "/dev/stdout";
  std::string stats_address = "0.0.0.0";
  std::uint16_t stats_port = 8002;
  AccessLogFormat access_log_format = AccessLogFormat::kEnvoy;
  std::string access_log_format_string;        // empty: Envoy's own
  std::vector<std::string> access_log_fields;  // empty: the usual ones
  AccessLogLevel access_log_level = AccessLogLevel::kInfo;
  bool use_proxy_protocol = false;
  std::uint32_t max_concurrent_streams = 100;
  TLSVersion minimum_tls_version = TLSVersion::k1_2;
  Delivery delivery = Delivery::kClassic;
};

struct LeaderElection {
  bool enabled = false;
  LockKind lock = LockKind::kLease;
  std::string lock_name = "contour";
  std::string lock_namespace = "leader-elect";
  std::string identity;  // empty: the host's name and random digits
  std::string pod_ip;    // the address that the leader publishes; empty: it publishes none
  ServedBy served_by = ServedBy::kLeader;
  std::chrono::milliseconds lease_duration{15'000};
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};
};

struct Serve {
  std::string config_path;

  // The source of the objects.
  std::string manifests;   // empty: a cluster
  std::string status_dir;  // the folder for status files; empty: none
  bool in_cluster = false;
  std::string kubeconfig;  // empty: found as kubectl does
  std::string own_namespace = "heptio-contour";
  std::string snapshot_file;  // empty: none

  // The meaning of the objects.
  std::vector<std::string> root_namespaces;   // empty: all
  std::vector<std::string> watch_namespaces;  // empty: all
  std::vector<std::string> without;           // names of kinds that are not read
  std::string ingress_class;                  // empty: "contour"
  // The addresses of Envoy, for the status of Ingresses. If the list is empty, the addresses of the
  // load balancer of the Service below are taken.
  std::vector<std::string> ingress_status_address;
  std::string envoy_service_name = "envoy";
  std::string envoy_service_namespace;  // empty: contour's own
  bool disable_permit_insecure = false;
  bool external_name_services = true;

  // The xDS server.
  std::string xds_address = "127.0.0.1";
  std::uint16_t xds_port = 8001;
  std::chrono::milliseconds xds_connection_age{0};  // 0: no limit
  bool insecure = false;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;

  ListenerSettings listeners;
  LeaderElection leader_election;

  // Health and metrics, debugging, log.
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8000;
  std::string debug_http_address = "127.0.0.1";
  std::uint16_t debug_http_port = 6060;
  log::Format log_format = log::Format::kText;
  bool debug = false;
};

// The values, and where each came from. It can't be moved, since the settings refer to the values.
class LoadedServe {
 public:
  LoadedServe();  // has the defaults
  LoadedServe(const LoadedServe&) = delete;
  LoadedServe& operator=(const LoadedServe&) = delete;

  const Serve& serve() const { return serve_; }
  const Settings& settings() const { return settings_; }
  // Returns the text of the configuration file, "" if there is none.
  const std::string& file_text() const { return file_text_; }

 private:
  friend absl::StatusOr<std::unique_ptr<const LoadedServe>> LoadServe(
      const GivenFlags& flags, const Environment& environment);

  Serve serve_;
  Settings settings_;
  std::string file_text_;
  // The values of the keys. LockKind and the names above follow from which of them are given.
  std::string config_map_name_ = "contour";
  std::string config_map_namespace_ = "leader-elect";
  std::string lease_name_ = "contour";
  std::string lease_namespace_ = "leader-elect";

  void Declare();
  absl::Status ChooseLock();
  absl::Status Check() const;
};

// Reads the file that the flag -c names, if any, and returns the values of flags, environment, file
// and defaults. Errors are written for the person who wrote the configuration.
absl::StatusOr<std::unique_ptr<const LoadedServe>> LoadServe(const GivenFlags& flags,
                                                             const Environment& environment);

}  // namespace contour::config
