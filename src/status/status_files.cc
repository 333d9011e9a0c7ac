// SPDX-License-Identifier: Apache-2.0

#include "status/status_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "base/status.h"
#include "base/strings.h"
#include "graph/kinds/kinds.h"

namespace contour::status {
namespace {

std::string FileName(std::string_view name) {
  std::string safe;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || (c == '.' && !safe.empty()) || c == '_';
    safe += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return safe.empty() ? "%" : safe;
}

// Words that YAML doesn't read as text.
constexpr std::string_view kOtherWords[] = {"y",   "n",    "yes",   "no",  "on",
                                            "off", "true", "false", "null"};

// Returns a text of letters as it is, and what is no text in YAML's flow style, which JSON is.
std::string Yaml(const nlohmann::json& value) {
  if (!value.is_string())
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto& text = value.get_ref<const std::string&>();
  const bool word = !text.empty() && std::all_of(text.begin(), text.end(),
                                                 [](char c) { return c >= 'a' && c <= 'z'; });
  const bool other =
      std::find(std::begin(kOtherWords), std::end(kOtherWords), text) != std::end(kOtherWords);
  return word && !other ? text : Quote(text);
}

}  // namespace

std::string StatusYaml(const api::ObjectRef& ref, const graph::Status& status) {
  // Quote() escapes as YAML's double-quoted style does.
  std::string text = fmt::format("kind: {}\nmetadata:\n  namespace: {}\n  name: {}\nstatus:\n",
                                 api::KindName(ref.kind), Quote(ref.ns), Quote(ref.name));
  const nlohmann::json fields = graph::Kinds().RowOf(ref.kind).status_fields(status);
  for (const auto& [key, value] : fields.items())
    text += fmt::format("  {}: {}\n", key, Yaml(value));
  return text;
}

std::filesystem::path StatusFiles::PathOf(const api::ObjectRef& ref) const {
  return directory_ / LowerCase(api::KindName(ref.kind)) / FileName(ref.ns) /
         (FileName(ref.name) + ".yaml");
}

absl::Status StatusFiles::Write(const api::ObjectRef& ref,
                                const std::optional<graph::Status>& status) const {
  const std::filesystem::path path = PathOf(ref);
  std::error_code error;
  if (!status) {
    std::filesystem::remove(path, error);
    return error ? Unavailable("{}: can't be removed: {}", path.string(), error.message())
                 : absl::OkStatus();
  }
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return Unavailable("{}: can't be made: {}", path.parent_path().string(), error.message());
  const std::filesystem::path temporary =
      path.parent_path() / ("." + path.filename().string() + ".tmp");
  errno = 0;  // streams don't say why, the calls below them do
  std::ofstream file(temporary, std::ios::trunc);
  file << StatusYaml(ref, *status);
  file.close();
  if (!file) {
    const std::string reason = std::generic_category().message(errno);
    std::filesystem::remove(temporary, error);
    return Unavailable("{}: can't be written: {}", path.string(), reason);
  }
  std::filesystem::rename(temporary, path, error);
  if (error) {
    const std::string reason = error.message();
    std::filesystem::remove(temporary, error);
    return Unavailable("{}: can't be written: {}", path.string(), reason);
  }
  return absl::OkStatus();
}

}  // namespace contour::status
