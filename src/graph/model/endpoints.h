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

// The port of a Service whose endpoints an assignment holds, by the port's name.
struct AssignmentKey {
  std::string ns;
  std::string service;
  std::string port_name;  // may be empty

  auto operator<=>(const AssignmentKey&) const = default;
};

// The addresses behind one port of one Service. `ServiceName()` in envoy/names.h gives its name.
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
