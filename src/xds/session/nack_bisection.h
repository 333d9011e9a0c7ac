// SPDX-License-Identifier: Apache-2.0
// Finds the contents at fault in NACKed responses. A NACK names a response, not a resource: of the
// good neighbours Envoy may have applied some, and of a route configuration it says only what was
// wrong. The suspects are all contents that changed since the last ACK. They are sent again in
// halves, until a single one is left: a virtual host of a route configuration, a filter chain of a
// listener, a resource.
//
//   NackBisection search;
//   search.OnNacked(suspects, error_message, /*tested=*/false, /*explained=*/false);
//   while (search.Advance(present) == NackBisection::Step::kTest) {
//     … send everything except what search.ForEachWithheld(…) names, then one of
//     search.OnAcked(carried);
//     search.OnNacked(suspects_of_the_response, error_message, /*tested=*/true, false);
//   }
//   for (auto& culprit : search.TakeCulprits()) …
//
// Rules
// - A group of suspects that was NACKed is guilty: one of it is bad, given what the Envoy has. Of a
//   guilty group one half is sent. If it is acked, the other half is guilty. If it is NACKed, this
//   half is guilty, and the other is unknown. A guilty group of one is a culprit.
// - If the error message names some of the suspects, these are left out first, instead of a half.
// - What is unknown is sent as one as soon as something was acked since, or nothing else is left to
//   do: good neighbours wait as short as possible.
// - A suspect whose content changes meanwhile leaves the search: it's another content, to be tried
//   with the next response. What is inferred from its group no longer holds; its neighbours are
//   unknown again.
// For one bad suspect of n these are at most 2·⌈log₂ n⌉ responses until everything else is acked,
// and as many for each further one.
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace contour::xds {

class NackBisection {
 public:
  // A resource and its part; nullopt: the resource, of a composite one its head. All are of one
  // type.
  using Key = std::pair<std::string, std::optional<std::string>>;
  using Suspects = std::map<Key, Hash128>;  // with the content
  struct Culprit {
    Key key;
    Hash128 version;
    std::string error_message;  // of the last NACK for which it was suspected
    bool confirmed = false;     // all that was NACKed with it has been acked without it
  };
  enum class Step {
    kTest,  // send what isn't withheld, and call OnAcked() or OnNacked()
    // Many responses were NACKed in a row: send what the Envoy acked, to see if it is good for
    // anything.
    kControl,
    kOver
  };

  // After this number of culprits without an ACK between them a control is needed.
  static constexpr std::size_t kFruitless = 8;

  bool active() const { return testing_ || !unknown_.suspects.empty() || !guilty_.empty(); }
  bool testing() const { return testing_; }  // a test is to be sent or under way

  // A response was NACKed in which `suspects` differed from what the Envoy had acked. `tested`: it
  // was the test. `explained`: it also held something that was rejected before, so that the NACK
  // says nothing of the rest.
  void OnNacked(const Suspects& suspects, std::string error_message, bool tested, bool explained);

  // The test was acked. `carried` returns true if it held the suspect in this content.
  using Carried = std::function<bool(const Key&, const Hash128&)>;
  void OnAcked(const Carried& carried);
  // Nothing of the test could be sent.
  void OnNothing();

  // Returns what to do next, if no test is in flight. `present` returns true if the suspect in this
  // content is still wanted and not yet acked.
  Step Advance(const Carried& present);

  // Removes what isn't `present` from the search, except what is being tested.
  void Prune(const Carried& present);

  // Ends the search, and returns everything that isn't acked.
  std::vector<Culprit> GiveUp();

  // Returns those found since the last call.
  std::vector<Culprit> TakeCulprits() { return std::exchange(culprits_, {}); }

  // Calls f for each suspect of the resource that is kept out of responses for now.
  void ForEachWithheld(const std::string& resource,
                       const std::function<void(const Key&, const Hash128&)>& f) const;
  // Calls f for each suspect.
  void ForEach(const std::function<void(const Key&, const Hash128&,
                                        const std::string& error_message)>& f) const;
  // Calls f for each suspect of the resource.
  void ForEachOf(const std::string& resource,
                 const std::function<void(const Key&, const Hash128&,
                                          const std::string& error_message)>& f) const;
  const Suspects& test() const { return test_.suspects; }

 private:
  struct Group {
    Suspects suspects;
    Suspects named;  // of these, by the error message
    std::string error_message;
    bool confirmed = false;  // guilty because the rest of what was NACKed was acked
  };

  template <typename Function>
  void ForEachGroup(Function&& f) const {
    f(unknown_);
    f(test_);
    f(complement_);
    for (const Group& group : guilty_) f(group);
  }
  static bool Contains(const Suspects& suspects, const Key& key, const Hash128& version);
  void MakeUnknown(const Group& group);
  void Found(const Group& group);

  Group unknown_;
  std::vector<Group> guilty_;
  Group test_;
  Group complement_;  // guilty if the test is acked
  bool testing_ = false;
  bool progress_ = false;      // something was acked since `unknown_` was tested
  std::size_t fruitless_ = 0;  // culprits since something was acked
  std::vector<Culprit> culprits_;
};

// Returns where `error_message` contains `name`, and not just as part of a longer name; npos:
// nowhere.
std::size_t FindName(std::string_view error_message, std::string_view name);
// True if the error message contains the name.
bool Names(std::string_view error_message, std::string_view name);

}  // namespace contour::xds
