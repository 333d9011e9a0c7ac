// SPDX-License-Identifier: Apache-2.0
// Makes the views of a session.

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include "xds/session/envoy_state.h"
#include "xds/session/session.h"

namespace contour::xds {
namespace {

std::chrono::milliseconds Age(Time now, Time then) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

std::string VersionOf(const ResourcePtr& resource) {
  return resource->known ? resource->version.Hex() : "unknown";
}

// Collects the first `most` names in their order, of more that come in any order. The texts must
// stay where they are.
class FirstNames {
 public:
  FirstNames(const std::string& after, std::size_t most) : after_(after), most_(most) {}

  void Add(std::string_view name) {
    if (name <= after_) return;
    if (names_.size() < most_) {
      names_.insert(name);
    } else if (most_ == 0 || name > *names_.rbegin()) {
      more_ = true;
    } else if (names_.insert(name).second) {
      names_.erase(std::prev(names_.end()));
      more_ = true;
    }
  }
  const std::set<std::string_view>& names() const { return names_; }
  bool more() const { return more_; }  // names were left out

 private:
  const std::string_view after_;
  const std::size_t most_;
  std::set<std::string_view> names_;
  bool more_ = false;
};

}  // namespace

const ViewFilter& ViewFilter::Everything() {
  static const ViewFilter everything{
      .all = true, .most_envoys = kEverything, .most_entries = kEverything};
  return everything;
}

// Makes the view of one session.
class SessionViewer {
 public:
  SessionViewer(const EnvoyState& envoy, const ViewFilter& filter, std::size_t most, Time now)
      : envoy_(envoy), filter_(filter), left_(most), now_(now) {}

  SessionView Make() {
    view_.node_id = envoy_.identity().node_id;
    view_.peer = envoy_.identity().peer;
    view_.aggregated = envoy_.identity().aggregated;
    view_.delta = !envoy_.streams().empty() && envoy_.streams().begin()->second->delta();
    view_.reports_ignored = envoy_.ignores_reports();
    view_.streams = envoy_.streams().size();
    for (const TypeInfo& info : kTypes) {
      TypeView& type = view_.types[Index(info.type)];
      type.type = info.type;
      if (filter_.type && *filter_.type != info.type) continue;
      for (const StreamState* stream : envoy_.subscribers().Of(info.type))
        AddStream((*stream)[info.type], type);
      AddEntries(info.type);
    }
    return std::move(view_);
  }

  static std::optional<LedgerEntry> Entry(const EnvoyState& envoy, ResourceType type,
                                          const std::string& name) {
    std::optional<LedgerEntry> entry;
    envoy.subscribers().ForEach(type, name, [&](const StreamState& stream) {
      LedgerEntry one{.type = type, .name = name};
      if (!AddTo(one, envoy, stream[type])) return;
      if (entry) {
        Merge(*entry, std::move(one));
      } else {
        entry = std::move(one);
      }
    });
    return entry;
  }

 private:
  // Adds what another stream knows of the resource. The version that isn't acknowledged counts.
  static void Merge(LedgerEntry& entry, LedgerEntry other) {
    if (entry.sent == entry.acknowledged) {
      entry.sent = std::move(other.sent);
      entry.acknowledged = std::move(other.acknowledged);
    }
    if (other.rejected) {
      entry.rejected = std::move(other.rejected);
      entry.error_message = std::move(other.error_message);
    }
    std::move(other.held_parts.begin(), other.held_parts.end(),
              std::back_inserter(entry.held_parts));
    entry.retained = entry.retained || other.retained;
    entry.warming = entry.warming || other.warming;
  }

  // Adds what the stream knows of the resource. Returns false if it knows nothing.
  static bool AddTo(LedgerEntry& entry, const EnvoyState& envoy, const TypeState& s) {
    bool found = false;
    if (const ResourcePtr sent = s.sent.Find(entry.name); sent != nullptr) {
      found = true;
      if (sent->known) entry.sent = VersionOf(sent);
      entry.acknowledged = VersionOf(sent);
      entry.warming = entry.type == ResourceType::kCluster && envoy.warming().Contains(entry.name);
    }
    if (s.sent.first().has_value()) entry.acknowledged = std::nullopt;
    if (const auto at = s.sent.pending().find(entry.name); at != s.sent.pending().end()) {
      found = true;
      entry.acknowledged = std::nullopt;
      if (at->second.acked != nullptr) entry.acknowledged = VersionOf(at->second.acked);
    }
    if (const auto at = s.nacks.rejected().find(entry.name); at != s.nacks.rejected().end()) {
      for (const auto& [part, rejected] : at->second) {
        found = true;
        entry.rejected = rejected.version.Hex();
        entry.error_message = rejected.error_message;
      }
    }
    s.nacks.bisection().ForEachOf(entry.name, [&](const NackBisection::Key&, const Hash128& version,
                                                  const std::string& error_message) {
      found = true;
      entry.rejected = version.Hex();
      entry.error_message = error_message;
    });
    if (const auto at = s.waiting.held().find(entry.name); at != s.waiting.held().end()) {
      found = true;
      for (const auto& [part, since] : at->second.since) entry.held_parts.push_back(part);
    }
    if (s.waiting.blocked().contains(entry.name)) found = entry.retained = true;
    return found;
  }

