// SPDX-License-Identifier: Apache-2.0
#include "envoy/message.h"

#include <fmt/core.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/core/v3/socket_option.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace contour::envoy {
namespace {

using ProtocolOptions = ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

void SetProtocolOptions(const ProtocolOptions& options,
                        ::envoy::config::cluster::v3::Cluster* cluster) {
  Pack(options, &(*cluster->mutable_typed_extension_protocol_options())
                    ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]);
}

constexpr std::chrono::seconds kLongest = std::chrono::hours(24) * 365 * 100;

// Returns the length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
// It follows the table of well-formed sequences of the Unicode standard (no surrogates, no overlong
// forms).
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

// Takes the text up to `separator` (or all) from the front of `text`.
std::string_view TakePiece(char separator, std::string_view* text) {
  const std::size_t end = std::min(text->find(separator), text->size());
  const std::string_view piece = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return piece;
}

// True for four decimal numbers up to 255 without leading zeros.
bool IsIPv4(std::string_view host) {
  if (std::count(host.begin(), host.end(), '.') != 3) return false;
  for (int i = 0; i < 4; ++i) {
    const std::string_view piece = TakePiece('.', &host);
    if (piece.empty() || piece.size() > 3 || (piece.size() > 1 && piece.front() == '0'))
      return false;
    int value = 0;
    for (const char c : piece) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    if (value > 255) return false;
  }
  return true;
}

// Returns how many of the eight groups a part of an IPv6 address on one side of "::" has; nullopt
// if it is malformed. An IPv4 address counts as two, and is permitted only at the end of the whole.
std::optional<int> CountGroups(std::string_view part, bool is_end) {
  if (part.empty()) return 0;
  int groups = 0;
  while (true) {
    const bool is_last = part.find(':') == std::string_view::npos;
    const std::string_view piece = TakePiece(':', &part);
    if (is_last && is_end && IsIPv4(piece)) return groups + 2;
    if (piece.empty() || piece.size() > 4) return std::nullopt;
    if (piece.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
      return std::nullopt;
    ++groups;
    if (is_last) return groups;
  }
}

bool IsIPv6(std::string_view host) {
  const std::size_t gap = host.find("::");
  if (gap == std::string_view::npos) return CountGroups(host, true) == 8;
  const std::optional<int> before = CountGroups(host.substr(0, gap), false);
  const std::optional<int> after = CountGroups(host.substr(gap + 2), true);
  return before && after && *before + *after < 8;
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

void SetHTTP2(::envoy::config::cluster::v3::Cluster* cluster) {
  ProtocolOptions options;
  options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  SetProtocolOptions(options, cluster);
}

void SetHTTP2(const PingKeepalive& keepalive, ::envoy::config::cluster::v3::Cluster* cluster) {
  ProtocolOptions options;
  auto* pings = options.mutable_explicit_http_config()
                    ->mutable_http2_protocol_options()
                    ->mutable_connection_keepalive();
  SetDuration(keepalive.interval, pings->mutable_interval());
  SetDuration(keepalive.timeout, pings->mutable_timeout());
  SetProtocolOptions(options, cluster);
}

void AddKeepalive(
    google::protobuf::RepeatedPtrField<::envoy::config::core::v3::SocketOption>* options) {
  const auto add = [options](int level, int name, int value) {
    auto* option = options->Add();
    option->set_level(level);
    option->set_name(name);
    option->set_int_value(value);
  };
  // Envoy takes the numbers of Linux, on which it runs.
  constexpr int kSolSocket = 1;
  constexpr int kSoKeepalive = 9;
  constexpr int kIPProtoTCP = 6;
  constexpr int kTCPKeepIdle = 4;
  constexpr int kTCPKeepInterval = 5;
  constexpr int kTCPKeepCount = 6;
  add(kSolSocket, kSoKeepalive, 1);
  add(kIPProtoTCP, kTCPKeepIdle, 120);
  add(kIPProtoTCP, kTCPKeepInterval, 30);
  add(kIPProtoTCP, kTCPKeepCount, 6);
}

bool IsIP(std::string_view host) { return IsIPv4(host) || IsIPv6(host); }

}  // namespace contour::envoy
