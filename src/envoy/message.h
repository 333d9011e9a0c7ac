// SPDX-License-Identifier: Apache-2.0
// Helpers of this room for writing protobuf messages. Not for other rooms.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace google::protobuf {
class Duration;
class MessageLite;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class Address;
}  // namespace envoy::config::core::v3
namespace envoy::config::cluster::v3 {
class Cluster;
}  // namespace envoy::config::cluster::v3

namespace contour::envoy {

// The bytes of a message; maps in the order of their keys, so that equal messages give equal bytes.
std::string Serialize(const google::protobuf::MessageLite& message);

// As Any::PackFrom, but deterministic. The type URL comes from the generated code: to ask the
// message for its descriptor would build those of all of Envoy's API, and keep them. `any` is a
// google::protobuf::Any, as a parameter so that its header isn't needed here.
template <typename Message, typename Any>
void Pack(const Message& message, Any* any) {
  any->PackFrom(Message::default_instance());
  any->set_value(Serialize(message));
}

// Text that every Envoy takes in a `string` field: bytes that aren't UTF-8 and control characters
// other than tab become `\xff`, `\x00` and so on, the rest stays. Without this, one such byte in
// one object would make Envoy refuse the whole response that carries it.
//
//   Text("/a\nb") == "/a\\x0ab"
std::string Text(std::string_view text);

// Envoy refuses negative durations and those above 292 years; they are cut to 0 and 100 years.
void SetDuration(std::chrono::nanoseconds value, google::protobuf::Duration* duration);
void SetDuration(std::chrono::seconds value, google::protobuf::Duration* duration);

// TCP address and port.
void SetAddress(std::string_view host, std::uint32_t port,
                ::envoy::config::core::v3::Address* address);

// HTTP/2 instead of HTTP/1.1 to the upstream.
void SetHTTP2(::envoy::config::cluster::v3::Cluster* cluster);

// HTTP/2 pings on each connection to an upstream. A ping goes out once an `interval` (with Envoy's
// jitter of 15 %); a connection whose ping isn't answered within `timeout` is closed.
struct PingKeepalive {
  std::chrono::seconds interval;
  std::chrono::seconds timeout;
};
void SetHTTP2(const PingKeepalive& keepalive, ::envoy::config::cluster::v3::Cluster* cluster);

// Whether `host` is a literal IPv4 or IPv6 address (RFC 4291 text, without brackets or a zone).
bool IsIP(std::string_view host);

}  // namespace contour::envoy
