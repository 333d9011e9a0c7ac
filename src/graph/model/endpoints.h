// SPDX-License-Identifier: Apache-2.0
// The addresses behind a port of a Service.

#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace contour::graph {

struct ServiceKey {
  std::string ns;
  std::string name;

  auto operator<=>(const ServiceKey&) const = default;
};

// One port of one Service, by its name: whose endpoints an assignment holds.
struct AssignmentKey {
  std::string ns;
  std::string service;
  std::string port_name;  // may be empty

  auto operator<=>(const AssignmentKey&) const = default;
};

// The addresses behind one port of one Service. Named as `ServiceName()` of envoy/names.h names it.
struct Assignment {
  std::string ns;
  std::string service;
  std::string port_name;  // may be empty

  struct Address {
    std::string ip;
    std::uint16_t port = 0;
    auto operator<=>(const Address&) const = default;
  };
  std::vector<Address> addresses;  // sorted, no duplicates; empty: nothing is ready

  bool operator==(const Assignment&) const = default;
};

}  // namespace contour::graph
