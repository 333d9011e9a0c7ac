// SPDX-License-Identifier: Apache-2.0
// Finds what is at fault in refused responses. A NACK names a response, not a resource: of the good
// neighbours Envoy may have applied some, and of a route configuration it says only what was wrong.
// So what changed since the last acknowledgement is sent again in halves, until what is left is one
// item: a virtual host of a route configuration, a filter chain of a listener, a resource.
//
//   NackBisection search;
//   search.OnRefused(items, error_message, /*tested=*/false, /*explained=*/false);
//   while (search.Advance(present) == NackBisection::Step::kTest) {
//     … send everything except what search.Withholds(…), then one of
//     search.OnAccepted(carried);
//     search.OnRefused(items_of_the_response, error_message, /*tested=*/true, false);
//   }
//   for (auto& culprit : search.TakeCulprits()) …
//
// Rules
// - A group that was refused is guilty: one of it is bad, given what the Envoy has. Of a guilty
//   group one half is sent. Accepted: the other half is guilty. Refused: this half is guilty, the
//   other is unknown. A guilty group of one is a culprit.
// - If the error_message name some of the items, these are left out first, instead of a half.
// - What is unknown is sent as one as soon as something was accepted since, or nothing else is left
//   to do: good neighbours wait as short as possible.
// - An item whose content changes meanwhile leaves the search: it's another content, to be tried
//   with the next response. What is inferred from its group no longer holds; its neighbours are
//   unknown again.
// For one bad item of n these are at most 2·⌈log₂ n⌉ responses until everything else is accepted,
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
  // The resource and its part; nullopt: the resource, of a composite one its head. Of one type.
  using Key = std::pair<std::string, std::optional<std::string>>;
  using Items = std::map<Key, Hash128>;  // with the content
  struct Culprit {
    Key key;
    Hash128 version;
    std::string error_message;  // of the refusal that it was the last to be suspected of
    bool confirmed = false;     // all that was refused with it has been accepted without it
  };
  enum class Step {
    kTest,     // send what isn't withheld and tell what came of it
    kControl,  // many were refused in a row: is the Envoy good for anything? Send what it accepted
    kOver
  };

  // So many culprits without any acceptance between them need a control.
  static constexpr std::size_t kFruitless = 8;

  bool active() const { return testing_ || !unknown_.items.empty() || !guilty_.empty(); }
  bool testing() const { return testing_; }  // a test is to be sent or under way

  // A response was refused in which `items` differed from what the Envoy had acknowledged.
  // `tested`: it was the test. `explained`: it also held something that was refused before, so that
  // the refusal says nothing of the rest.
  void OnRefused(const Items& items, std::string error_message, bool tested, bool explained);

  // The test was accepted. `carried`: whether it held the item in this content.
  using Carried = std::function<bool(const Key&, const Hash128&)>;
  void OnAccepted(const Carried& carried);
  // Nothing of the test could be sent.
  void OnNothing();

  // What to do next, if no test is under way. `present`: whether the item in this content is still
  // wanted and not yet acknowledged.
  Step Advance(const Carried& present);

  // What isn't `present` leaves the search, except what is being tested.
  void Prune(const Carried& present);

  // Everything that isn't acknowledged is given up.
  std::vector<Culprit> GiveUp();

  // Found since the last call.
  std::vector<Culprit> TakeCulprits() { return std::exchange(culprits_, {}); }

  // Whether the item in this content is kept out of responses for now.
  bool Withholds(const Key& key, const Hash128& version) const;
  // The items of a resource that are.
  void ForEachWithheld(const std::string& resource,
                       const std::function<void(const Key&, const Hash128&)>& f) const;
  // Every item in question.
  void ForEach(const std::function<void(const Key&, const Hash128&,
                                        const std::string& error_message)>& f) const;
  // Those of one resource.
  void ForEachOf(const std::string& resource,
                 const std::function<void(const Key&, const Hash128&,
                                          const std::string& error_message)>& f) const;
  const Items& test() const { return test_.items; }

 private:
  struct Group {
    Items items;
    Items named;  // of these, by the error_message
    std::string error_message;
    bool confirmed = false;  // guilty because the rest of what was refused was accepted
  };

  template <typename Function>
  void ForEachGroup(Function&& f) const {
    f(unknown_);
    f(test_);
    f(complement_);
    for (const Group& group : guilty_) f(group);
  }
  static bool Contains(const Items& items, const Key& key, const Hash128& version);
  void MakeUnknown(const Group& group);
  void Found(const Group& group);

  Group unknown_;
  std::vector<Group> guilty_;
  Group test_;
  Group complement_;  // guilty if the test is accepted
  bool testing_ = false;
  bool progress_ = false;      // something was accepted since `unknown_` was tested
  std::size_t fruitless_ = 0;  // culprits since something was accepted
  std::vector<Culprit> culprits_;
};

// Returns where `error_message` contain `name`, and not just as part of a longer one; npos:
// nowhere.
std::size_t FindName(std::string_view error_message, std::string_view name);
bool Names(std::string_view error_message, std::string_view name);

}  // namespace contour::xds
