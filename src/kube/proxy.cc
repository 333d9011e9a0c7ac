// SPDX-License-Identifier: Apache-2.0

#include "kube/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "base/strings.h"
#include "kube/url.h"

namespace contour::kube {
namespace {

// An address of either family; IPv4 in its IPv6 form (::ffff:a.b.c.d).
using Address = std::array<std::uint8_t, 16>;

std::optional<Address> ParseAddress(std::string text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  Address address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  address[10] = address[11] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), address.data() + 12) == 1) return address;
  return std::nullopt;
}

bool IsIPv4(const Address& address) {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kPrefix.begin(), kPrefix.end(), address.begin());
}

bool IsLoopback(const Address& address) {
  if (IsIPv4(address)) return address[12] == 127;
  Address one{};
  one[15] = 1;
  return address == one;
}

bool StartsAlike(const Address& a, const Address& b, std::size_t bits) {
  if (std::memcmp(a.data(), b.data(), bits / 8) != 0) return false;
  const std::size_t rest = bits % 8;
  return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

// True if `range` is like 10.0.0.0/8 and holds the address.
bool IsInRange(std::string_view range, const Address& address) {
  const std::size_t slash = range.find('/');
  const std::optional<Address> start = ParseAddress(std::string(range.substr(0, slash)));
  if (!start || IsIPv4(*start) != IsIPv4(address)) return false;
  const std::string_view written = range.substr(slash + 1);
  std::size_t bits = 0;
  const auto [end, error] = std::from_chars(written.begin(), written.end(), bits);
  if (error != std::errc() || end != written.end()) return false;
  if (bits > (IsIPv4(*start) ? 32U : 128U)) return false;
  return StartsAlike(*start, address, IsIPv4(*start) ? bits + 96 : bits);
}

struct Target {
  std::string host;  // lower case, without a dot at the end; an IPv6 address in brackets
  std::string port;
  std::optional<Address> address;
};

bool IsException(std::string entry, const Target& target) {
  entry = LowerCase(Trim(entry));
  if (entry.empty()) return false;
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos)
    return target.address && IsInRange(entry, *target.address);
  std::string port;
  if (!ParseAddress(entry)) {  // a bare IPv6 address has colons, but no port
    const std::size_t colon = entry.rfind(':');
    if (colon != std::string::npos) {
      port = entry.substr(colon + 1);
      entry.resize(colon);
    }
  }
  if (!port.empty() && port != target.port) return false;
  if (const std::optional<Address> address = ParseAddress(entry))
    return target.address && *address == *target.address;
  if (target.address) return false;
  if (entry.starts_with("*.")) entry.erase(0, 1);
  if (entry.empty()) return false;
  const bool below = entry.starts_with('.');
  if (!below && target.host == entry) return true;
  return target.host.ends_with(below ? entry : "." + entry);
}

Target TargetOf(const Url& url) {
  Target target{LowerCase(url.host), url.port, ParseAddress(url.host)};
  if (target.host.ends_with('.')) target.host.pop_back();
  return target;
}

bool NeedsNoProxy(const Target& target, const std::string& exceptions) {
  if (target.host == "localhost" || (target.address && IsLoopback(*target.address))) return true;
  const std::vector<std::string> list = SplitList(exceptions, ',');
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return IsException(entry, target); });
}

struct Variable {
  std::string name;
  std::string value;
};

// Returns the variable in capitals if it holds something, else the one in small letters.
Variable Find(const std::string& name, const Environment& environment) {
  for (const std::string& candidate : {name, LowerCase(name)}) {
    const std::optional<std::string> value = environment(candidate);
    if (value && !value->empty()) return {candidate, *value};
  }
  return {};
}

}  // namespace

bool IsProxyScheme(std::string_view scheme) {
  return scheme == "http" || scheme == "https" || scheme == "socks5" || scheme == "socks5h";
}

absl::StatusOr<std::string> EnvironmentProxy(const std::string& server,
                                             const Environment& environment) {
  const Url url = SplitUrl(server);
  const Variable proxy = Find(url.scheme == "http" ? "HTTP_PROXY" : "HTTPS_PROXY", environment);
  if (proxy.value.empty()) return "";
  if (NeedsNoProxy(TargetOf(url), Find("NO_PROXY", environment).value)) return "";
  std::string address =
      proxy.value.find("://") == std::string::npos ? "http://" + proxy.value : proxy.value;
  const Url parts = SplitUrl(address);
  if (!IsProxyScheme(parts.scheme) || parts.host.empty()) {
    return InvalidArgument(
        "the environment's {}: expected a proxy like http://10.0.0.1:3128, got {}; without one for "
        "{}, name it in NO_PROXY",
        proxy.name, WithoutSecret(proxy.value), url.host);
  }
  return address;
}

}  // namespace contour::kube
