// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingressroute/status.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/ingress_route.h"

namespace contour::graph::ingressroute {
namespace {

Condition::Truth TruthOf(std::string_view current) {
  if (current == "valid") return Condition::Truth::kTrue;
  return current == "unknown" ? Condition::Truth::kUnknown : Condition::Truth::kFalse;
}

nlohmann::json Fields(std::string_view current, const std::string& description) {
  return {{"currentStatus", current}, {"description", description}};
}

}  // namespace

StatusEntryPtr MakeEntry(StaticText current, std::string description, std::string vhost,
                         bool missing) {
  StatusEntry entry;
  entry.conditions.push_back({.type = "Valid",
                              .reason = current,
                              .message = std::move(description),
                              .truth = TruthOf(current.view())});
  entry.vhost = std::move(vhost);
  entry.missing = missing;
  return std::make_shared<const StatusEntry>(std::move(entry));
}

Status MakeStatus(StaticText current, std::string description, std::string vhost, bool missing) {
  return {{MakeEntry(current, std::move(description), std::move(vhost), missing)}};
}

const Status& Orphaned() {
  static const Status kOrphaned = MakeStatus(
      "orphaned", "this IngressRoute is not part of a delegation chain from a root IngressRoute",
      "", true);
  return kOrphaned;
}

nlohmann::json StatusFields(const Status& status) {
  return Fields(status.Summary().reason.view(), status.Summary().message);
}

nlohmann::json KnownStatusFields(const api::Object& object) {
  const api::IngressRouteStatus& status = api::As<api::IngressRoute>(object)->status;
  return Fields(status.current_status, status.description);
}

}  // namespace contour::graph::ingressroute
