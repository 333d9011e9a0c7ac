// SPDX-License-Identifier: Apache-2.0
// Listeners as objects know them. A derivation may name any listener, so a further one is data.

#pragma once

#include <compare>
#include <cstdint>

namespace contour::graph {

enum class TLSVersion : std::uint8_t { k1_1, k1_2, k1_3 };

// Identifies a listener by the port and the protocol that its clients see.
struct ListenerKey {
  enum class Protocol : std::uint8_t {
    kHTTP,   // or any bytes, for a TCP proxy
    kHTTPS,  // TLS; within it HTTP, or any bytes for a TCP proxy
  };
  std::uint16_t port = 0;
  Protocol protocol = Protocol::kHTTP;

  auto operator<=>(const ListenerKey&) const = default;
};

// The two built-in listeners, on which Ingresses and IngressRoutes are served. The port is the one
// that clients know; the port on which Envoy listens is configured.
inline constexpr ListenerKey kHTTPListener{80, ListenerKey::Protocol::kHTTP};
inline constexpr ListenerKey kHTTPSListener{443, ListenerKey::Protocol::kHTTPS};

}  // namespace contour::graph
