// SPDX-License-Identifier: Apache-2.0
// The state of one stream, type by type, without what the protocol makes of it (stream.h).
//
//   StreamState stream(1, Protocol::kDelta, aggregated, warm_timeout, holds, figures);
//   if (stream[ResourceType::kCluster].names.Includes("kuard")) …
//
// Thread: one at a time per session.

#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "xds/session/figures.h"
#include "xds/session/hold_index.h"
#include "xds/session/messages.h"
#include "xds/session/nack_tracker.h"
#include "xds/session/pending_names.h"
#include "xds/session/sent_state.h"
#include "xds/session/subscribed_names.h"
#include "xds/session/waiting_resources.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

// A response that is being made: first its names are looked at one by one, then its changes are
// noted as sent.
struct ResponseDraft {
  std::vector<PendingNames::Name> names;  // sorted
  std::size_t next = 0;                   // of these
  std::vector<Change> changes;            // by name
  std::size_t released = 0;               // parts that a time-out releases
  bool stalled = false;
  std::uint64_t sequence = 0;  // of the response; 0: not all names have been looked at
  EditToken token = kNoEdit;
  std::size_t sent = 0;  // of the changes
};

// One type on one stream. Each part keeps its own invariants; a part refers to others only to read
// them.
struct TypeState {
  TypeState(ResourceType type, std::uint64_t stream, Protocol protocol, bool aggregated,
            std::chrono::milliseconds warm_timeout, HoldIndex& holds, SessionFigures& figures)
      : names(type, protocol, aggregated, figures),
        sent(figures.examined),
        waiting(holds, stream, type, warm_timeout, figures),
        nacks(type, protocol, sent, names, figures) {}
  TypeState(const TypeState&) = delete;
  TypeState& operator=(const TypeState&) = delete;

  // True if the Envoy has asked for the type, and nothing else has happened to any of it.
  bool fresh() const {
    return names.started() && sent.pristine() && waiting.empty() && nacks.quiet() &&
           !draft.has_value() && !pending.stalled();
  }

  SubscribedNames names;
  SentState sent;
  PendingNames pending;
  WaitingResources waiting;
  NackTracker nacks;
  std::optional<ResponseDraft> draft;
};

class StreamState {
 public:
  StreamState(std::uint64_t id, Protocol protocol, bool aggregated,
              std::chrono::milliseconds warm_timeout, HoldIndex& holds, SessionFigures& figures)
      : id_(id),
        protocol_(protocol),
        types_(Make(std::make_index_sequence<kResourceTypes>(), id, protocol, aggregated,
                    warm_timeout, holds, figures)) {}

  std::uint64_t id() const { return id_; }
  Protocol protocol() const { return protocol_; }
  bool delta() const { return protocol_ == Protocol::kDelta; }
  // True if a response holds all resources of the type, and what it lacks is thereby withdrawn.
  bool SendsWhole(ResourceType type) const { return !delta() && Info(type).whole; }

  TypeState& operator[](ResourceType type) { return types_[Index(type)]; }
  const TypeState& operator[](ResourceType type) const { return types_[Index(type)]; }
  bool Waits() const;

 private:
  using Types = std::array<TypeState, kResourceTypes>;

  template <std::size_t... kIndex>
  static Types Make(std::index_sequence<kIndex...> /*unused*/, std::uint64_t id, Protocol protocol,
                    bool aggregated, std::chrono::milliseconds warm_timeout, HoldIndex& holds,
                    SessionFigures& figures) {
    return {{TypeState(kTypes[kIndex].type, id, protocol, aggregated, warm_timeout, holds,
                       figures)...}};
  }

  const std::uint64_t id_;
  const Protocol protocol_;
  Types types_;
};

inline bool StreamState::Waits() const {
  for (const TypeState& type : types_) {
    if (!type.waiting.empty()) return true;
  }
  return false;
}

}  // namespace contour::xds
