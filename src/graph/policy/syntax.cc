// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/syntax.h"

#include <algorithm>
#include <cstddef>

namespace contour::graph {

bool IsHeaderValue(std::string_view text) {
  return text.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos;
}

bool IsHostName(std::string_view host) {
  if (host.size() > 253) return false;
  while (true) {
    const std::string_view label = host.substr(0, host.find('.'));
    if (label.empty() || label.size() > 63) return false;
    const bool good = std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good) return false;
    if (label.size() == host.size()) return true;
    host.remove_prefix(label.size() + 1);
  }
}

}  // namespace contour::graph
