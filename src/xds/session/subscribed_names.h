// SPDX-License-Identifier: Apache-2.0
// Knows what one stream subscribes to of one type: names, or everything, which xDS calls the
// wildcard.
//
//   SubscribedNames names(ResourceType::kCluster, protocol, aggregated, figures);
//   names.Add("kuard", sequence);
//   if (names.Includes("kuard")) …   // by its name or by the wildcard
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "xds/session/figures.h"
#include "xds/session/messages.h"
#include "xds/session/secret_subscriptions.h"
#include "xds/snapshot/name_set.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/shared_tables.h"

namespace contour::xds {

inline constexpr std::string_view kWildcard = "*";

// True if this name subscribes to everything. Of secrets "*" is a name like any other: Envoy asks
// for it when a client's server name is "*".
inline bool IsWildcard(ResourceType type, std::string_view name) {
  return name == kWildcard && type != ResourceType::kSecret;
}

class SubscribedNames {
 public:
  SubscribedNames(ResourceType type, Protocol protocol, bool aggregated, SessionFigures& figures)
      : notes_when_asked_(type == ResourceType::kEndpoints && !aggregated),
        bounded_(type == ResourceType::kSecret && protocol == Protocol::kDelta) {
    if (type == ResourceType::kSecret) secrets_.CountUnknownIn(figures.unknown_secrets);
  }

  // True once the stream has sent a request for the type.
  bool started() const { return started_; }
  void Start() { started_ = true; }

  bool wildcard() const { return wildcard_; }
  void SetWildcard(bool wildcard) { wildcard_ = wildcard; }

  const NameSet& names() const { return names_; }
  bool Contains(std::string_view name) const { return names_.Contains(name); }
  bool Includes(std::string_view name) const { return wildcard_ || names_.Contains(name); }

  // True if a name has to be admitted before it is added: it is a client's, and they are bounded.
  bool MustAdmit(std::string_view name) const { return bounded_ && !names_.Contains(name); }
  // Returns false if there are too many names already. Such a name is only answered.
  bool Admit(const std::string& name, bool exists);

  // Subscribes to the name. `sequence`: of the last response before the request.
  void Add(const std::string& name, std::uint64_t sequence, EditToken token = kNoEdit);
  // Subscribes to all of the set. REQUIRES: nothing is subscribed by name.
  void Assign(NameSet names) { names_ = std::move(names); }
  // Returns false if the name wasn't subscribed.
  bool Remove(const std::string& name);
  // Makes the set the copy that other streams have, if there is one.
  void Share(SharedTables& tables) { tables.Share(names_); }

  // Returns the names that weren't admitted and wait for an answer.
  const StringSet& turned_away() const { return turned_away_; }
  // Returns false if the name doesn't wait for such an answer.
  bool TakeTurnedAway(const std::string& name) { return turned_away_.erase(name) > 0; }

  // Which of the names of secrets exist. Of names that were admitted.
  SecretSubscriptions& secrets() { return secrets_; }
  const SecretSubscriptions& secrets() const { return secrets_; }

  // True if it matters when a name was subscribed: on streams per type each cluster asks for its
  // assignment on a stream of its own (see warming.h).
  bool notes_when_asked() const { return notes_when_asked_; }
  // Returns the session's sequence when each name was subscribed; 0: on a stream from before.
  const StringMap<std::uint64_t>& asked() const { return asked_; }
  void SetAskedBefore(const std::string& name);  // nothing unless notes_when_asked()
  void SetAllAskedBefore();

  // State of the world: true if the client says to which response a request belongs. Envoy does.
  bool uses_nonces() const { return uses_nonces_; }
  void SetUsesNonces() { uses_nonces_ = true; }
  // State of the world: notes which subscribed names a stale request didn't name. A name that was
  // dropped and is wanted again is subscribed anew, also if only a stale request says so.
  void NoteMissed(const std::vector<std::string>& requested);
  StringSet TakeMissed() { return std::exchange(missed_, {}); }

 private:
  const bool notes_when_asked_;
  const bool bounded_;
  bool started_ = false;
  bool wildcard_ = false;
  bool uses_nonces_ = false;
  NameSet names_;
  StringMap<std::uint64_t> asked_;
  SecretSubscriptions secrets_;
  StringSet turned_away_;
  StringSet missed_;
};

}  // namespace contour::xds
