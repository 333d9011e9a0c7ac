// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/metrics.h"

#include <chrono>
#include <string>
#include <vector>

#include "admin/metrics.h"

namespace contour::cmd {
namespace {

using std::chrono_literals::operator""ms;

// Every kind once for one name, as the text format wants it.
void AddKinds(const std::vector<kube::KindStats>& kinds, admin::MetricsText& text) {
  const auto each = [&](const char* name, const char* help, bool counter, auto value) {
    for (const kube::KindStats& kind : kinds) {
      const admin::MetricsText::Labels labels = {{"kind", std::string(api::KindName(kind.kind))}};
      const auto number = static_cast<double>(value(kind));
      if (counter) {
        text.Counter(name, help, labels, number);
      } else {
        text.Gauge(name, help, labels, number);
      }
    }
  };
  using Stats = kube::KindStats;
  each("contour_kube_objects", "Objects that are known", false,
       [](const Stats& kind) { return kind.objects; });
  each("contour_kube_events_total", "Watch events received", true,
       [](const Stats& kind) { return kind.events; });
  each("contour_kube_lists_total", "Complete lists", true,
       [](const Stats& kind) { return kind.lists; });
  each("contour_kube_failures_total", "Lists and watches that failed", true,
       [](const Stats& kind) { return kind.failures; });
  each("contour_kube_bad_objects_total", "Objects that could not be read", true,
       [](const Stats& kind) { return kind.bad_objects; });
  each("contour_kube_forbidden", "1 if the permission to read the kind is missing", false,
       [](const Stats& kind) { return kind.forbidden; });
  each("contour_kube_absent", "1 if the kind is not installed", false,
       [](const Stats& kind) { return kind.absent; });
  each("contour_kube_silence_seconds", "Time since anything was received for the kind", false,
       [](const Stats& kind) {
         return std::chrono::duration<double>(kind.since_last_received.value_or(0ms)).count();
       });
}

void AddManifests(const file::ManifestSource& source, admin::MetricsText& text) {
  const file::ManifestStats stats = source.Stats();
  text.Gauge("contour_manifests_files", "Manifest files that are known", {},
             static_cast<double>(stats.files));
  text.Gauge("contour_manifests_objects", "Objects of manifests that are in force", {},
             static_cast<double>(stats.objects));
  text.Gauge("contour_manifests_problems", "Manifest files with a problem now", {},
             static_cast<double>(source.Problems().size()));
  text.Counter("contour_manifests_failed_reads_total", "Reads of a manifest that failed", {},
               static_cast<double>(stats.failed_reads));
}

void AddStatuses(const status::StatusWriter::Statistics& statuses, admin::MetricsText& text) {
  text.Counter("contour_status_written_total", "Statuses written", {},
               static_cast<double>(statuses.written));
  text.Counter("contour_status_conflicts_total",
               "Writes of a status that came too late for the object", {},
               static_cast<double>(statuses.conflicts));
  text.Counter("contour_status_failures_total", "Writes of a status that failed", {},
               static_cast<double>(statuses.failures));
  text.Gauge("contour_status_waiting", "Objects whose status is not right yet", {},
             static_cast<double>(statuses.waiting));
}

}  // namespace

std::string Metrics(const World& world, const core::Core& core, const xds::Server& server,
                    const Certificates& certificates) {
  admin::MetricsText text;
  certificates.AddTo(text);
  if (world.cluster != nullptr) AddKinds(world.cluster->GetStats().kinds, text);
  if (world.manifests != nullptr) AddManifests(*world.manifests, text);
  if (world.writer != nullptr) AddStatuses(world.writer->statistics(), text);
  text.Gauge("contour_build_info", "Version of the program", {{"version", CONTOUR_VERSION}}, 1);
  const core::Core::Statistics work = core.statistics();
  text.Counter("contour_core_batches_total", "Batches of changes that were built", {},
               static_cast<double>(work.batches));
  text.Counter("contour_core_changes_total", "Changes of objects that were taken in", {},
               static_cast<double>(work.changes));
  text.Counter("contour_core_busy_seconds_total", "Time in derivation, translation and publishing",
               {}, std::chrono::duration<double>(work.busy).count());
  const xds::Metrics streams = server.GetMetrics();
  text.Gauge("contour_xds_envoys", "Connected Envoys", {}, static_cast<double>(streams.sessions));
  text.Gauge("contour_xds_streams", "Open xDS streams", {}, static_cast<double>(streams.streams));
  text.Gauge("contour_xds_held",
             "Virtual hosts and other resources that wait for their clusters to be warm", {},
             static_cast<double>(streams.held));
  text.Counter("contour_xds_released_total", "Of these, those that a time-out released", {},
               static_cast<double>(streams.counters.released));
  text.Counter("contour_xds_sent_bytes_total", "Bytes of xDS responses", {},
               static_cast<double>(streams.bytes));
  for (const xds::TypeInfo& type : xds::kTypes) {
    text.Counter("contour_xds_responses_total", "xDS responses sent",
                 {{"type", std::string(type.name)}},
                 static_cast<double>(streams.counters.responses[xds::Index(type.type)]));
  }
  for (const xds::TypeInfo& type : xds::kTypes) {
    text.Counter("contour_xds_rejections_total", "xDS responses that an Envoy refused",
                 {{"type", std::string(type.name)}},
                 static_cast<double>(streams.counters.rejections[xds::Index(type.type)]));
  }
  return text.String();
}

}  // namespace contour::cmd
