// SPDX-License-Identifier: Apache-2.0
// One gRPC stream of an Envoy: what its requests mean, and which response is to be sent next. The
// same for delta and state of the world, for ADS and for streams per type.
//
// Owned by a Session, which says how to use it (session.h).
//
// Files: stream.cc what the protocols have in common; delta_requests.cc and sotw_requests.cc the
// requests; answers.cc ACKs and NACKs; responses.cc the responses.
//
// Thread: one at a time per session.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "xds/session/messages.h"
#include "xds/session/nack_tracker.h"
#include "xds/session/pending_names.h"
#include "xds/session/sent_state.h"
#include "xds/session/type_state.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

class EnvoyState;

class Stream {
 public:
  // Responses with clusters that may be unacknowledged at once; of other types it is one.
  static constexpr std::size_t kClusterResponses = 32;
  static constexpr std::size_t kUnknownTypes = 16;
  // Names that one response is about, except one that must hold everything. If there are more, the
  // following responses are about them.
  static constexpr std::size_t kNamesAtOnce = 2000;
  static constexpr std::size_t kWithoutLimit = std::numeric_limits<std::size_t>::max();

  // Both must outlive the stream. `state` is that of a stream of `envoy`.
  Stream(EnvoyState& envoy, StreamState& state) : envoy_(envoy), state_(state) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // A type that isn't served: on an ADS stream the answer says that nothing of it exists, so that
  // the Envoy's other types go on. kInvalidArgument, which ends the stream, on a stream per type
  // and beyond kUnknownTypes.
  absl::Status OnRequest(const Request& request, Time now);

  // Returns what to write now; nullopt: nothing. Call it when the previous response is written. It
  // stops with nullopt after having looked at about `most` names; then unfinished() is true, and it
  // must be called again before any other method of the session is, except Detach and the views.
  std::optional<Response> Next(Time now, std::size_t most = kWithoutLimit);
  bool unfinished() const { return unfinished_; }

  StreamState& state() const { return state_; }

 private:
  // How much of a resource may be sent while clusters that it needs aren't warm.
  struct Sendable {
    ResourcePtr view;     // nullptr: the resource waits as a whole
    bool absent = false;  // none of its parts may be sent, and Envoy rejects it without
    std::size_t released = 0;
  };
  // The kinds of changes that a NACKed response had.
  struct NackedChanges {
    bool content = false;
    bool withdrawals = false;
  };

  bool delta() const { return state_.delta(); }
  ResourcePtr Wanted(ResourceType type, const std::string& name) const;
  // Returns the function Wanted() of one type.
  auto WantedOf(ResourceType type) const {
    return [this, type](const std::string& name) { return Wanted(type, name); };
  }
  void KeepOnlyNames(ResourceType type);

  // stream.cc
  absl::Status OnUnknownType(const Request& request);
  std::optional<Response> AnswerUnknownType();

  // delta_requests.cc
  void OnDelta(ResourceType type, const Request& request, Time now);
  void FirstDelta(ResourceType type, const Request& request, Time now);
  bool ResumesWithAll(ResourceType type, const Request& request) const;
  void ResumeEach(ResourceType type, const Request& request);

  // sotw_requests.cc
  void OnStateOfTheWorld(ResourceType type, const Request& request, Time now);
  void FirstStateOfTheWorld(ResourceType type, const Request& request, Time now);
  void SubscribeFirst(ResourceType type, const Request& request);
  void ResumeTable(ResourceType type, const std::string& version);
  Table SubscribedPart(ResourceType type) const;
  Table AsPublished(ResourceType type, Table subset) const;
  bool IsCurrent(ResourceType type, const Request& request, Time now);
  bool AsksForTheSame(ResourceType type, const Request& request) const;
  void SetNames(ResourceType type, const Request& request);

  // answers.cc
  void OnAnswer(ResourceType type, const Request& request, Time now);
  std::size_t CountAcked(ResourceType type, const Request& request, std::size_t index) const;
  void OnAck(ResourceType type, const InFlight& response, Time now);
  void AckEverything(ResourceType type, std::uint64_t sequence, Time now);
  void OnNack(ResourceType type, const InFlight& response, const std::string& error_message,
              Time now);
  NackedChanges NoteNackedChanges(ResourceType type, const InFlight& response,
                                  const std::string& error_message, Time now);
  void ReportNack(ResourceType type, const InFlight& response, const std::string& error_message);
  void AssumeClustersAcked(const std::string& error_message);
  NackTracker::Suspicion SuspectsOf(ResourceType type, const InFlight& response, Time now);
  void RejectSuspects(ResourceType type, const InFlight& response,
                      const NackTracker::Suspects& suspects);
  void TouchAwaited(ResourceType type, const InFlight& response);
  void NextSearchStep(ResourceType type);
  bool SendControl(ResourceType type);
  void MarkCulprits(ResourceType type, std::vector<NackBisection::Culprit> culprits, bool certain);
  void GiveUpSearch(ResourceType type);

  // responses.cc
  std::optional<Response> Make(ResourceType type, Time now);
  std::optional<Response> MakeOne(ResourceType type, Time now);
  std::shared_ptr<const Table> FirstTable(ResourceType type) const;
  std::optional<Response> MakeFirst(ResourceType type, Time now);
  bool Spend();
  bool Collect(ResourceType type, Time now);
  bool BeginDraft(ResourceType type);
  void AddEverything(ResourceType type);
  bool InOneResponse(ResourceType type) const;
  bool DecideNames(ResourceType type, Time now);
  bool FinishDraft(ResourceType type);
  bool SendChanges(ResourceType type);
  void Decide(ResourceType type, PendingNames::Name& pending, Time now);
  void DecideUnsubscribed(ResourceType type, const NamePtr& name);
  void DecideRetained(ResourceType type, const NamePtr& name, const ResourcePtr& sent, bool force);
  void DecideWithdrawn(ResourceType type, const NamePtr& name, bool force);
  void DecideContent(ResourceType type, const NamePtr& name, const ResourcePtr& wanted, bool force,
                     Time now);
  void DecideHeld(ResourceType type, const NamePtr& name, bool force);
  Sendable HoldUntilWarm(ResourceType type, const ResourcePtr& wanted, bool force, Time now);
  Response Build(ResourceType type, ResponseDraft draft, Time now);

  EnvoyState& envoy_;
  StreamState& state_;
  std::uint64_t nonces_ = 0;
  std::size_t allowance_ = kWithoutLimit;  // names that this call of Next may still look at
  bool unfinished_ = false;
  std::set<std::string> unknown_types_;  // URLs that were asked for
  // URL and names that are to be answered.
  std::deque<std::pair<std::string, std::vector<std::string>>> unknown_asked_;
};

}  // namespace contour::xds
