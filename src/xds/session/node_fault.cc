// SPDX-License-Identifier: Apache-2.0
#include "xds/session/node_fault.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "xds/session/nack_bisection.h"

namespace contour::xds {
namespace {

// Lower case. The number of an error isn't in Envoy's messages, so its text has to do.
constexpr std::array<std::string_view, 31> kSystemErrors = {
    "address already in use",
    "address in use",
    "address family not supported",
    "address not available",
    "addresses are not supported on this machine",
    "cannot allocate memory",
    "cannot assign requested address",
    "disk quota exceeded",
    "i/o error",
    "input/output error",
    "is a directory",
    "network is down",
    "network is unreachable",
    "network unreachable",
    "no buffer space available",
    "no file descriptors available",
    "no space left on device",
    "no such device",
    "no such file or directory",
    "not a directory",
    "operation not permitted",
    "operation not supported",
    "out of memory",
    "permission denied",
    "protocol not available",
    "protocol not supported",
    "quota exceeded",
    "read-only file system",
    "resource temporarily unavailable",
    "text file busy",
    "too many open files",
};

bool IsAddress(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address;
  return inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

// True if Envoy calls an address malformed that isn't. It does so where its kernel lacks the
// family.
bool LacksAddressFamily(std::string_view lower) {
  constexpr std::string_view kMalformed = "malformed ip address: ";
  const std::size_t at = lower.find(kMalformed);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = lower.substr(at + kMalformed.size());
  return IsAddress(std::string(rest.substr(0, rest.find_first_not_of("0123456789abcdef:."))));
}

}  // namespace

bool SpeaksOfNode(std::string_view error_message) {
  const std::string lower = LowerCase(error_message);
  return LacksAddressFamily(lower) ||
         std::any_of(kSystemErrors.begin(), kSystemErrors.end(), [&](std::string_view error) {
           return lower.find(error) != std::string::npos;
         });
}

std::string ErrorOf(std::string_view error_message, std::string_view resource) {
  const std::size_t at = FindName(error_message, resource);
  if (at == std::string_view::npos) return std::string(error_message);
  return std::string(error_message.substr(at, error_message.find('\n', at) - at));
}

}  // namespace contour::xds
