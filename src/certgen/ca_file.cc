// SPDX-License-Identifier: Apache-2.0
#include "certgen/ca_file.h"

#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "base/read_file.h"
#include "certgen/bundle.h"

namespace contour::certgen {
namespace {

std::optional<std::string> OtherName(const std::string& name) {
  if (name == kCAFile) return kOtherCAFile;
  if (name == kOtherCAFile) return kCAFile;
  return std::nullopt;
}

}  // namespace

CAFile FindCAFile(const std::string& named) {
  const std::filesystem::path path(named);
  const std::optional<std::string> other_name = OtherName(path.filename().string());
  if (!other_name) return {named, ""};
  const std::string other = (path.parent_path() / *other_name).string();
  const absl::StatusOr<std::string> other_text = ReadFile(other);
  if (absl::IsNotFound(other_text.status())) return {named, ""};
  const absl::StatusOr<std::string> text = ReadFile(named);
  if (absl::IsNotFound(text.status())) return {other, ""};
  const bool differ = !text.ok() || !other_text.ok() || *text != *other_text;
  return {named, differ ? other : ""};
}

}  // namespace contour::certgen
