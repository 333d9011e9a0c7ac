// SPDX-License-Identifier: Apache-2.0
// What a session shows of itself.

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include "xds/session/subscription.h"

namespace contour::xds {
namespace {

std::chrono::milliseconds Age(Time now, Time then) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then);
}

std::string VersionOf(const ResourcePtr& resource) {
  return resource->known ? resource->version.Hex() : "unknown";
}

// The first `most` names in their order, of more that come in any order. They must stay where they
// are.
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
  SessionViewer(const Session& session, const ViewFilter& filter, std::size_t most, Time now)
      : session_(session), filter_(filter), left_(most), now_(now) {}

  SessionView Make() {
    view_.node_id = session_.identity_.node_id;
    view_.peer = session_.identity_.peer;
    view_.aggregated = session_.identity_.aggregated;
    view_.delta = !session_.streams_.empty() && session_.streams_.begin()->second->delta();
    view_.distrusted = session_.distrusted_;
    view_.streams = session_.streams_.size();
    for (const TypeInfo& info : kTypes) {
      TypeView& type = view_.types[Index(info.type)];
      type.type = info.type;
      if (filter_.type && *filter_.type != info.type) continue;
      for (const Stream* stream : session_.subscribed_[Index(info.type)])
        AddStream(stream->state(info.type), type);
      AddEntries(info.type);
    }
    return std::move(view_);
  }

  static std::optional<LedgerEntry> Entry(const Session& session, ResourceType type,
                                          const std::string& name) {
    std::optional<LedgerEntry> entry;
    for (const Stream* stream : session.SubscribersOf(type, name)) {
      LedgerEntry one{.type = type, .name = name};
      if (!AddTo(one, session, stream->state(type))) continue;
      if (entry) {
        Merge(*entry, std::move(one));
      } else {
        entry = std::move(one);
      }
    }
    return entry;
  }

 private:
  using State = Stream::State;

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
    entry.cold = entry.cold || other.cold;
  }

  // Adds what the stream knows of the resource. False: nothing.
  static bool AddTo(LedgerEntry& entry, const Session& session, const State& s) {
    bool found = false;
    if (const ResourcePtr told = s.told.Find(entry.name); told != nullptr) {
      found = true;
      if (told->known) entry.sent = VersionOf(told);
      entry.acknowledged = VersionOf(told);
      entry.cold = entry.type == ResourceType::kCluster && session.warming_.Contains(entry.name);
    }
    if (s.first.has_value()) entry.acknowledged = std::nullopt;
    if (const auto at = s.irregular.find(entry.name); at != s.irregular.end()) {
      found = true;
      entry.acknowledged = std::nullopt;
      if (at->second.acknowledged != nullptr)
        entry.acknowledged = VersionOf(at->second.acknowledged);
    }
    if (const auto at = s.refused.find(entry.name); at != s.refused.end()) {
      for (const auto& [part, refusal] : at->second) {
        found = true;
        entry.rejected = refusal.version.Hex();
        entry.error_message = refusal.error_message;
      }
    }
    s.search.ForEachOf(entry.name, [&](const NackBisection::Key&, const Hash128& version,
                                       const std::string& words) {
      found = true;
      entry.rejected = version.Hex();
      entry.error_message = words;
    });
    if (const auto at = s.held.find(entry.name); at != s.held.end()) {
      found = true;
      for (const auto& [part, since] : at->second.since) entry.held_parts.push_back(part);
    }
    if (s.blocked.contains(entry.name)) found = entry.retained = true;
    return found;
  }

  void AddStream(const State& s, TypeView& type) {
    ++type.streams;
    type.sent += s.told.size();
    type.acknowledged += s.first.has_value() ? 0 : s.told.size();
    for (const auto& [name, irregular] : s.irregular) {
      const ResourcePtr told = s.told.Find(*name);
      if (told != nullptr && !SameVersion(told, irregular.acknowledged)) --type.acknowledged;
    }
    type.sent_version = s.version_sent;
    type.acknowledged_version = s.version_acknowledged;
    type.unacknowledged += s.in_flight.size();
    if (!s.in_flight.empty())
      type.lag = std::max(type.lag.value_or(std::chrono::milliseconds(0)),
                          Age(now_, s.in_flight.front().sent));
    type.searching = type.searching || s.search.active();
    if (!s.error_message.empty() &&
        (!type.refused_ago.has_value() || Age(now_, s.rejected_at) < *type.refused_ago)) {
      type.error_message = s.error_message;
      type.refused_ago = Age(now_, s.rejected_at);
    }
    AddRefused(s, type);
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

  void AddRefused(const State& s, TypeView& type) {
    const auto add = [&](const NackBisection::Key& key, const Hash128& version,
                         const std::string& words, bool culprit, bool node_fault) {
      if (!IsShown(key.first) || !Take()) return;
      type.refused.push_back(
          {{type.type, key.first, key.second}, version.Hex(), words, culprit, node_fault});
    };
    std::set<std::string_view> resources;
    for (const auto& [name, refusals] : s.refused) {
      if (!refusals.empty()) resources.insert(name);
      for (const auto& [part, refusal] : refusals)
        add({name, part}, refusal.version, refusal.error_message, refusal.culprit,
            refusal.node_fault);
    }
    s.search.ForEach(
        [&](const NackBisection::Key& key, const Hash128& version, const std::string& words) {
          resources.insert(key.first);
          add(key, version, words, false, false);
        });
    type.rejected_resources += resources.size();
  }

  void AddHeld(const State& s, TypeView& type) {
    type.held_resources += s.held.size();
    for (const auto& [name, hold] : s.held) {
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

  // The names of resources that aren't settled.
  void AddUnsettled(ResourceType type, const State& s, FirstNames& names) const {
    for (const auto& [name, irregular] : s.irregular) {
      if (!SameVersion(s.told.Find(*name), irregular.acknowledged)) names.Add(*name);
    }
    if (s.first.has_value()) {
      for (const ResourcePtr& resource : *s.first->list) names.Add(resource->name);
    }
    for (const auto& [name, refusals] : s.refused) names.Add(name);
    s.search.ForEach([&](const NackBisection::Key& key, const Hash128&, const std::string&) {
      names.Add(key.first);
    });
    for (const auto& [name, hold] : s.held) names.Add(name);
    for (const auto& [name, force] : s.blocked) names.Add(name);
    if (type != ResourceType::kCluster) return;
    session_.warming_.ForEach([&](std::string_view cluster) {
      if (s.told.Contains(cluster)) names.Add(cluster);
    });
  }

  void AddEntry(ResourceType type, const std::string& name) {
    std::optional<LedgerEntry> entry = Entry(session_, type, name);
    if (entry && Take()) view_.entries.push_back(*std::move(entry));
  }

  void AddEntries(ResourceType type) {
    if (filter_.resource) {
      AddEntry(type, *filter_.resource);
      return;
    }
    FirstNames names(filter_.after_resource, left_);
    for (const Stream* stream : session_.subscribed_[Index(type)]) {
      const State& s = stream->state(type);
      AddUnsettled(type, s, names);
      if (filter_.all) s.told.ForEach([&](const ResourcePtr& told) { names.Add(told->name); });
    }
    for (const std::string_view name : names.names()) AddEntry(type, std::string(name));
    view_.more = view_.more || names.more();
  }

  const Session& session_;
  const ViewFilter& filter_;
  std::size_t left_;
  const Time now_;
  SessionView view_;
};

SessionView Session::View(Time now, const ViewFilter& filter, std::size_t most) const {
  return SessionViewer(*this, filter, most, now).Make();
}

std::optional<LedgerEntry> Session::Entry(ResourceType type, const std::string& name) const {
  return SessionViewer::Entry(*this, type, name);
}

}  // namespace contour::xds