  void AddStream(const TypeState& s, TypeView& type) {
    ++type.streams;
    type.sent += s.sent.table().size();
    type.acknowledged += s.sent.first().has_value() ? 0 : s.sent.table().size();
    for (const auto& [name, pending] : s.sent.pending()) {
      const ResourcePtr sent = s.sent.Find(*name);
      if (sent != nullptr && !SameVersion(sent, pending.acked)) --type.acknowledged;
    }
    type.sent_version = s.sent.version_sent();
    type.acknowledged_version = s.sent.version_acked();
    type.unacknowledged += s.sent.in_flight().size();
    if (!s.sent.in_flight().empty())
      type.lag = std::max(type.lag.value_or(std::chrono::milliseconds(0)),
                          Age(now_, s.sent.in_flight().front().made));
    type.searching = type.searching || s.nacks.searching();
    if (!s.nacks.error_message().empty() &&
        (!type.rejected_ago.has_value() || Age(now_, s.nacks.nacked_at()) < *type.rejected_ago)) {
      type.error_message = s.nacks.error_message();
      type.rejected_ago = Age(now_, s.nacks.nacked_at());
    }
    AddRejected(s, type);
    AddHeld(s, type);
  }

  // True if one more line of the page may be taken.
  bool Take() {
    if (left_ == 0) {
      view_.more = true;
      return false;
    }
    --left_;
    return true;
  }

  bool IsShown(const std::string& resource) const {
    if (filter_.resource) return *filter_.resource == resource;
    return resource > filter_.after_resource;
  }

  void AddRejected(const TypeState& s, TypeView& type) {
    const auto add = [&](const NackBisection::Key& key, const Hash128& version,
                         const std::string& error_message, bool culprit, bool node_fault) {
      if (!IsShown(key.first) || !Take()) return;
      type.rejected.push_back(
          {{type.type, key.first, key.second}, version.Hex(), error_message, culprit, node_fault});
    };
    std::set<std::string_view> resources;
    for (const auto& [name, parts] : s.nacks.rejected()) {
      if (!parts.empty()) resources.insert(name);
      for (const auto& [part, rejected] : parts)
        add({name, part}, rejected.version, rejected.error_message, rejected.culprit,
            rejected.node_fault);
    }
    s.nacks.bisection().ForEach([&](const NackBisection::Key& key, const Hash128& version,
                                    const std::string& error_message) {
      resources.insert(key.first);
      add(key, version, error_message, false, false);
    });
    type.rejected_resources += resources.size();
  }

  void AddHeld(const TypeState& s, TypeView& type) {
    type.held_resources += s.waiting.held().size();
    for (const auto& [name, hold] : s.waiting.held()) {
      if (!IsShown(name)) continue;
      for (const auto& [part, since] : hold.since) {
        if (!Take()) return;
        HeldView held{name, part, {}, Age(now_, since)};
        for (const std::string& cluster : hold.waiting_for) {
          if (held.waiting_for.size() == HeldView::kMostClusters) break;
          held.waiting_for.push_back(cluster);
        }
        type.held.push_back(std::move(held));
      }
    }
  }

  // Adds the names of resources that aren't settled.
  void AddUnsettled(ResourceType type, const TypeState& s, FirstNames& names) const {
    for (const auto& [name, pending] : s.sent.pending()) {
      if (!SameVersion(s.sent.Find(*name), pending.acked)) names.Add(*name);
    }
    if (s.sent.first().has_value()) {
      for (const ResourcePtr& resource : *s.sent.first()->list) names.Add(resource->name);
    }
    for (const auto& [name, parts] : s.nacks.rejected()) names.Add(name);
    s.nacks.bisection().ForEach([&](const NackBisection::Key& key, const Hash128&,
                                    const std::string&) { names.Add(key.first); });
    for (const auto& [name, hold] : s.waiting.held()) names.Add(name);
    for (const std::string& name : s.waiting.blocked()) names.Add(name);
    if (type != ResourceType::kCluster) return;
    envoy_.warming().ForEach([&](std::string_view cluster) {
      if (s.sent.table().Contains(cluster)) names.Add(cluster);
    });
  }

  void AddEntry(ResourceType type, const std::string& name) {
    std::optional<LedgerEntry> entry = Entry(envoy_, type, name);
    if (entry && Take()) view_.entries.push_back(*std::move(entry));
  }

  void AddEntries(ResourceType type) {
    if (filter_.resource) {
      AddEntry(type, *filter_.resource);
      return;
    }
    FirstNames names(filter_.after_resource, left_);
    for (const StreamState* stream : envoy_.subscribers().Of(type)) {
      const TypeState& s = (*stream)[type];
      AddUnsettled(type, s, names);
      if (filter_.all)
        s.sent.table().ForEach([&](const ResourcePtr& sent) { names.Add(sent->name); });
    }
    for (const std::string_view name : names.names()) AddEntry(type, std::string(name));
    view_.more = view_.more || names.more();
  }

  const EnvoyState& envoy_;
  const ViewFilter& filter_;
  std::size_t left_;
  const Time now_;
  SessionView view_;
};

SessionView Session::View(Time now, const ViewFilter& filter, std::size_t most) const {
  return SessionViewer(*envoy_, filter, most, now).Make();
}

std::optional<LedgerEntry> Session::Entry(ResourceType type, const std::string& name) const {
  return SessionViewer::Entry(*envoy_, type, name);
}

}  // namespace contour::xds
