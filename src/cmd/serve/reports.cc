// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/reports.h"

#include <ctime>

#include "base/log.h"
#include "base/status.h"

namespace contour::cmd {

StatusReport::StatusReport(const std::string& directory, status::StatusWriter* writer)
    : writer_(writer) {
  if (!directory.empty()) files_.emplace(directory);
}

void StatusReport::Report(const core::Pipeline::Output& output) {
  for (const auto& [ref, status] : output.statuses) {
    if (status) {
      log::Info("status", "status",
                {{"kind", api::KindName(ref.kind)},
                 {"namespace", ref.ns},
                 {"name", ref.name},
                 {"status", status->current_status},
                 {"description", status->description}});
    }
    if (writer_ != nullptr) writer_->Want(ref, status);
    if (!files_) continue;
    if (const absl::Status written = files_->Write(ref, status); !written.ok()) {
      log::Error("status", "failed to set status",
                 {{"kind", api::KindName(ref.kind)},
                  {"namespace", ref.ns},
                  {"name", ref.name},
                  {"error", Message(written)}});
    }
  }
  for (const graph::Problem& problem : output.problems) {
    log::Warning("graph", problem.text,
                 {{"kind", api::KindName(problem.object.kind)},
                  {"namespace", problem.object.ns},
                  {"name", problem.object.name}});
  }
}

void Certificates::Report(const core::Pipeline::Output& output) {
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  for (const auto& [name, secret] : in_use_) {
    text.Gauge("contour_serving_certificate_not_after_seconds",
               "When a certificate that is served expires, in seconds since 1970",
               {{"namespace", secret->ns}, {"name", secret->name}},
               static_cast<double>(secret->not_after));
  }
}

}  // namespace contour::cmd
