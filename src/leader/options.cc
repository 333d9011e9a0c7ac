// SPDX-License-Identifier: Apache-2.0
#include "leader/options.h"

#include <fmt/core.h>

#include <random>

#include "base/host_name.h"
#include "base/status.h"

namespace contour::leader {
namespace {

// Returns a UUID of version 4.
std::string RandomUuid() {
  std::random_device random;
  const auto word = [&] { return static_cast<std::uint32_t>(random()); };
  const std::uint32_t a = word(), b = word(), c = word(), d = word();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:04x}{:08x}", a, b >> 16, b & 0xfff,
                     0x8000 | (c >> 18), c & 0xffff, d);
}

}  // namespace

std::string DefaultIdentity() {
  if (const std::string pod = PodName(); !pod.empty()) return pod;
  const std::string host = HostName();
  return host.empty() ? RandomUuid() : fmt::format("{}_{}", host, RandomUuid());
}

absl::Status Check(const Options& options) {
  if (options.name.empty() || options.ns.empty()) {
    return InvalidArgument("leader election: the lock needs a name and a namespace, got '{}/{}'",
                           options.ns, options.name);
  }
  if (options.identity.empty()) return InvalidArgument("leader election: the identity is empty");
  if (options.lease_duration.count() < 1000 || options.lease_duration.count() % 1000 != 0) {
    return InvalidArgument(
        "leader election: the lease duration must be a whole number of seconds, got {} ms",
        options.lease_duration.count());
  }
  if (options.retry_period.count() <= 0) {
    return InvalidArgument("leader election: the retry period must be positive, got {} ms",
                           options.retry_period.count());
  }
  if (options.renew_deadline >= options.lease_duration) {
    return InvalidArgument(
        "leader election: the renew deadline ({} ms) must be shorter than the lease duration ({} "
        "ms)",
        options.renew_deadline.count(), options.lease_duration.count());
  }
  if (options.renew_deadline.count() * 5 <= options.retry_period.count() * 6) {
    return InvalidArgument(
        "leader election: the renew deadline ({} ms) must be longer than 1.2 retry periods ({} ms)",
        options.renew_deadline.count(), options.retry_period.count());
  }
  return absl::OkStatus();
}

std::string_view KindName(LockKind kind) {
  return kind == LockKind::kLease ? "lease" : "configmap";
}

}  // namespace contour::leader
