// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/metrics.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "admin/metrics.h"
#include "admin/process_metrics.h"
#include "cmd/version.h"

namespace contour::cmd {
namespace {

using std::chrono_literals::operator""ms;

void AddKinds(const std::vector<kube::KindStats>& kinds, admin::MetricsText& text) {
  for (const kube::KindStats& kind : kinds) {
    const std::string_view name = api::KindName(kind.kind);
    text.Set("contour_kube_objects", kind.objects, name);
    text.Set("contour_kube_events_total", kind.events, name);
    text.Set("contour_kube_lists_total", kind.lists, name);
    text.Set("contour_kube_failures_total", kind.failures, name);
    text.Set("contour_kube_bad_objects_total", kind.bad_objects, name);
    text.Set("contour_kube_synced", kind.synced, name);
    text.Set("contour_kube_forbidden", kind.forbidden, name);
    text.Set("contour_kube_absent", kind.absent, name);
    text.Set("contour_kube_left_out", kind.left_out, name);
    text.Set("contour_kube_unknown_seconds", kind.unknown_for.value_or(0ms), name);
    text.Set("contour_kube_silence_seconds", kind.since_last_received.value_or(0ms), name);
  }
}

void AddManifests(const file::ManifestSource& source, admin::MetricsText& text) {
  const file::ManifestStats stats = source.Stats();
  text.Set("contour_manifests_files", stats.files);
  text.Set("contour_manifests_objects", stats.objects);
  text.Set("contour_manifests_problems", stats.problems);
  text.Set("contour_manifests_failed_reads_total", stats.failed_reads);
}

void AddStatuses(const status::StatusWriter& writer, admin::MetricsText& text) {
  constexpr std::size_t kMostFights = 10;
  const status::StatusPlan::Statistics statuses = writer.statistics();
  text.Set("contour_status_active", statuses.active);
  text.Set("contour_status_written_total", statuses.written);
  text.Set("contour_status_conflicts_total", statuses.conflicts);
  text.Set("contour_status_failures_total", statuses.failures);
  text.Set("contour_status_waiting", statuses.waiting);
  text.Set("contour_status_overwritten_total", statuses.overwritten);
  text.Set("contour_status_fights_total", statuses.fights);
  for (const status::StatusPlan::Fight& fight : writer.Fights(kMostFights)) {
    text.Set("contour_status_fight_pause_seconds", fight.pause, api::KindName(fight.ref.kind),
             fight.ref.ns, fight.ref.name);
  }
}

void AddNames(const core::Pipeline::NameCounts& names, admin::MetricsText& text) {
  for (const xds::TypeInfo& type : xds::kTypes) {
    text.Set("contour_core_contested_names", names.contested[xds::Index(type.type)], type.name);
    text.Set("contour_core_closed_names", names.closed[xds::Index(type.type)], type.name);
  }
}

void AddStreams(const xds::Metrics& streams, admin::MetricsText& text) {
  text.Set("contour_xds_envoys", streams.sessions);
  text.Set("contour_xds_streams", streams.streams);
  text.Set("contour_xds_held", streams.held);
  text.Set("contour_xds_released_total", streams.counters.released);
  text.Set("contour_xds_unknown_certificates", streams.unknown_secrets);
  text.Set("contour_xds_forgotten_certificates_total", streams.counters.turned_away);
  text.Set("contour_xds_sent_bytes_total", streams.bytes);
  text.Set("contour_xds_quarantined", streams.quarantined);
  text.Set("contour_xds_quarantined_fleet", streams.quarantined_fleet);
  text.Set("contour_xds_node_faults", streams.node_faults);
  text.Set("contour_xds_quarantined_total", streams.quarantined_total);
  text.Set("contour_xds_quarantine_ended_total", streams.released_total);
  text.Set("contour_xds_acknowledge_seconds", streams.counters.acknowledged);
  std::map<std::string_view, std::chrono::milliseconds> lags;  // Envoys may share a node id
  for (const xds::Lag& lag : streams.lags)
    lags[lag.node_id] = std::max(lags[lag.node_id], lag.time);
  for (const auto& [node, time] : lags) {
    text.Set("contour_xds_unanswered_seconds", time, node);
  }
  for (const xds::TypeInfo& type : xds::kTypes) {
    const std::size_t index = xds::Index(type.type);
    text.Set("contour_xds_responses_total", streams.counters.responses[index], type.name);
    text.Set("contour_xds_rejections_total", streams.counters.rejections[index], type.name);
  }
}

void AddElection(const leader::View& view, admin::MetricsText& text) {
  for (const leader::Role role :
       {leader::Role::kStandby, leader::Role::kLeader, leader::Role::kCutOff}) {
    text.Set("contour_leader_role", view.elector.role == role, leader::RoleName(role));
  }
  text.Set("contour_leader_lock_usable", view.elector.sight == leader::Sight::kClear);
  text.Set("contour_leader_lock_watched", view.watching);
  text.Set("contour_leader_lock_transitions", view.elector.transitions);
  text.Set("contour_leader_gained_total", view.elector.gained);
  text.Set("contour_leader_lost_total", view.elector.lost);
  text.Set("contour_leader_renewals_total", view.elector.renewals);
  text.Set("contour_leader_failures_total", view.elector.failures);
  text.Set("contour_leader_address_published", view.address.published);
}

}  // namespace

std::string Metrics(const serve::Connections& connections, const core::Core& core,
                    const xds::Server& server, const serve::Certificates& certificates,
                    const leader::ReplicaRole& role, const serve::BuildCounts& builds,
                    const serve::ConfigFile& config_file,
                    const serve::OwnCertificates& own_certificates,
                    const serve::Fallback& fallback) {
  admin::MetricsText text;
  text.Set("contour_build_info", 1, ProgramVersion());
  admin::AddProcess(text);
  certificates.AddTo(text);
  if (const auto view = role.view()) AddElection(*view, text);
  builds.AddTo(text);
  fallback.AddTo(text);
  config_file.AddTo(text);
  own_certificates.AddTo(text);
  if (connections.cluster != nullptr) AddKinds(connections.cluster->GetStats().kinds, text);
  if (connections.manifests != nullptr) AddManifests(*connections.manifests, text);
  if (connections.writer != nullptr) AddStatuses(*connections.writer, text);
  const core::Core::Statistics work = core.statistics();
  text.Set("contour_core_batches_total", work.batches);
  text.Set("contour_core_changes_total", work.changes);
  text.Set("contour_core_busy_seconds_total", work.busy);
  text.Set("contour_core_wait_seconds", work.wait);
  text.Set("contour_core_derive_seconds", work.derive);
  AddNames(work.names, text);
  AddStreams(server.GetMetrics(), text);
  return text.String();
}

}  // namespace contour::cmd
