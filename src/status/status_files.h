// SPDX-License-Identifier: Apache-2.0
// Writes statuses as files, for manifest folders: `<dir>/<kind>/<namespace>/<name>.yaml`, one for
// each object, in the form that they have in the object. Each file is replaced atomically, and
// removed when its object goes.

#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "api/object.h"
#include "graph/model/status.h"

namespace contour::status {

class StatusFiles {
 public:
  explicit StatusFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Writes the file; nullopt removes it. Errors name the path; no half-written file stays.
  absl::Status Write(const api::ObjectRef& ref, const std::optional<graph::Status>& status) const;

  // Returns the path of the object's file. Characters of names by which the path could leave the
  // folder are written as %XX.
  std::filesystem::path PathOf(const api::ObjectRef& ref) const;

 private:
  std::filesystem::path directory_;
};

// Returns the text of a file: the fields that would be patched into the object.
std::string StatusYaml(const api::ObjectRef& ref, const graph::Status& status);

}  // namespace contour::status
