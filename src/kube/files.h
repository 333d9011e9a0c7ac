// SPDX-License-Identifier: Apache-2.0
// Small files that may be exchanged at any moment: credentials in mounted volumes.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace contour::kube {

// The whole file, at most 16 MiB. Errors name the file: kNotFound if it doesn't exist, kUnavailable
// otherwise.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Tells a file from an earlier state of it without reading it: identity (through symbolic links),
// size, times.
struct FileSignature {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  bool operator==(const FileSignature&) const = default;
};
// nullopt: can't be looked at.
std::optional<FileSignature> SignatureOf(const std::string& path);

}  // namespace contour::kube
