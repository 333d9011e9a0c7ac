// SPDX-License-Identifier: Apache-2.0
// Statuses as files, for manifest folders: `<dir>/<kind>/<namespace>/<name>.yaml`, one per object,
// in the form that they have in the object. Each file is replaced atomically and goes when its
// object goes.

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "api/object.h"
#include "graph/model/model.h"

namespace contour::status {

class StatusFiles {
 public:
  explicit StatusFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // nullopt: removes the file. Errors name the path; nothing half-written stays.
  absl::Status Write(const api::ObjectRef& ref, const std::optional<graph::Status>& status) const;

  // Characters of names that could leave the folder are written as %XX.
  std::filesystem::path PathOf(const api::ObjectRef& ref) const;

 private:
  std::filesystem::path directory_;
};

// The text of a file, which is also what would be patched into the object.
std::string StatusYaml(const api::ObjectRef& ref, const graph::Status& status);

}  // namespace contour::status
