// SPDX-License-Identifier: Apache-2.0
// Reads requests from bytes, and writes responses as bytes.
//
//   CONTOUR_ASSIGN_OR_RETURN(Request request, ParseRequest(bytes, Protocol::kDelta));
//   Payload payload = encoder.Encode(response, StreamMode::kAggregatedDelta);
//
// A response is put together from resources that are serialised already. Big ones aren't copied:
// the slices refer to them, so a thousand Envoys that are sent the same route configuration share
// one. A big response of small resources is shared as a whole, as long as one of the Envoys that
// are sent it hasn't read it.
//
// Thread: any, an Encoder too.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "xds/session/messages.h"
#include "xds/snapshot/weak_cache.h"

namespace contour::xds {

enum class StreamMode : std::uint8_t {
  kAggregatedDelta,
  kAggregatedStateOfTheWorld,
  kDelta,
  kStateOfTheWorld
};

constexpr bool IsAggregated(StreamMode mode) {
  return mode == StreamMode::kAggregatedDelta || mode == StreamMode::kAggregatedStateOfTheWorld;
}
constexpr Protocol ProtocolOf(StreamMode mode) {
  return mode == StreamMode::kAggregatedDelta || mode == StreamMode::kDelta
             ? Protocol::kDelta
             : Protocol::kStateOfTheWorld;
}

// Reads a DiscoveryRequest or DeltaDiscoveryRequest. kInvalidArgument if `bytes` is none.
absl::StatusOr<Request> ParseRequest(std::string_view bytes, Protocol protocol);

// Reads only who sends the request, without a copy of the rest: an Envoy names itself in the first
// request of a stream, which may be big. kInvalidArgument if `bytes` is no request.
absl::StatusOr<std::string> ReadNodeId(std::string_view bytes, Protocol protocol);

// A piece of a serialised message. `owner` keeps `bytes` alive.
struct Slice {
  std::shared_ptr<const void> owner;
  std::string_view bytes;
};
struct Payload {
  std::vector<Slice> slices;
  std::size_t size = 0;  // bytes of all

  std::string Text() const;  // in one piece
};

class Encoder {
 public:
  // Changes a message for streams per type: what ADS delivers says that the rest comes from ADS,
  // which on such a stream must name a gRPC service instead. Only clusters and listeners say such
  // things, so it is called for these alone. Pure, any thread; called once per content and mode.
  using Adapt = std::function<std::string(ResourceType, std::string_view bytes, StreamMode)>;

  // Bounds of the adapted messages that are remembered. The time is for contents that nobody is
  // sent any more, and for a mode that no Envoy has any more.
  static constexpr std::size_t kAdaptedBytes = std::size_t{64} << 20;
  static constexpr std::chrono::seconds kAdaptedTime{60};

  using Time = std::chrono::steady_clock::time_point;
  using Clock = std::function<Time()>;
  explicit Encoder(Adapt adapt, Clock now = std::chrono::steady_clock::now)
      : adapt_(std::move(adapt)), now_(std::move(now)) {}

  // The resources of a response of so many bytes are encoded once for all Envoys that are sent
  // them.
  static constexpr std::size_t kSharedResponse = std::size_t{64} << 10;

  Payload Encode(const Response& response, StreamMode mode) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Text = std::shared_ptr<const std::string>;
  using Slices = std::shared_ptr<const std::vector<Slice>>;
  using Key = std::tuple<ResourceType, Hash128, StreamMode>;
  struct Adapted {
    Key key;
    Text text;
    Time used;
  };

  Slices Resources(const Response& response, StreamMode mode) ABSL_LOCKS_EXCLUDED(mutex_);
  Slice Body(ResourceType type, const ResourcePtr& resource, StreamMode mode)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void ForgetAdapted(Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Text Assembled(ResourceType type, const Resource& resource) ABSL_LOCKS_EXCLUDED(mutex_);

  const Adapt adapt_;
  const Clock now_;
  Mutex mutex_;
  // Holds composite resources as long as someone is being sent them.
  SharedCache<std::pair<ResourceType, Hash128>, std::string> assembled_;
  // Holds the resources and removals of big responses likewise, by a hash of them.
  SharedCache<Hash128, std::vector<Slice>> responses_;
  std::list<Adapted> adapted_ ABSL_GUARDED_BY(mutex_);  // the last used first
  std::map<Key, std::list<Adapted>::iterator> adapted_by_key_ ABSL_GUARDED_BY(mutex_);
  std::size_t adapted_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace contour::xds
