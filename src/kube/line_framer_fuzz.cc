// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: takes any bytes as the body of a watch, cut at any places. The lines must not
// depend on the cuts, and each must parse to an event or to an error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "kube/discovery.h"
#include "kube/line_framer.h"
#include "kube/watch_event.h"

namespace {

constexpr std::size_t kMaxLine = 4096;

std::vector<std::string> Lines(std::string_view text, std::size_t first_piece, std::size_t growth) {
  contour::kube::LineFramer framer(kMaxLine);
  std::vector<std::string> lines;
  for (std::size_t piece = first_piece; !text.empty(); piece = piece * growth % 97 + 1) {
    framer.Feed(text.substr(0, piece), [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    if (framer.pending() > kMaxLine) std::abort();
    text.remove_prefix(std::min(piece, text.size()));
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::vector<std::string> lines = Lines(text, data[0] + 1u, data[1] + 1u);
  if (lines != Lines(text, text.size() + 1, 1)) std::abort();
  static simdjson::dom::parser parser;
  for (const std::string& line : lines) {
    const auto event = contour::kube::ParseWatchEvent(parser, line);
    if (event.ok() && event->type != contour::kube::WatchEvent::Type::kError &&
        event->item.resource_version.empty()) {
      std::abort();
    }
    (void)contour::kube::ParseListPage(parser, line, "v1", "Service").ok();
    (void)contour::kube::HasVersion(line, contour::api::Kind::kIngressRoute).ok();
    (void)contour::kube::HasResource(line, contour::api::Kind::kIngressRoute).ok();
    contour::kube::ParseApiStatus(500, line);
  }
  return 0;
}
