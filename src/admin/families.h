// SPDX-License-Identifier: Apache-2.0
// Declares every metric of the program once. MetricsText takes no other name (the compiler reports
// it). Tests compare docs/metrics.md, and the rules and dashboards of deploy/, with this table. A
// new metric is a row here and a Set() where the number is.
//
// Names, labels and help of the first group are those of Contour 0.15, which dashboards depend on.
// Other names begin with contour_, followed by the room; durations are in seconds, times in seconds
// since 1970.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

namespace contour::admin {

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram, kSummary };

// Which processes have the metric.
enum class Presence : std::uint8_t {
  kAlways,
  kCluster,    // objects come from an API server
  kManifests,  // objects come from a folder
  kElection,   // with leader election
  kIfAny,      // one series for each object, so there may be none
};

struct Family {
  std::string_view name;
  MetricType type = MetricType::kGauge;
  Presence presence = Presence::kAlways;
  std::array<std::string_view, 3> labels = {};  // "" after the last
  std::string_view help;
  // Series beyond this number are left out, the last ones by order, and are counted in
  // contour_metrics_left_out: a family must not grow without bound with what users create.
  std::size_t limit = 1000;

  constexpr std::size_t LabelCount() const {
    std::size_t count = 0;
    while (count < labels.size() && !labels[count].empty()) ++count;
    return count;
  }
};

