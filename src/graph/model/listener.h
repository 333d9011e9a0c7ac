// SPDX-License-Identifier: Apache-2.0
// Listeners as objects know them. A listener is data: whoever derives a host may name any.

#pragma once

#include <compare>
#include <cstdint>

namespace contour::graph {

enum class TLSVersion : std::uint8_t { k1_1, k1_2, k1_3 };

// A listener by what its clients see of it.
struct ListenerKey {
  enum class Protocol : std::uint8_t {
    kHTTP,
    kHTTPS,  // TLS, in which may be HTTP or anything else
  };
  std::uint16_t port = 0;
  Protocol protocol = Protocol::kHTTP;

  auto operator<=>(const ListenerKey&) const = default;
};

// The built-in ones, on which Ingresses and IngressRoutes are served. The port is the one that
// clients know; which one Envoy listens on is configured.
inline constexpr ListenerKey kHTTPListener{80, ListenerKey::Protocol::kHTTP};
inline constexpr ListenerKey kHTTPSListener{443, ListenerKey::Protocol::kHTTPS};

}  // namespace contour::graph
