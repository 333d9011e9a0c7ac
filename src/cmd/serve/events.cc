// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/events.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/host_name.h"
#include "base/log.h"
#include "base/status.h"
#include "kube/resources.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "refusals";
constexpr std::chrono::seconds kPatience{2};
// Events that are remembered, to be counted on.
constexpr std::size_t kRemembered = 1024;
// The API server's limit is 1024 bytes.
constexpr std::size_t kMessage = 1000;

std::string Now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

std::string What(const xds::ResourceKey& key) {
  const char* part = key.type == xds::ResourceType::kListener ? "filter chain" : "virtual host";
  const std::string resource = fmt::format("{} {}", xds::Info(key.type).name, key.resource);
  return key.part.has_value() ? fmt::format("{} {} of {}", part, *key.part, resource) : resource;
}

}  // namespace

void RefusalReport::Start(core::Core& core) {
  worker_.Start([this, &core]() -> std::optional<WorkerThread::Time> {
    while (!worker_.stopping()) {
      const std::optional<Report> report = Next();
      if (!report) break;
      Tell(*report, core);
    }
    return std::nullopt;
  });
}

void RefusalReport::Stop() { worker_.Stop(); }

void RefusalReport::Add(const xds::QuarantineView& view, bool begins) {
  {
    const MutexLock lock(mutex_);
    if (waiting_.size() >= kWaiting) return;
    waiting_.push_back({view, begins});
  }
  worker_.Wake();
}

std::optional<RefusalReport::Report> RefusalReport::Next() {
  const MutexLock lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  Report report = std::move(waiting_.front());
  waiting_.pop_front();
  return report;
}

void RefusalReport::Tell(const Report& report, core::Core& core) {
  const std::optional<std::vector<graph::ObjectView>> sources =
      core.Ask([key = report.view.key](
                   const core::Pipeline& pipeline) { return pipeline.SourcesOf(key, kSources); },
               kPatience);
  if (!sources.has_value()) return;
  for (const graph::ObjectView& object : *sources) {
    const std::string kind(api::KindName(object.ref.kind));
    if (!report.begins) {
      log::Info(kContext, "Envoys are given the content of the object again",
                {{"kind", kind},
                 {"namespace", object.ref.ns},
                 {"name", object.ref.name},
                 {"resource", What(report.view.key)}});
      continue;
    }
    log::Warning(kContext, "Envoy rejects what comes of the object",
                 {{"kind", kind},
                  {"namespace", object.ref.ns},
                  {"name", object.ref.name},
                  {"resource", What(report.view.key)},
                  {"node", report.view.node_id},
                  {"error", report.view.error_message}});
    if (client_ != nullptr && !object.uid.empty()) Write(object, report.view);
  }
}

bool RefusalReport::MayWrite() {
  const auto now = std::chrono::steady_clock::now();
  while (!recent_.empty() && recent_.front() + std::chrono::minutes(1) <= now) recent_.pop_front();
  if (recent_.size() >= kPerMinute) return false;
  recent_.push_back(now);
  return true;
}

void RefusalReport::Write(const graph::ObjectView& object, const xds::QuarantineView& view) {
  if (!MayWrite()) return;
  std::string host = HostName();
  if (host.empty()) host = "contour";
  // Another replica's, and that of an earlier process, are others.
  static const std::string started = Now();
  const bool fleet = view.reach == xds::Reach::kFleet;
  const Hash128 hash =
      HashPair(host + started + object.uid,
               What(view.key) + view.version + (fleet ? "fleet" : "node") + view.error_message);
  const std::string name =
      fmt::format("{}.{}", object.ref.name.substr(0, 200), hash.Hex().substr(0, 16));
  const std::string now = Now();
  const std::string path = kube::CollectionPath("v1", "events", object.ref.ns);
  if (written_.size() >= kRemembered) written_.clear();
  const std::uint64_t count = ++written_[name];
  kube::Request request;
  if (count == 1) {
    std::string message = fmt::format(
        "Envoy {} rejects the {}: {}. {} given {} until the object changes.", view.node_id,
        What(view.key), view.error_message, fleet ? "All Envoys are" : "It is",
        view.replaced ? "its last good content" : "nothing of it");
    if (message.size() > kMessage) message.resize(kMessage);
    const nlohmann::json event = {
        {"apiVersion", "v1"},
        {"kind", "Event"},
        {"metadata", {{"name", name}, {"namespace", object.ref.ns}}},
        {"involvedObject",
         {{"apiVersion", std::string(api::ApiVersion(object.ref.kind))},
          {"kind", std::string(api::KindName(object.ref.kind))},
          {"namespace", object.ref.ns},
          {"name", object.ref.name},
          {"uid", object.uid},
          {"resourceVersion", object.resource_version}}},
        {"reason", "EnvoyRejected"},
        {"message", message},
        {"type", "Warning"},
        {"count", 1},
        {"firstTimestamp", now},
        {"lastTimestamp", now},
        {"source", {{"component", "contour"}, {"host", host}}},
        {"reportingComponent", "contour"},
        {"reportingInstance", host},
    };
    request.method = "POST";
    request.path = path;
    request.body = event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    request.method = "PATCH";
    request.path = path + "/" + name;
    request.content_type = "application/merge-patch+json";
    request.body = nlohmann::json{{"count", count}, {"lastTimestamp", now}}.dump();
  }
  client_->Send(std::move(request), [ref = object.ref](const kube::Response& response) {
    if (response.status.ok()) return;
    log::Warning(kContext, "failed to write an Event",
                 {{"kind", api::KindName(ref.kind)},
                  {"namespace", ref.ns},
                  {"name", ref.name},
                  {"error", Message(response.status)}});
  });
}

}  // namespace contour::cmd
