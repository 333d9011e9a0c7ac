// SPDX-License-Identifier: Apache-2.0

#include "xds/session/session.h"

#include <utility>

#include "xds/session/envoy_state.h"

namespace contour::xds {

Session::Session(Identity identity, Options options, SnapshotPtr snapshot,
                 std::shared_ptr<const Memory> memory)
    : envoy_(std::make_unique<EnvoyState>(std::move(identity), std::move(options),
                                          std::move(snapshot), std::move(memory))) {}

Session::~Session() = default;

Stream& Session::Attach(Protocol protocol) {
  StreamState& state = envoy_->AddStream(protocol);
  return *streams_.emplace(state.id(), std::make_unique<Stream>(*envoy_, state)).first->second;
}

void Session::Detach(Stream& stream, Time now) {
  StreamState& state = stream.state();
  streams_.erase(state.id());
  envoy_->RemoveStream(state, now);
}

std::shared_ptr<const Memory> Session::TakeMemory() { return envoy_->TakeMemory(); }

void Session::Offer(SnapshotPtr snapshot) { envoy_->Offer(std::move(snapshot)); }

bool Session::RefreshSome(std::size_t most) { return envoy_->RefreshSome(most); }

std::vector<Stream*> Session::TakeReady(Time now) {
  envoy_->Tick(now);
  if (envoy_->ready()) envoy_->Refresh();
  std::vector<Stream*> ready;
  for (const std::uint64_t id : envoy_->TakeReady()) ready.push_back(streams_.at(id).get());
  return ready;
}

std::optional<Time> Session::NextDeadline() const { return envoy_->NextDeadline(); }

const Session::Identity& Session::identity() const { return envoy_->identity(); }

const Counters& Session::counters() const { return envoy_->figures().counters; }

std::size_t Session::Held() const { return envoy_->figures().held_parts; }

std::size_t Session::UnknownSecrets() const { return envoy_->figures().unknown_secrets; }

std::size_t Session::NodeFaults() const { return envoy_->figures().node_faults; }

std::optional<Time> Session::OldestUnanswered() const {
  return envoy_->figures().unanswered.Earliest();
}

std::uint64_t Session::examined() const { return envoy_->figures().examined; }

Opinion Session::OpinionOn(const ResourceKey& key, const Hash128& version) const {
  return envoy_->OpinionOn(key, version);
}

}  // namespace contour::xds
