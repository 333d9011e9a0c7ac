// SPDX-License-Identifier: Apache-2.0

#include "xds/session/reference_counts.h"

#include <algorithm>
#include <utility>

namespace contour::xds {

void ReferenceCounts::Count(const References& references) {
  for (const std::string& name : references.names) ++counts_[name];
  if (references.unknown) ++unknown_;
}

ReferenceCounts::Ended ReferenceCounts::Discount(const References& references) {
  Ended ended;
  for (const std::string& name : references.names) {
    const auto at = counts_.find(name);
    if (--at->second > 0) continue;
    counts_.erase(at);
    ended.names.push_back(name);
  }
  ended.unknown = references.unknown && --unknown_ == 0;
  return ended;
}

ReferenceCounts::Ended ReferenceCounts::Set(const Holder& holder, References references) {
  std::sort(references.names.begin(), references.names.end());
  references.names.erase(std::unique(references.names.begin(), references.names.end()),
                         references.names.end());
  Count(references);  // first, so that what stays doesn't end
  auto& by_name = holders_[Index(holder.type)];
  auto entry = by_name.find(holder.name);
  const bool some = !references.names.empty() || references.unknown;
  if (entry == by_name.end()) {
    if (some) by_name[holder.name].emplace_back(holder.stream, std::move(references));
    return {};
  }
  auto& streams = entry->second;
  const auto known = std::find_if(streams.begin(), streams.end(),
                                  [&](const auto& one) { return one.first == holder.stream; });
  if (known == streams.end()) {
    if (some) streams.emplace_back(holder.stream, std::move(references));
    return {};
  }
  Ended ended = Discount(known->second);
  if (some) {
    known->second = std::move(references);
  } else {
    streams.erase(known);
    if (streams.empty()) by_name.erase(entry);
  }
  return ended;
}

std::vector<std::uint64_t> ReferenceCounts::StreamsOf(ResourceType type,
                                                      const std::string& name) const {
  std::vector<std::uint64_t> streams;
  const auto& by_name = holders_[Index(type)];
  if (const auto entry = by_name.find(name); entry != by_name.end()) {
    for (const auto& [stream, references] : entry->second) streams.push_back(stream);
  }
  return streams;
}

}  // namespace contour::xds
