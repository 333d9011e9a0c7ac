// SPDX-License-Identifier: Apache-2.0

#include "status/ingress_addresses.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"
#include "status/fields.h"

namespace contour::status {
namespace {

bool IsIPAddress(const std::string& text) {
  in6_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// True if the name ends in digits, like an IP address with a mistake.
bool EndsInDigits(std::string_view name) {
  const std::string_view label = name.substr(name.rfind('.') + 1);
  return std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// True for a name that the API server takes here: labels of lower-case letters, digits and -.
bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::string_view label = name.substr(begin, name.find('.', begin) - begin);
    if (label.empty() || label.size() > 63 || !is_alphanumeric(label.front()) ||
        !is_alphanumeric(label.back()) || !std::all_of(label.begin(), label.end(), [&](char c) {
          return is_alphanumeric(c) || c == '-';
        })) {
      return false;
    }
    begin += label.size() + 1;
  }
  return true;
}

}  // namespace

IngressAddresses::IngressAddresses(Options options, Want want)
    : options_(std::move(options)), want_(std::move(want)) {
  if (!options_.fixed.empty()) fields_ = AddressFields(options_.fixed);
}

void IngressAddresses::Observe(const std::vector<api::Change>& changes) {
  if (!options_.fixed.empty()) return;
  const MutexLock lock(mutex_);
  const std::optional<std::string> before = fields_;
  for (const api::Change& change : changes) {
    if (change.ref != options_.service) continue;
    if (const auto* service = api::As<api::Service>(change.object.get())) {
      fields_ = AddressFields(service->load_balancer);
    } else if (fields_) {
      fields_ = AddressFields({});
    }
  }
  if (fields_ == before) return;
  for (const api::ObjectRef& ref : ours_) want_(ref, fields_);
}

void IngressAddresses::SetOurs(const std::vector<std::pair<api::ObjectRef, bool>>& ingresses) {
  const MutexLock lock(mutex_);
  for (const auto& [ref, ours] : ingresses) {
    if (ours) {
      ours_.insert(ref);
      if (fields_) want_(ref, fields_);
    } else if (ours_.erase(ref) > 0) {
      want_(ref, std::nullopt);
    }
  }
}

absl::StatusOr<std::vector<api::LoadBalancerIngress>> ParseAddresses(
    const std::vector<std::string>& addresses) {
  std::vector<api::LoadBalancerIngress> parsed;
  for (const std::string& address : addresses) {
    if (IsIPAddress(address)) {
      parsed.push_back({.ip = address});
    } else if (IsHostName(address) && !EndsInDigits(address)) {
      parsed.push_back({.hostname = address});
    } else {
      return InvalidArgument("expected an IP address or a host name, got {}", Quote(address));
    }
  }
  return parsed;
}

}  // namespace contour::status