namespace families_internal {
inline constexpr auto kCounter = MetricType::kCounter;
inline constexpr auto kGauge = MetricType::kGauge;
inline constexpr auto kHistogram = MetricType::kHistogram;
inline constexpr auto kSummary = MetricType::kSummary;
inline constexpr auto kAlways = Presence::kAlways;
inline constexpr auto kCluster = Presence::kCluster;
inline constexpr auto kManifests = Presence::kManifests;
inline constexpr auto kElection = Presence::kElection;
inline constexpr auto kIfAny = Presence::kIfAny;

// clang-format off: a table
inline constexpr Family kFamilies[] = {
    // These are the metrics of Contour 0.15.
    {"contour_ingressroute_total", kGauge, kIfAny, {"namespace"}, "Total number of IngressRoutes"},
    {"contour_ingressroute_root_total", kGauge, kIfAny, {"namespace"}, "Total number of root IngressRoutes"},
    {"contour_ingressroute_valid_total", kGauge, kIfAny, {"namespace", "vhost"}, "Total number of valid IngressRoutes", 10'000},
    {"contour_ingressroute_invalid_total", kGauge, kIfAny, {"namespace", "vhost"}, "Total number of invalid IngressRoutes", 10'000},
    {"contour_ingressroute_orphaned_total", kGauge, kIfAny, {"namespace"}, "Total number of orphaned IngressRoutes"},
    {"contour_ingressroute_dagrebuild_timestamp", kGauge, kAlways, {}, "Timestamp of the last DAG rebuild"},
    {"contour_cachehandler_onupdate_duration_seconds", kSummary, kAlways, {}, "Histogram for the runtime of xDS cache regeneration"},

    // The leader election.
    {"contour_leader_role", kGauge, kElection, {"role"}, "1 for the role that this instance has: standby, leader, or cut-off (it was the leader, can't renew the lock, and knows of no other)"},
    {"contour_leader_lock_usable", kGauge, kElection, {}, "1 if the last request for the lock was answered as it should"},
    {"contour_leader_lock_watched", kGauge, kElection, {}, "1 if the lock is watched, so that its release is seen at once"},
    {"contour_leader_lock_transitions", kGauge, kElection, {}, "How often the lock changed hands, as it says itself"},
    {"contour_leader_gained_total", kCounter, kElection, {}, "Times that this instance became the leader"},
    {"contour_leader_lost_total", kCounter, kElection, {}, "Times that it ceased to be the leader"},
    {"contour_leader_renewals_total", kCounter, kElection, {}, "Writes of the lock that succeeded"},
    {"contour_leader_failures_total", kCounter, kElection, {}, "Requests for the lock that failed"},
    {"contour_leader_address_published", kGauge, kElection, {}, "1 if this instance leads and the EndpointSlice contour-leader is known to be right: it names this instance and no other slice leads elsewhere, or, where all replicas serve, it names nobody"},

    // The program.
    {"contour_build_info", kGauge, kAlways, {"version"}, "Version of the program; always 1"},
    {"contour_config_file_wrong", kGauge, kAlways, {}, "1 if the configuration file has changed to what can't be used; what was in force stays"},
    {"contour_config_waiting_for_restart", kGauge, kAlways, {}, "Settings of the configuration file that have changed and need a restart"},
    {"contour_own_certificate_not_after_seconds", kGauge, kIfAny, {"file"}, "When a certificate of the xDS port, or of its CA, that is in use expires, in seconds since 1970; without the series there is none"},
    {"contour_own_certificate_usable", kGauge, kIfAny, {}, "1 if the TLS files of the xDS port can be used as they are now; 0: the last good ones are in use, or none, and contour isn't ready"},
    {"contour_metrics_left_out", kGauge, kIfAny, {"family"}, "Series that are not shown because the family has too many"},
    {"process_cpu_seconds_total", kCounter, kAlways, {}, "Total user and system CPU time spent in seconds."},
    {"process_open_fds", kGauge, kAlways, {}, "Number of open file descriptors."},
    {"process_max_fds", kGauge, kAlways, {}, "Maximum number of open file descriptors."},
    {"process_virtual_memory_bytes", kGauge, kAlways, {}, "Virtual memory size in bytes."},
    {"process_resident_memory_bytes", kGauge, kAlways, {}, "Resident memory size in bytes."},
    {"process_start_time_seconds", kGauge, kAlways, {}, "Start time of the process since unix epoch in seconds."},
    {"process_threads", kGauge, kAlways, {}, "Number of OS threads in the process."},

    // Objects from an API server.
    {"contour_kube_objects", kGauge, kCluster, {"kind"}, "Objects that are known"},
    {"contour_kube_events_total", kCounter, kCluster, {"kind"}, "Watch events received"},
    {"contour_kube_lists_total", kCounter, kCluster, {"kind"}, "Complete lists"},
    {"contour_kube_failures_total", kCounter, kCluster, {"kind"}, "Lists and watches that failed"},
    {"contour_kube_bad_objects_total", kCounter, kCluster, {"kind"}, "Objects that could not be read"},
    {"contour_kube_synced", kGauge, kCluster, {"kind"}, "1 if the kind was listed completely, is proven to be absent, or is left out"},
    {"contour_kube_forbidden", kGauge, kCluster, {"kind"}, "1 if the permission to read the kind is missing"},
    {"contour_kube_absent", kGauge, kCluster, {"kind"}, "1 if the kind is proven not to be installed"},
    {"contour_kube_left_out", kGauge, kCluster, {"kind"}, "1 if the kind is left out, since reading it is forbidden and the configuration allows that"},
    {"contour_kube_unknown_seconds", kGauge, kCluster, {"kind"}, "For how long it hasn't been known for certain what there is of the kind; what was known of it is in force. 0: it is known"},
    {"contour_kube_silence_seconds", kGauge, kCluster, {"kind"}, "Time since anything was received for the kind; bookmarks come about every minute"},

    // Objects from a folder.
    {"contour_manifests_files", kGauge, kManifests, {}, "Manifest files that are known"},
    {"contour_manifests_objects", kGauge, kManifests, {}, "Objects of manifests that are in force"},
    {"contour_manifests_problems", kGauge, kManifests, {}, "Manifest files with a problem now"},
    {"contour_manifests_failed_reads_total", kCounter, kManifests, {}, "Reads of a manifest that failed"},

    // The snapshot file.
    {"contour_serving_from_snapshot_file", kGauge, kAlways, {}, "1 while what is served comes from --snapshot-file, as the objects could not be read yet"},
    {"contour_snapshot_file_writes_total", kCounter, kIfAny, {}, "Writes of the snapshot file"},
    {"contour_snapshot_file_held_back", kGauge, kIfAny, {}, "1 while the snapshot file isn't replaced, because what would take its place is suspiciously smaller"},
    {"contour_snapshot_file_failures_total", kCounter, kIfAny, {}, "Writes of the snapshot file that failed"},
    {"contour_snapshot_file_written_seconds", kGauge, kIfAny, {}, "When the snapshot file was last written by this process, in seconds since 1970; 0: not yet"},

    // From objects to resources.
    {"contour_core_batches_total", kCounter, kAlways, {}, "Batches of changes that were built"},
    {"contour_core_changes_total", kCounter, kAlways, {}, "Changes of objects that were taken in"},
    {"contour_core_busy_seconds_total", kCounter, kAlways, {}, "Time in derivation, translation and publishing"},
    {"contour_core_wait_seconds", kHistogram, kAlways, {}, "From the arrival of a change to the beginning of the batch that takes it in, the oldest change of each batch"},
    {"contour_core_derive_seconds", kHistogram, kAlways, {}, "Derivation and translation of a batch, from its changes to a snapshot"},
    {"contour_core_contested_names", kGauge, kAlways, {"type"}, "Names that several different clusters or certificates would have; each of these has a name of its own"},
    {"contour_core_closed_names", kGauge, kAlways, {"type"}, "Names that several different things have all the same; what is called so is not served"},
    {"contour_serving_certificate_not_after_seconds", kGauge, kIfAny, {"namespace", "name"}, "When a certificate that is served expires, in seconds since 1970", 5'000},

    // Statuses on the API server.
    {"contour_status_written_total", kCounter, kCluster, {}, "Statuses written"},
    {"contour_status_conflicts_total", kCounter, kCluster, {}, "Writes of a status that came too late for the object"},
    {"contour_status_failures_total", kCounter, kCluster, {}, "Writes of a status that failed"},
    {"contour_status_waiting", kGauge, kCluster, {}, "Objects whose status is not right yet"},
    {"contour_status_active", kGauge, kCluster, {}, "1 if this instance writes statuses"},
    {"contour_status_overwritten_total", kCounter, kCluster, {}, "Right statuses that somebody else changed"},
    {"contour_status_fights_total", kCounter, kCluster, {}, "Objects whose status somebody else was seen to change again and again"},
    {"contour_status_fight_pause_seconds", kGauge, kIfAny, {"kind", "namespace", "name"}, "How long the next repair of the status waits, for objects whose status somebody else keeps changing (the first ten)"},

    // Envoys.
    {"contour_xds_envoys", kGauge, kAlways, {}, "Connected Envoys"},
    {"contour_xds_streams", kGauge, kAlways, {}, "Open xDS streams"},
    {"contour_xds_held", kGauge, kAlways, {}, "Virtual hosts and other resources that wait for their clusters to be warm"},
    {"contour_xds_released_total", kCounter, kAlways, {}, "Of these, those that a time-out released"},
    {"contour_xds_unknown_certificates", kGauge, kAlways, {}, "Certificates that Envoys have subscribed to, as a rule because a client named the host, and that nobody serves"},
    {"contour_xds_forgotten_certificates_total", kCounter, kAlways, {}, "Subscriptions to certificates that were answered but not remembered, because one Envoy has too many to unknown hosts or spellings"},
    {"contour_xds_sent_bytes_total", kCounter, kAlways, {}, "Bytes of xDS responses"},
    {"contour_xds_responses_total", kCounter, kAlways, {"type"}, "xDS responses sent"},
    {"contour_xds_acknowledge_seconds", kHistogram, kAlways, {}, "From a response until its Envoy acknowledged it; with clusters that take long to warm, as long"},
    {"contour_xds_unanswered_seconds", kGauge, kIfAny, {"node"}, "How long the oldest response waits that the Envoy hasn't answered; 0: it has everything"},
    {"contour_xds_rejections_total", kCounter, kAlways, {"type"}, "xDS responses that an Envoy refused"},
    {"contour_xds_quarantined", kGauge, kAlways, {}, "Contents that an Envoy refused and that are kept from the Envoys of its node, or from all"},
    {"contour_xds_quarantined_fleet", kGauge, kAlways, {}, "Of these, those that are kept from all Envoys because several nodes refused them with the same error"},
    {"contour_xds_node_faults", kGauge, kAlways, {}, "Resources that an Envoy can't take because of its node (a taken port, a path, memory)"},
    {"contour_xds_quarantined_total", kCounter, kAlways, {}, "Contents that were quarantined"},
    {"contour_xds_quarantine_ended_total", kCounter, kAlways, {}, "Of these, those that have changed since, or that an Envoy took"},
};
// clang-format on

// Returns the place in the table; its end: there is no such metric. (It isn't a pointer, since
// under sanitizers g++ 12 doesn't take the comparison of an address with null for a constant.)
consteval std::size_t Find(std::string_view name) {
  std::size_t place = 0;
  while (place < std::size(kFamilies) && kFamilies[place].name != name) ++place;
  return place;
}
}  // namespace families_internal

// The name of a declared family with `Labels` labels.
template <std::size_t Labels>
class FamilyName {
 public:
  consteval FamilyName(const char* name)  // NOLINT(google-explicit-constructor): reads as the name
      : place_(families_internal::Find(name)) {
    if (place_ == std::size(families_internal::kFamilies)) {
      throw "not declared in admin/families.h";
    }
    if (families_internal::kFamilies[place_].LabelCount() != Labels) {
      throw "takes another number of labels";
    }
  }
  const Family& family() const { return families_internal::kFamilies[place_]; }

 private:
  std::size_t place_;
};

// Returns all families, in the order of the table.
inline constexpr const auto& kFamilies = families_internal::kFamilies;

// Returns the table as docs/metrics.md has it.
std::string FamiliesMarkdown();

}  // namespace contour::admin
