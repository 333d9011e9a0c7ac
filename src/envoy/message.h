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
template <typename Element>
class RepeatedPtrField;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class Address;
class SocketOption;
}  // namespace envoy::config::core::v3
namespace envoy::config::cluster::v3 {
class Cluster;
}  // namespace envoy::config::cluster::v3

namespace contour::envoy {

// Returns the bytes of a message. Maps are in the order of their keys, so that equal messages give
// equal bytes.
std::string Serialize(const google::protobuf::MessageLite& message);

// Does what Any::PackFrom does, but deterministically. The type URL comes from the generated code:
// asking the message for its descriptor would build and keep the descriptors of all of Envoy's API.
// `any` is a google::protobuf::Any; its type is a parameter so that its header isn't needed here.
template <typename Message, typename Any>
void Pack(const Message& message, Any* any) {
  any->PackFrom(Message::default_instance());
  any->set_value(Serialize(message));
}

// Returns text that every Envoy takes in a `string` field: bytes that aren't UTF-8 and control
// characters other than tab become `\xff`, `\x00` and so on. Without this, one such byte in one
// object would make Envoy NACK the whole response that has it.
//
//   Text("/a\nb") == "/a\\x0ab"
std::string Text(std::string_view text);

// Sets a duration. Envoy takes none that is negative or above 292 years; these become 0 and 100
// years.
void SetDuration(std::chrono::nanoseconds value, google::protobuf::Duration* duration);
void SetDuration(std::chrono::seconds value, google::protobuf::Duration* duration);

// Sets a TCP address and port.
void SetAddress(std::string_view host, std::uint32_t port,
                ::envoy::config::core::v3::Address* address);

// Makes Envoy use HTTP/2 instead of HTTP/1.1 to the upstream.
void SetHTTP2(::envoy::config::cluster::v3::Cluster* cluster);

// HTTP/2 pings on each connection to an upstream. Envoy sends a ping each `interval` (with its
// jitter of 15 %), and closes a connection whose ping isn't answered within `timeout`.
struct PingKeepalive {
  std::chrono::seconds interval;
  std::chrono::seconds timeout;
};
void SetHTTP2(const PingKeepalive& keepalive, ::envoy::config::cluster::v3::Cluster* cluster);

// Makes the kernel end a TCP connection whose peer has vanished without closing it: after 2 minutes
// without a byte it sends a probe every 30 s, and gives up when 6 of them have no answer. That
// makes 5 minutes. The first probe comes before the balancers of the clouds forget a silent
// connection (240 s at the earliest).
void AddKeepalive(
    google::protobuf::RepeatedPtrField<::envoy::config::core::v3::SocketOption>* options);

// True if `host` is a literal IPv4 or IPv6 address (RFC 4291 text, without brackets or a zone).
bool IsIP(std::string_view host);

}  // namespace contour::envoy
