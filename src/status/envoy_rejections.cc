// SPDX-License-Identifier: Apache-2.0

#include "status/envoy_rejections.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <ctime>
#include <utility>

#include "base/hash.h"
#include "base/host_name.h"
#include "base/log.h"
#include "base/status.h"

namespace contour::status {
namespace {

constexpr std::string_view kContext = "refusals";
// The limit of Events that are remembered, so that their counts can be raised.
constexpr std::size_t kRemembered = 1024;
// The API server's limit is 1024 bytes.
constexpr std::size_t kMessage = 1000;

std::string Now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

void SendByClient(kube::Client& client, kube::Request request, const api::ObjectRef& ref) {
  client.Send(std::move(request), [ref](const kube::Response& response) {
    if (response.status.ok()) return;
    log::Warning(kContext, "failed to write an Event",
                 {{"kind", api::KindName(ref.kind)},
                  {"namespace", ref.ns},
                  {"name", ref.name},
                  {"error", Message(response.status)}});
  });
}

std::string MessageOf(const EnvoyRejection& rejection) {
  std::string message =
      fmt::format("Envoy {} rejects the {}: {}. {} given {} until the object changes.",
                  rejection.node_id, rejection.resource, rejection.error_message,
                  rejection.all_envoys ? "All Envoys are" : "It is",
                  rejection.replaced ? "its last good content" : "nothing of it");
  if (message.size() > kMessage) message.resize(kMessage);
  return message;
}

}  // namespace

EnvoyRejections::EnvoyRejections(kube::Client* client)
    : send_(client == nullptr ? Send()
                              : [client](kube::Request request, const api::ObjectRef& ref) {
                                  SendByClient(*client, std::move(request), ref);
                                }) {}

void EnvoyRejections::Start() {
  worker_.Start([this]() -> std::optional<WorkerThread::Time> {
    while (!worker_.stopping()) {
      const std::optional<EnvoyRejection> rejection = TakeNext();
      if (!rejection) break;
      Tell(*rejection);
    }
    return std::nullopt;
  });
}

void EnvoyRejections::Stop() { worker_.Stop(); }

void EnvoyRejections::Add(EnvoyRejection rejection) {
  {
    const MutexLock lock(mutex_);
    if (waiting_.size() >= kWaiting) return;
    waiting_.push_back(std::move(rejection));
  }
  worker_.Wake();
}

std::optional<EnvoyRejection> EnvoyRejections::TakeNext() {
  const MutexLock lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  EnvoyRejection rejection = std::move(waiting_.front());
  waiting_.pop_front();
  return rejection;
}

void EnvoyRejections::Tell(const EnvoyRejection& rejection) {
  const auto sources = rejection.sources(kSources);
  if (!sources) return;
  for (const SourceObject& object : *sources) {
    const std::string kind(api::KindName(object.ref.kind));
    if (rejection.ended) {
      log::Info(kContext, "Envoys are given the content of the object again",
                {{"kind", kind},
                 {"namespace", object.ref.ns},
                 {"name", object.ref.name},
                 {"resource", rejection.resource}});
      continue;
    }
    log::Warning(kContext, "Envoy rejects what comes of the object",
                 {{"kind", kind},
                  {"namespace", object.ref.ns},
                  {"name", object.ref.name},
                  {"resource", rejection.resource},
                  {"node", rejection.node_id},
                  {"error", rejection.error_message}});
    if (send_ && !object.uid.empty()) Write(object, rejection);
  }
}

bool EnvoyRejections::MayWrite() {
  const auto now = std::chrono::steady_clock::now();
  while (!recent_.empty() && recent_.front() + std::chrono::minutes(1) <= now) recent_.pop_front();
  if (recent_.size() >= kPerMinute) return false;
  recent_.push_back(now);
  return true;
}

void EnvoyRejections::Write(const SourceObject& object, const EnvoyRejection& rejection) {
  if (!MayWrite()) return;
  std::string host = HostName();
  if (host.empty()) host = "contour";
  // Events of another replica, or of an earlier process, have other names.
  static const std::string started = Now();
  const Hash128 hash =
      HashPair(host + started + object.uid, rejection.resource + rejection.version +
                                                (rejection.all_envoys ? "fleet" : "node") +
                                                rejection.error_message);
  kube::Event event;
  event.name = fmt::format("{}.{}", object.ref.name.substr(0, 200), hash.Hex().substr(0, 16));
  event.time = Now();
  if (written_.size() >= kRemembered) written_.clear();
  const std::uint64_t count = ++written_[event.name];
  if (count > 1) {
    return send_(kube::CountEvent(object.ref.ns, event.name, count, event.time), object.ref);
  }
  event.object = {std::string(api::ApiVersion(object.ref.kind)),
                  std::string(api::KindName(object.ref.kind)),
                  object.ref.ns,
                  object.ref.name,
                  object.uid,
                  object.resource_version};
  event.type = kube::Event::Type::kWarning;
  event.reason = "EnvoyRejected";
  event.message = MessageOf(rejection);
  event.host = host;
  event.instance = host;
  send_(kube::CreateEvent(event), object.ref);
}

}  // namespace contour::status
