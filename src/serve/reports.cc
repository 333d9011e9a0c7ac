// SPDX-License-Identifier: Apache-2.0
#include "serve/reports.h"

#include <chrono>
#include <ctime>
#include <utility>
#include <vector>

#include "api/ingress_route.h"
#include "base/log.h"
#include "base/status.h"
#include "graph/model/certificate.h"
#include "graph/model/status.h"
#include "status/fields.h"

namespace contour::serve {
namespace {

// Kinds that arrive one after the other are all there within this time, unless they are missing.
constexpr std::chrono::milliseconds kHold{250};

}  // namespace

StatusReport::StatusReport(const std::string& directory, status::StatusWriter* writer,
                           status::IngressAddresses* addresses, std::function<bool()> unsure)
    : writer_(writer),
      addresses_(addresses),
      teller_(kHold, [this](const status::ObjectStatus& told) { Tell(told); }, std::move(unsure)) {
  if (!directory.empty()) files_.emplace(directory);
}

void StatusReport::Report(const core::Pipeline::Output& output) {
  teller_.Offer(output.statuses);
  if (addresses_ != nullptr) addresses_->SetOurs(output.ingresses);
  for (const graph::Problem& problem : output.problems) {
    log::Warning("graph", problem.text,
                 {{"kind", api::KindName(problem.object.kind)},
                  {"namespace", problem.object.ns},
                  {"name", problem.object.name}});
  }
  ReportNames(output);
}

void StatusReport::ReportNames(const core::Pipeline::Output& output) {
  for (const core::Pipeline::NameConflict& conflict : output.conflicts) {
    const log::Fields fields = {{"type", xds::Info(conflict.type).name}, {"name", conflict.name}};
    if (conflict.closed && conflict.begins) {
      log::Error("core", "several contents have one name, none of them is served", fields);
    } else if (conflict.closed) {
      log::Info("core", "the name is one content's again, it is served", fields);
    } else if (conflict.begins) {
      log::Warning("core", "several contents would have one name, each has a full name", fields);
    } else {
      log::Info("core", "the name is one content's again, it has it", fields);
    }
  }
}

void StatusReport::Tell(const status::ObjectStatus& told) {
  const auto& [ref, status] = told;
  if (status) {
    log::Info("status", "status",
              {{"kind", api::KindName(ref.kind)},
               {"namespace", ref.ns},
               {"name", ref.name},
               {"status", status->Summary().reason.view()},
               {"description", status->Summary().message}});
  }
  if (writer_ != nullptr) {
    writer_->Want(ref, status ? std::optional(status::Fields(ref.kind, *status)) : std::nullopt);
  }
  if (!files_) return;
  if (const absl::Status written = files_->Write(ref, status); !written.ok()) {
    log::Error("status", "failed to set status",
               {{"kind", api::KindName(ref.kind)},
                {"namespace", ref.ns},
                {"name", ref.name},
                {"error", Message(written)}});
  }
}

void Certificates::Report(const core::Pipeline::Output& output) {
  const MutexLock lock(mutex_);
  for (const auto& [name, secret] : output.secrets) {
    const auto known = in_use_.find(name);
    if (secret == nullptr) {
      if (known != in_use_.end()) in_use_.erase(known);
      continue;
    }
    const bool changed = known == in_use_.end() || known->second->not_after != secret->not_after;
    in_use_.insert_or_assign(name, secret);
    if (!changed || secret->not_after > std::time(nullptr)) continue;
    log::Warning("serve", "serving certificate has expired",
                 {{"kind", "Secret"},
                  {"namespace", secret->ns},
                  {"name", secret->name},
                  {"not_after", secret->not_after}});
  }
}

void Certificates::AddTo(admin::MetricsText& text) const {
  // The core waits for this lock, so only pointers are copied under it.
  std::vector<graph::ServingSecretPtr> secrets;
  {
    const MutexLock lock(mutex_);
    secrets.reserve(in_use_.size());
    for (const auto& [name, secret] : in_use_) secrets.push_back(secret);
  }
  for (const graph::ServingSecretPtr& secret : secrets) {
    text.Set("contour_serving_certificate_not_after_seconds", secret->not_after, secret->ns,
             secret->name);
  }
}

void BuildCounts::Observe(const core::Core::Batch& batch) {
  for (const api::Change& change : batch.changes) {
    if (change.ref.kind != api::Kind::kIngressRoute) continue;
    const auto* route = api::As<api::IngressRoute>(change.object.get());
    ingress_routes_.SetRoot(
        change.ref.ns, change.ref.name,
        route == nullptr ? std::nullopt : std::optional(route->spec.virtualhost.has_value()));
  }
  for (const auto& [ref, status] : batch.output.statuses) {
    if (ref.kind == api::Kind::kIngressRoute) ingress_routes_.SetStatus(ref.ns, ref.name, status);
  }
  duration_.Observe(batch.derived);
  last_ = std::time(nullptr);
}

void BuildCounts::AddTo(admin::MetricsText& text) const {
  ingress_routes_.AddTo(text);
  text.Set("contour_ingressroute_dagrebuild_timestamp", last_.load());
  text.Set("contour_cachehandler_onupdate_duration_seconds", duration_);
}

}  // namespace contour::serve
