// SPDX-License-Identifier: Apache-2.0
// Notices that a file was exchanged: credentials in mounted volumes are at any moment.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace contour::kube {

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
// Returns nullopt if the file can't be looked at.
std::optional<FileSignature> SignatureOf(const std::string& path);

}  // namespace contour::kube
