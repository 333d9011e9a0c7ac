// SPDX-License-Identifier: Apache-2.0
// Finds the streams of a session that subscribe to something.
//
//   Subscribers subscribers(aggregated);
//   subscribers.Start(ResourceType::kCluster, stream);
//   subscribers.AddName(ResourceType::kCluster, "kuard", stream);
//   subscribers.ForEach(ResourceType::kCluster, "kuard", [](StreamState& each) { … });
//
// An aggregated session has one stream, whose names are looked up in the stream itself. Of streams
// per type there may be very many; they are found by an index.
//
// Thread: as a value.

#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "xds/session/type_state.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

class Subscribers {
 public:
  explicit Subscribers(bool aggregated) : aggregated_(aggregated) {}

  // Returns the streams that subscribe to anything of the type.
  const std::set<StreamState*>& Of(ResourceType type) const { return started_[Index(type)]; }

  // Calls f(StreamState&) for each stream that subscribes to the name.
  template <typename Function>
  void ForEach(ResourceType type, std::string_view name, Function&& f) const {
    if (aggregated_) {
      for (StreamState* stream : started_[Index(type)]) {
        if ((*stream)[type].names.Includes(name)) f(*stream);
      }
      return;
    }
    for (StreamState* stream : wildcards_[Index(type)]) f(*stream);
    const auto& by_name = by_name_[Index(type)];
    if (const auto at = by_name.find(name); at != by_name.end()) {
      for (StreamState* stream : at->second) f(*stream);
    }
  }

  // The first request for the type came.
  void Start(ResourceType type, StreamState& stream) { started_[Index(type)].insert(&stream); }
  void AddName(ResourceType type, const std::string& name, StreamState& stream);
  void RemoveName(ResourceType type, const std::string& name, StreamState& stream);
  void SetWildcard(ResourceType type, bool wildcard, StreamState& stream);
  // The stream ends.
  void Remove(ResourceType type, StreamState& stream);

 private:
  const bool aggregated_;
  std::array<std::set<StreamState*>, kResourceTypes> started_;
  // These are used for streams per type only.
  std::array<std::set<StreamState*>, kResourceTypes> wildcards_;
  std::array<StringMap<std::set<StreamState*>>, kResourceTypes> by_name_;
};

}  // namespace contour::xds
