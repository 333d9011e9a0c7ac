// SPDX-License-Identifier: Apache-2.0
// Remembers the names of secrets to which the Envoy of one stream subscribes. They may be any
// client's: Envoy asks for the certificate by the server name of a handshake, whether the host
// exists or not, in the client's spelling, and never unsubscribes. So what is remembered of them is
// bounded.
//
//   if (asked.Add(name, exists)) Subscribe(name);   // else: answer, and forget it
//   asked.SetExists(name, true);                     // there is such a secret now
//
// A name that exists is always remembered in lower case. Beyond the bounds the others are
// forgotten. Once this has happened, forgot() stays true: of a secret that appears nobody can say
// any more that the Envoy didn't ask for it.
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "xds/session/tally.h"

namespace contour::xds {

class SecretSubscriptions {
 public:
  static constexpr std::size_t kUnknown = 10'000;
  static constexpr std::size_t kSpellings = 1'000;  // of names that aren't in lower case

  // Returns false if the name isn't remembered.
  bool Add(const std::string& name, bool exists);
  void Remove(const std::string& name);
  // Notes if the secret exists. REQUIRES: the name was added.
  void SetExists(const std::string& name, bool exists);

  // Returns the names that were added and differ from `name` only by their case.
  const StringSet& SpellingsOf(std::string_view name) const;

  std::size_t unknown() const { return unknown_.size(); }
  // Adds unknown() to a sum, as long as this lives.
  void CountUnknownIn(std::size_t& sum) { share_ = Share(sum, unknown_.size()); }
  bool forgot() const { return forgot_; }

 private:
  StringSet unknown_;
  Share share_;
  StringMap<StringSet> spellings_;  // by the name in lower case
  std::size_t spelled_ = 0;
  bool forgot_ = false;
};

}  // namespace contour::xds
