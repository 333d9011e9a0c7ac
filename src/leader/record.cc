// SPDX-License-Identifier: Apache-2.0
#include "leader/record.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/status.h"

namespace contour::leader {
namespace {

using Json = nlohmann::json;

std::string_view ObjectKind(LockKind kind) {
  return kind == LockKind::kLease ? "Lease" : "ConfigMap";
}
std::string_view ApiVersion(LockKind kind) {
  return kind == LockKind::kLease ? "coordination.k8s.io/v1" : "v1";
}

constexpr const char* kAnnotation = "control-plane.alpha.kubernetes.io/leader";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Returns a number; nullopt: there is none, or it is negative. A number that is too large becomes
// the largest one.
std::optional<std::int32_t> Number(const Json& object, const char* key) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  if (!found->is_number_unsigned()) return std::nullopt;  // nlohmann's type of what is below 0
  return static_cast<std::int32_t>(std::min<std::uint64_t>(found->get<std::uint64_t>(), kMost));
}

// Returns a member, nullptr if there is none.
const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? &*found : nullptr;
}

Record ReadRecord(const Json& fields, const char* transitions) {
  Record record;
  record.holder = Text(fields, "holderIdentity");
  if (const auto seconds = Number(fields, "leaseDurationSeconds"); seconds && *seconds > 0) {
    record.lease_duration = std::chrono::seconds(*seconds);
  }
  record.acquire_time = Text(fields, "acquireTime");
  record.renew_time = Text(fields, "renewTime");
  // One more must fit, for this replica as the next holder.
  record.transitions =
      std::min(Number(fields, transitions).value_or(0), std::numeric_limits<int>::max() - 1);
  return record;
}

void WriteRecord(const Record& record, const char* transitions, Json& fields) {
  fields["holderIdentity"] = record.holder;
  if (record.lease_duration) fields["leaseDurationSeconds"] = record.lease_duration->count();
  fields["acquireTime"] = record.acquire_time;
  fields["renewTime"] = record.renew_time;
  fields[transitions] = record.transitions;
}

void SetRecord(LockKind kind, const Record& record, Json& object) {
  if (kind == LockKind::kLease) {
    Json& spec = object["spec"];
    if (!spec.is_object()) spec = Json::object();
    WriteRecord(record, "leaseTransitions", spec);
    return;
  }
  Json& annotations = object["metadata"]["annotations"];
  if (!annotations.is_object()) annotations = Json::object();
  Json fields = Json::object();
  WriteRecord(record, "leaderTransitions", fields);
  annotations[kAnnotation] = Dump(fields);
}

}  // namespace

absl::StatusOr<Reading> Parse(LockKind kind, std::string_view object) {
  const Json json = Json::parse(object, nullptr, false);
  const Json* const metadata = json.is_discarded() ? nullptr : Member(json, "metadata");
  // Another answer isn't from an API server, and doesn't mean that the lock is free.
  if (metadata == nullptr || Text(json, "kind") != ObjectKind(kind) ||
      Text(json, "apiVersion") != ApiVersion(kind)) {
    return InvalidArgument("the lock's {} can't be read", KindName(kind));
  }
  Reading reading;
  reading.resource_version = Text(*metadata, "resourceVersion");
  reading.uid = Text(*metadata, "uid");
  if (kind == LockKind::kLease) {
    if (const Json* const spec = Member(json, "spec")) {
      reading.record = ReadRecord(*spec, "leaseTransitions");
    }
  } else if (const Json* const annotations = Member(*metadata, "annotations")) {
    const std::string text = Text(*annotations, kAnnotation);
    const Json fields = Json::parse(text, nullptr, false);
    if (fields.is_object()) {
      reading.record = ReadRecord(fields, "leaderTransitions");
    } else if (!text.empty()) {
      reading.record.holder = fmt::format("unknown ({})", text.substr(0, 100));
    }
  }
  reading.object = Dump(json);
  return reading;
}

std::string WithRecord(LockKind kind, const Reading& base, const Record& record) {
  Json object = Json::parse(base.object, nullptr, false);
  SetRecord(kind, record, object);
  return Dump(object);
}

std::string NewObject(const Options& options, const Record& record) {
  Json object = {{"metadata", {{"name", options.name}, {"namespace", options.ns}}}};
  object["apiVersion"] = ApiVersion(options.kind);
  object["kind"] = ObjectKind(options.kind);
  SetRecord(options.kind, record, object);
  return Dump(object);
}

std::string FormatTime(LockKind kind, std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const std::tm utc = fmt::gmtime(std::chrono::system_clock::to_time_t(whole));
  if (kind == LockKind::kConfigMap) return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - whole);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", utc, rest.count());
}

}  // namespace contour::leader
