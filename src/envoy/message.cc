// SPDX-License-Identifier: Apache-2.0
#include "envoy/message.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "envoy/config/core/v3/address.pb.h"

namespace contour::envoy {
namespace {

constexpr std::chrono::seconds kLongest = std::chrono::hours(24) * 365 * 100;

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none. The table of
// well-formed sequences of the Unicode standard (no surrogates, no overlong forms).
std::size_t SequenceLength(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned first = at(0);
  const unsigned second = at(1);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  if (first < 0xE0) return tail(1) ? 2 : 0;
  if (first < 0xF0) {
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second > 0x9F) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return tail(1) && tail(2) && tail(3) ? 4 : 0;
}

bool IsPlain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte < 0x7F) || byte == '\t';
}

}  // namespace

std::string Serialize(const google::protobuf::MessageLite& message) {
  std::string bytes;
  bytes.reserve(message.ByteSizeLong());
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

void Pack(const google::protobuf::Message& message, google::protobuf::Any* any) {
  any->set_type_url("type.googleapis.com/" + message.GetDescriptor()->full_name());
  any->set_value(Serialize(message));
}

std::string Text(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPlain)) return std::string(text);
  std::string clean;
  clean.reserve(text.size() + 16);
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    if (length > 1 || (length == 1 && IsPlain(text.front()))) {
      clean.append(text.substr(0, length));
      text.remove_prefix(length);
    } else {
      clean += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    }
  }
  return clean;
}

void SetDuration(std::chrono::nanoseconds value, google::protobuf::Duration* duration) {
  using std::chrono::seconds;
  value = std::clamp<std::chrono::nanoseconds>(value, std::chrono::nanoseconds(0), kLongest);
  const auto whole = std::chrono::duration_cast<seconds>(value);
  duration->set_seconds(whole.count());
  duration->set_nanos(static_cast<std::int32_t>((value - whole).count()));
}

void SetDuration(std::chrono::seconds value, google::protobuf::Duration* duration) {
  value = std::clamp(value, std::chrono::seconds(0), kLongest);
  duration->set_seconds(value.count());
}

void SetAddress(std::string_view host, std::uint32_t port,
                ::envoy::config::core::v3::Address* address) {
  auto* socket = address->mutable_socket_address();
  socket->set_address(Text(host));
  socket->set_port_value(port);
}

bool IsIP(const std::string& host) {
  in6_addr unused{};
  if (host.find('\0') != std::string::npos) return false;
  return inet_pton(AF_INET, host.c_str(), &unused) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &unused) == 1;
}

}  // namespace contour::envoy
