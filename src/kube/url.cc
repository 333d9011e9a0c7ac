// SPDX-License-Identifier: Apache-2.0

#include "kube/url.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace contour::kube {
namespace {

bool IsAlphaNumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Url SplitUrl(std::string_view url) {
  Url parts;
  if (const std::size_t end = url.find("://"); end != std::string_view::npos) {
    parts.scheme = LowerCase(url.substr(0, end));
    url.remove_prefix(end + 3);
  }
  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  const std::string_view authority = url.substr(0, end);
  parts.authority = authority;
  parts.path = url.substr(end);
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    parts.host = authority.substr(0, colon);
    parts.port = authority.substr(colon + 1);
  } else {
    parts.host = authority;
    parts.port = parts.scheme == "http" ? "80" : "443";
  }
  return parts;
}

std::string WithoutSecret(std::string_view url) {
  const std::size_t at = url.rfind('@');
  return Quote(at == std::string_view::npos ? std::string(url)
                                            : "***" + std::string(url.substr(at)));
}

std::string UrlEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (IsAlphaNumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace contour::kube
