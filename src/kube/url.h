// SPDX-License-Identifier: Apache-2.0
// Splits and encodes URLs.
//
// Example:
//   const Url url = SplitUrl("https://[fd00::1]:6443/base");
//   // host_port "[fd00::1]:6443", host "[fd00::1]", port "6443", path "/base"

#pragma once

#include <string>
#include <string_view>

namespace contour::kube {

struct Url {
  std::string scheme;     // lower case; empty: there is no "://"
  std::string authority;  // as written: host, or host and port
  std::string host;       // an IPv6 literal keeps its brackets
  std::string port;       // as written, or the default of the scheme: 443, 80
  std::string path;       // with the query; may be empty
};

Url SplitUrl(std::string_view url);

// Returns the URL in quotes for messages, without the user and password that may be in it.
std::string WithoutSecret(std::string_view url);

// Percent-encodes all but letters, digits and - . _ ~ (RFC 3986 §2.3), for a piece of a path or
// query.
std::string UrlEncode(std::string_view text);

}  // namespace contour::kube
