// SPDX-License-Identifier: Apache-2.0

#include "xds/session/nack_tracker.h"

#include <algorithm>
#include <memory>

#include "xds/session/node_fault.h"

namespace contour::xds {
namespace {

// After so many NACKs of one type without an ACK between them the search is given up. To find one
// of 5,000 suspects takes 13, and after every eighth culprit there is a control.
constexpr std::size_t kNacksInRow = 200;

// How long after a NACK that speaks of the node the resource is sent again. Each further one
// doubles it, up to the limit.
constexpr std::chrono::seconds kNodeFaultWait{5};
constexpr unsigned kNodeFaultDoublings = 4;

bool IsNodeFault(const std::pair<const std::optional<std::string>, RejectedContent>& rejected) {
  return rejected.second.node_fault;
}

}  // namespace

// Returns what the Envoy acked under this name; nullptr: nothing, or something that we don't know.
ResourcePtr NackTracker::KnownAcked(const std::string& name) const {
  ResourcePtr acked = sent_.Acked(name);
  return acked != nullptr && acked->known ? acked : nullptr;
}

// ---- What is rejected ----

bool NackTracker::IsRejected(const Key& key, const Hash128& version) const {
  const auto at = rejected_.find(key.first);
  if (at == rejected_.end()) return false;
  const auto part = at->second.find(key.second);
  if (part != at->second.end() && part->second.version == version) return true;
  const auto whole = at->second.find(std::nullopt);
  return whole != at->second.end() && whole->second.node_fault;
}

bool NackTracker::RunsOlder() const {
  return std::any_of(rejected_.begin(), rejected_.end(),
                     [&](const auto& rejected) { return sent_.Acked(rejected.first) != nullptr; });
}

// Returns the parts of the content that are rejected or suspected.
std::set<std::optional<std::string>> NackTracker::RejectedPartsOf(const Resource& content) const {
  std::set<std::optional<std::string>> parts;
  const auto consider = [&](const std::optional<std::string>& part, const Hash128& version) {
    if (ContentVersion(content, part) == version) parts.insert(part);
  };
  if (const auto at = rejected_.find(content.name); at != rejected_.end()) {
    for (const auto& [part, rejected] : at->second) consider(part, rejected.version);
  }
  if (bisection_.active()) {
    bisection_.ForEachWithheld(content.name, [&](const Key& key, const Hash128& version) {
      consider(key.second, version);
    });
  }
  return parts;
}

ResourcePtr NackTracker::WithoutRejected(const ResourcePtr& content) const {
  if (rejected_.empty() && !bisection_.active()) return content;
  const std::set<std::optional<std::string>> parts = RejectedPartsOf(*content);
  if (parts.empty()) return content;
  ResourcePtr acked = KnownAcked(content->name);
  ResourcePtr nothing = Info(type_).blank_if_unknown && type_ == ResourceType::kEndpoints
                            ? MakeBlank(content->name)
                            : nullptr;
  auto view = std::make_shared<Resource>(*content);
  const EditToken token = NewEditToken();
  for (const std::optional<std::string>& part : parts) {
    if (part.has_value()) {
      const PartPtr before = acked == nullptr ? nullptr : acked->parts.Find(*part);
      if (before != nullptr) {
        view->parts.Set(before, token);
      } else {
        view->parts.Remove(*part, token);
      }
      continue;
    }
    if (acked == nullptr) return nothing;
    Parts kept = std::move(view->parts);
    *view = *acked;
    view->parts = std::move(kept);
  }
  if (Info(type_).needs_parts && !content->parts.empty() && view->parts.empty()) return acked;
  view->version = HashPair(view->name, view->bytes);
  view->version += view->parts.version();
  return view;
}

void NackTracker::ForgetOutdated(const std::string& name, Wanted wanted_of) {
  const auto at = rejected_.find(name);
  if (at == rejected_.end()) return;
  const ResourcePtr wanted = wanted_of(name);
  if (wanted == nullptr) node_faults_.erase(name);
  std::erase_if(at->second, [&](const auto& rejected) {
    return wanted == nullptr ||
           ContentVersion(*wanted, rejected.first) != rejected.second.version ||
           (rejected.second.head.has_value() &&
            ContentVersion(*wanted, std::nullopt) != rejected.second.head);
  });
  if (at->second.empty()) rejected_.erase(at);
}

void NackTracker::Forget(const std::string& name) {
  rejected_.erase(name);
  node_faults_.erase(name);
}

// ---- A response was nacked ----

void NackTracker::Begin(const std::string& error_message, Time now) {
  ++nacks_in_row_;
  error_message_ = error_message;
  nacked_at_ = now;
}

// Returns the names of the resources that the response holds and that may be at fault.
std::set<std::string> NackTracker::NamesIn(const InFlight& response) const {
  std::set<std::string> names;
  for (const Change& change : response.changes) {
    if (change.content != nullptr) names.insert(*change.name);
  }
  if (!whole()) return names;
  // It holds what was sent before, too.
  for (const auto& [name, pending] : sent_.pending()) names.insert(*name);
  for (const auto& [name, rejected] : rejected_) names.insert(name);
  bisection_.ForEach(
      [&](const Key& key, const Hash128&, const std::string&) { names.insert(key.first); });
  return names;
}

NackTracker::Suspicion NackTracker::SuspectsOf(const InFlight& response, Wanted wanted) const {
  Suspicion suspicion;
  for (const std::string& name : NamesIn(response)) {
    const ResourcePtr content = response.table.Find(name);
    if (content == nullptr || !content->known) continue;
    // An empty assignment that stands in for a rejected one isn't suspected.
    if (type_ == ResourceType::kEndpoints && content->version == MakeBlank(name)->version) continue;
    if (!names_.Includes(name)) {  // what came of it we don't know
      suspicion.explained = true;
      continue;
    }
    // A cluster that goes once it's no longer in use isn't searched for: the error message names
    // it.
    if (type_ == ResourceType::kCluster && !delta_ && wanted(name) == nullptr) {
      suspicion.explained = suspicion.explained || Names(error_message_, name);
      continue;
    }
    AddSuspects(content, suspicion);
  }
  return suspicion;
}

// Adds what of the content differs from what the Envoy acked.
void NackTracker::AddSuspects(const ResourcePtr& content, Suspicion& suspicion) const {
  const std::string& name = content->name;
  const auto rejected = rejected_.find(name);
  const auto add = [&](const std::optional<std::string>& part, const Hash128& version) {
    if (rejected != rejected_.end()) {
      const auto at = rejected->second.find(part);
      if (at != rejected->second.end() && at->second.version == version) {
        suspicion.explained = true;
        return;
      }
    }
    suspicion.suspects.emplace(Key(name, part), version);
  };
  const ResourcePtr acked = KnownAcked(name);
  const std::optional<Hash128> head = ContentVersion(*content, std::nullopt);
  // A head that it has nothing to compare with is sent with any of its parts: it can't be
  // distinguished from them.
  if (acked != nullptr ? head != ContentVersion(*acked, std::nullopt) : content->parts.empty())
    add(std::nullopt, *head);
  Parts::Diff(acked != nullptr ? acked->parts : Parts(), content->parts,
              [&](const PartPtr&, const PartPtr& is) {
                if (is != nullptr) add(is->name, is->version);
              });
}

void NackTracker::NoteHead(const Key& key, const InFlight& response) {
  const ResourcePtr content = response.table.Find(key.first);
  if (!key.second.has_value() || content == nullptr || KnownAcked(key.first) != nullptr) return;
  const Hash128 head = *ContentVersion(*content, std::nullopt);
  const auto [at, added] = heads_.try_emplace(key.first, head);
  if (added || at->second == head) return;
  at->second = head;
  bisection_.Prune([&](const Key& other, const Hash128&) { return other.first != key.first; });
}

bool NackTracker::Search(std::uint64_t sequence, const Suspicion& suspicion, bool useless) {
  const bool tested = bisection_.testing() && test_ == sequence;
  if (tested) test_ = 0;
  control_ = false;
  const bool hopeless = nacks_in_row_ > kNacksInRow;
  if (useless && !hopeless) return false;
  bisection_.OnNacked(suspicion.suspects, error_message_, tested, suspicion.explained);
  return !hopeless;
}

NackTracker::NodeFaults NackTracker::SetAsideNodeFaults(const InFlight& response,
                                                        const Suspects& suspects) {
  const bool named = std::any_of(suspects.begin(), suspects.end(), [&](const auto& suspect) {
    return Names(error_message_, suspect.first.first);
  });
  NodeFaults faults;
  std::set<std::string> concerned;
  for (const auto& [key, version] : suspects) {
    const std::string& name = key.first;
    if (named && !Names(error_message_, name)) {
      faults.rest.emplace(key, version);
      continue;
    }
    concerned.insert(name);
    const bool known = KnownAcked(name) != nullptr;
    const std::optional<std::string> part = known ? key.second : std::nullopt;
    RejectedContent rejected;
    rejected.version = known ? version : *ContentVersion(*response.table.Find(name), std::nullopt);
    rejected.error_message = error_message_;
    rejected.node_fault = true;
    rejected_[name].insert_or_assign(part, std::move(rejected));
  }
  for (const std::string& name : concerned) {
    auto& [times, share] = node_faults_[name];
    share = Share(figures_.node_faults, 1);
    const auto wait = kNodeFaultWait * (1U << std::min(times, kNodeFaultDoublings));
    faults.faults.push_back({name, wait, times++ == 0});
  }
  return faults;
}

bool NackTracker::Retry(const std::string& name) {
  const auto at = rejected_.find(name);
  if (at == rejected_.end()) return false;
  std::erase_if(at->second, IsNodeFault);
  if (at->second.empty()) rejected_.erase(at);
  nacks_in_row_ = 0;  // the search for culprits isn't concerned
  return true;
}

bool NackTracker::EndNodeFault(const std::string& name) {
  if (node_faults_.empty()) return false;
  // It is over if nothing of the resource is set aside.
  if (const auto at = rejected_.find(name); at != rejected_.end()) {
    if (std::any_of(at->second.begin(), at->second.end(), IsNodeFault)) return false;
  }
  return node_faults_.erase(name) > 0;
}

// ---- A response was acked ----

bool NackTracker::Acked(const InFlight& response) {
  if (bisection_.testing() && test_ == response.sequence) {
    test_ = 0;
    bisection_.OnAcked([&](const Key& key, const Hash128& version) {
      const ResourcePtr content = response.table.Find(key.first);
      return content != nullptr && content->known &&
             ContentVersion(*content, key.second) == version;
    });
  }
  return std::exchange(control_, false);
}

// ---- The search ----

// True if the content is still wanted and not yet acked.
bool NackTracker::IsPresent(const Key& key, const Hash128& version, Wanted wanted_of) const {
  if (!names_.Includes(key.first) || IsRejected(key, version)) return false;
  const ResourcePtr wanted = wanted_of(key.first);
  if (wanted == nullptr || ContentVersion(*wanted, key.second) != version) return false;
  if (const ResourcePtr acked = KnownAcked(key.first); acked != nullptr)
    return ContentVersion(*acked, key.second) != version;
  const auto head = heads_.find(key.first);
  return !key.second.has_value() || head == heads_.end() ||
         ContentVersion(*wanted, std::nullopt) == head->second;
}

NackBisection::Step NackTracker::NextStep(Wanted wanted) {
  return bisection_.Advance(
      [&](const Key& key, const Hash128& version) { return IsPresent(key, version, wanted); });
}

void NackTracker::ForgetHeadsIfOver() {
  if (!bisection_.active()) heads_.clear();
}

std::vector<std::string> NackTracker::MarkCulprits(std::vector<NackBisection::Culprit> culprits,
                                                   bool certain, Wanted wanted_of) {
  std::vector<std::string> marked;
  for (NackBisection::Culprit& found : culprits) {
    const auto& [name, part] = found.key;
    const ResourcePtr wanted = wanted_of(name);
    if (wanted == nullptr || ContentVersion(*wanted, part) != found.version) continue;
    RejectedContent rejected;
    rejected.version = found.version;
    rejected.error_message = std::move(found.error_message);
    rejected.culprit = certain;
    rejected.confirmed = found.confirmed;
    const bool known = KnownAcked(name) != nullptr;
    RejectedParts& parts = rejected_[name];
    if (const auto head = heads_.find(name); part.has_value() && !known && head != heads_.end()) {
      rejected.head = head->second;
    }
    // The head, rejected without its parts, is what was wrong with them.
    if (!part.has_value() && !known) {
      std::erase_if(parts, [&](const auto& other) {
        return other.first.has_value() && other.second.head == rejected.version;
      });
    }
    parts.insert_or_assign(part, std::move(rejected));
    marked.push_back(name);
  }
  return marked;
}

bool NackTracker::HasUnreported() const {
  return std::any_of(rejected_.begin(), rejected_.end(), [](const auto& resource) {
    return std::any_of(resource.second.begin(), resource.second.end(), [](const auto& rejected) {
      return rejected.second.culprit && !rejected.second.reported;
    });
  });
}

std::vector<NackTracker::Report> NackTracker::TakeReports(Trust trust) {
  std::vector<Report> reports;
  for (auto& [name, parts] : rejected_) {
    const bool known = KnownAcked(name) != nullptr;
    for (auto& [part, rejected] : parts) {
      if (!rejected.culprit || rejected.reported) continue;
      if (trust == Trust::kConfirmed && !rejected.confirmed) continue;
      if (trust != Trust::kAll && part.has_value() && !known) continue;
      rejected.reported = true;
      reports.push_back({name, part, rejected.version, rejected.error_message});
    }
  }
  return reports;
}

std::optional<std::string> NackTracker::FindControl() const {
  std::optional<std::string> name;
  for (const auto& [resource, parts] : rejected_) {
    if (KnownAcked(resource) != nullptr) name = resource;
  }
  if (name.has_value()) return name;
  sent_.table().ForEach([&](const ResourcePtr& sent) {
    if (name.has_value() && *name < sent->name) return;
    if (KnownAcked(sent->name) != nullptr) name = sent->name;
  });
  return name;
}

}  // namespace contour::xds
