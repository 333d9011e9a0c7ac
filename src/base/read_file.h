// SPDX-License-Identifier: Apache-2.0
// Reads whole files into memory.
//
// Example:
//   const absl::StatusOr<std::string> text = ReadFile("/etc/contour/contour.yaml");
//   if (absl::IsNotFound(text.status())) return text.status();  // "/etc/contour/contour.yaml: No …"

#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace contour {

struct ReadFileOptions {
  std::size_t max_bytes = std::size_t{16} << 20;
  // Pipes and devices are an error, and are not waited for.
  bool only_regular = false;
};

// Returns the content of a file. Errors begin with "<path>: ". kNotFound: the file doesn't exist.
// kUnavailable: it can't be read. kInvalidArgument: it is larger than allowed, or not a regular
// file where only those are wanted.
absl::StatusOr<std::string> ReadFile(const std::string& path, const ReadFileOptions& options = {});

}  // namespace contour
