// SPDX-License-Identifier: Apache-2.0

#include "xds/wire/encoder.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <iterator>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/rpc/status.pb.h"
#include "xds/snapshot/protobuf_wire.h"

namespace contour::xds {
namespace {

using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryRequest;

// From this size on a resource is referred to instead of copied: below it the copy is cheaper than
// the bookkeeping.
constexpr std::size_t kSharedBytes = 8192;

// Field numbers of envoy/service/discovery/v3/discovery.proto and google/protobuf/any.proto.
constexpr std::uint32_t kAnyTypeUrl = 1;
constexpr std::uint32_t kAnyValue = 2;
constexpr std::uint32_t kVersion = 1;    // version_info, system_version_info
constexpr std::uint32_t kResources = 2;  // of both responses
constexpr std::uint32_t kTypeUrl = 4;
constexpr std::uint32_t kNonce = 5;
constexpr std::uint32_t kRemovedResources = 6;
constexpr std::uint32_t kResourceVersion = 1;  // of Resource
constexpr std::uint32_t kResourceAny = 2;
constexpr std::uint32_t kResourceName = 3;

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Reads a field of a proto3 message that is a string.
bool ReadText(CodedInputStream& in, std::string& text) {
  return WireFormatLite::ReadString(&in, &text) &&
         WireFormatLite::VerifyUtf8String(text.data(), static_cast<int>(text.size()),
                                          WireFormatLite::PARSE, "request");
}

// Reads fields until the end: f(tag) returns false if the field is wrong; nullopt: it isn't known.
template <typename Function>
bool ReadFields(CodedInputStream& in, Function&& f) {
  while (const std::uint32_t tag = in.ReadTag()) {
    const std::optional<bool> read = f(tag);
    if (read.has_value() ? !*read : !WireFormatLite::SkipField(&in, tag)) return false;
  }
  return in.ConsumedEntireMessage();
}

constexpr std::uint32_t TextTag(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

// Reads an entry of a map from names to versions.
bool ReadVersion(CodedInputStream& in, std::pair<std::string, std::string>& entry) {
  std::uint32_t length = 0;
  if (!in.ReadVarint32(&length)) return false;
  const CodedInputStream::Limit limit = in.PushLimit(static_cast<int>(length));
  const bool read = ReadFields(in, [&](std::uint32_t tag) -> std::optional<bool> {
    if (tag == TextTag(1)) return ReadText(in, entry.first);
    if (tag == TextTag(2)) return ReadText(in, entry.second);
    return std::nullopt;
  });
  const bool whole = in.BytesUntilLimit() == 0;
  in.PopLimit(limit);
  return read && whole;
}

// Reads a request without making the message first: one of an Envoy that comes back names tens of
// thousands of resources.
bool ReadDelta(std::string_view bytes, Request& request) {
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  return ReadFields(in, [&](std::uint32_t tag) -> std::optional<bool> {
    switch (tag) {
      case TextTag(DeltaDiscoveryRequest::kTypeUrlFieldNumber):
        return ReadText(in, request.type_url);
      case TextTag(DeltaDiscoveryRequest::kResponseNonceFieldNumber):
        return ReadText(in, request.nonce);
      case TextTag(DeltaDiscoveryRequest::kResourceNamesSubscribeFieldNumber):
        return ReadText(in, request.subscribe.emplace_back());
      case TextTag(DeltaDiscoveryRequest::kResourceNamesUnsubscribeFieldNumber):
        return ReadText(in, request.unsubscribe.emplace_back());
      case TextTag(DeltaDiscoveryRequest::kInitialResourceVersionsFieldNumber):
        return ReadVersion(in, request.initial_versions.emplace_back());
      case TextTag(DeltaDiscoveryRequest::kErrorDetailFieldNumber): {
        std::string text;
        ::google::rpc::Status status;
        if (!WireFormatLite::ReadBytes(&in, &text) || !status.ParseFromString(text)) return false;
        request.error = status.message();
        return true;
      }
      default:
        return std::nullopt;
    }
  });
}

absl::Status NoRequest(Protocol protocol) {
  return InvalidArgument("request: no {}", protocol == Protocol::kDelta ? "DeltaDiscoveryRequest"
                                                                        : "DiscoveryRequest");
}

// Collects small pieces in one text and lets big ones stand.
class Writer {
 public:
  void Field(std::uint32_t field, std::string_view bytes) {
    wire::AppendField(text_, field, bytes);
  }
  void FieldHead(std::uint32_t field, std::size_t length) {
    wire::AppendFieldHead(text_, field, length);
  }
  void Bytes(const Slice& slice) {
    if (slice.bytes.size() < kSharedBytes) {
      text_ += slice.bytes;
    } else {
      Share(slice);
    }
  }
  void Share(const Slice& slice) {
    Flush();
    payload_.slices.push_back(slice);
    payload_.size += slice.bytes.size();
  }
  Payload Finish() {
    Flush();
    return std::move(payload_);
  }

 private:
  void Flush() {
    if (text_.empty()) return;
    auto owned = std::make_shared<const std::string>(std::exchange(text_, {}));
    payload_.size += owned->size();
    payload_.slices.push_back({owned, *owned});
  }

  std::string text_;
  Payload payload_;
};

// Names the resources and removals of a response; nullopt: it isn't worth sharing. The version of a
// resource stands for its name and content.
std::optional<Hash128> KeyOf(const Response& response, StreamMode mode) {
  std::size_t size = 0;
  for (const ResourcePtr& resource : response.resources) size += resource->bytes.size();
  for (const std::string& name : response.removed) size += name.size();
  if (size < Encoder::kSharedResponse) return std::nullopt;
  std::string text;
  text.reserve(2 + response.resources.size() * sizeof(Hash128));
  text += static_cast<char>(response.type);
  text += static_cast<char>(mode);
  for (const ResourcePtr& resource : response.resources) {
    text.append(reinterpret_cast<const char*>(&resource->version.high), sizeof(std::uint64_t));
    text.append(reinterpret_cast<const char*>(&resource->version.low), sizeof(std::uint64_t));
  }
  for (const std::string& name : response.removed) wire::AppendField(text, kRemovedResources, name);
  return HashBytes(text);
}

}  // namespace

absl::StatusOr<Request> ParseRequest(std::string_view bytes, Protocol protocol) {
  Request request;
  if (protocol == Protocol::kDelta) {
    if (!ReadDelta(bytes, request)) return NoRequest(protocol);
    return request;
  }
  DiscoveryRequest message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return NoRequest(protocol);
  request.type_url = std::move(*message.mutable_type_url());
  request.nonce = std::move(*message.mutable_response_nonce());
  if (message.has_error_detail()) request.error = message.error_detail().message();
  request.version = std::move(*message.mutable_version_info());
  request.names.reserve(static_cast<std::size_t>(message.resource_names_size()));
  for (std::string& name : *message.mutable_resource_names())
    request.names.push_back(std::move(name));
  return request;
}

absl::StatusOr<std::string> ReadNodeId(std::string_view bytes, Protocol protocol) {
  const std::uint32_t node_tag = protocol == Protocol::kDelta
                                     ? TextTag(DeltaDiscoveryRequest::kNodeFieldNumber)
                                     : TextTag(DiscoveryRequest::kNodeFieldNumber);
  ::envoy::config::core::v3::Node node;
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  const bool read = ReadFields(in, [&](std::uint32_t tag) -> std::optional<bool> {
    if (tag != node_tag) return std::nullopt;
    std::string text;
    return WireFormatLite::ReadBytes(&in, &text) && node.MergeFromString(text);
  });
  if (!read) return NoRequest(protocol);
  return node.id();
}

std::string Payload::Text() const {
  std::string text;
  text.reserve(size);
  for (const Slice& slice : slices) text += slice.bytes;
  return text;
}

Encoder::Text Encoder::Assembled(ResourceType type, const Resource& resource) {
  return assembled_.Get({type, resource.version}, [&] {
    return std::make_shared<const std::string>(Assemble(type, resource));
  });
}

void Encoder::ForgetAdapted(Time now) {
  while (!adapted_.empty() && (adapted_.back().used + kAdaptedTime < now ||
                               (adapted_bytes_ > kAdaptedBytes && adapted_.size() > 1))) {
    adapted_bytes_ -= adapted_.back().text->size();
    adapted_by_key_.erase(adapted_.back().key);
    adapted_.pop_back();
  }
}

Slice Encoder::Body(ResourceType type, const ResourcePtr& resource, StreamMode mode) {
  const bool adapts = adapt_ != nullptr && !IsAggregated(mode) &&
                      (type == ResourceType::kCluster || type == ResourceType::kListener);
  const Key key{type, resource->version, mode};
  if (adapts) {
    const MutexLock lock(mutex_);
    if (const auto at = adapted_by_key_.find(key); at != adapted_by_key_.end()) {
      adapted_.splice(adapted_.begin(), adapted_, at->second);
      at->second->used = now_();
      return {at->second->text, *at->second->text};
    }
  }
  Slice body{resource, resource->bytes};
  if (!resource->parts.empty()) {
    const Text assembled = Assembled(type, *resource);
    body = {assembled, *assembled};
  }
  if (!adapts) return body;

  auto text = std::make_shared<const std::string>(adapt_(type, body.bytes, mode));
  const MutexLock lock(mutex_);
  if (adapted_by_key_.contains(key)) return {text, *text};  // somebody was faster
  adapted_.push_front({key, text, now_()});
  adapted_by_key_.emplace(key, adapted_.begin());
  adapted_bytes_ += text->size();
  return {text, *text};
}

Encoder::Slices Encoder::Resources(const Response& response, StreamMode mode) {
  const std::string_view url = Info(response.type).url;
  const bool delta = response.protocol == Protocol::kDelta;
  Writer writer;
  for (const ResourcePtr& resource : response.resources) {
    const Slice body = Body(response.type, resource, mode);
    const std::size_t any =
        wire::FieldSize(kAnyTypeUrl, url.size()) + wire::FieldSize(kAnyValue, body.bytes.size());
    if (delta) {
      const std::string version = resource->version.Hex();
      writer.FieldHead(kResources, wire::FieldSize(kResourceVersion, version.size()) +
                                       wire::FieldSize(kResourceName, resource->name.size()) +
                                       wire::FieldSize(kResourceAny, any));
      writer.Field(kResourceVersion, version);
      writer.Field(kResourceName, resource->name);
      writer.FieldHead(kResourceAny, any);
    } else {
      writer.FieldHead(kResources, any);
    }
    writer.Field(kAnyTypeUrl, url);
    writer.FieldHead(kAnyValue, body.bytes.size());
    writer.Bytes(body);
  }
  for (const std::string& name : response.removed) writer.Field(kRemovedResources, name);
  return std::make_shared<const std::vector<Slice>>(writer.Finish().slices);
}

Payload Encoder::Encode(const Response& response, StreamMode mode) {
  {
    const MutexLock lock(mutex_);
    ForgetAdapted(now_());
  }
  Slices resources;
  if (const std::optional<Hash128> key = KeyOf(response, mode)) {
    resources = responses_.Get(*key, [&] { return Resources(response, mode); });
  } else {
    resources = Resources(response, mode);
  }
  Writer writer;
  writer.Field(kVersion, response.version);
  for (const Slice& slice : *resources) {
    if (slice.bytes.size() < kSharedBytes) {
      writer.Bytes(slice);
    } else {
      writer.Share({resources, slice.bytes});
    }
  }
  writer.Field(kTypeUrl, response.unknown_type_url.empty() ? Info(response.type).url
                                                           : response.unknown_type_url);
  writer.Field(kNonce, response.nonce);
  return writer.Finish();
}

}  // namespace contour::xds
