// SPDX-License-Identifier: Apache-2.0

#include "status/status_plan.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "status/fields.h"

namespace contour::status {

using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kLongestRetryAfter{120};
// An object whose deletion is on its way may give this many answers of 404 in a row.
constexpr int kQuietNotFound = 3;

}  // namespace

Outcome OutcomeOf(const absl::Status& status, std::optional<std::chrono::seconds> retry_after,
                  std::string_view body) {
  Outcome outcome{status, retry_after, std::string(body)};
  if (status.ok() && ResourceVersionOf(body).empty()) {
    outcome.status =
        Unavailable("the answer to a write is no object: {}", Quote(body.substr(0, 80)));
  }
  return outcome;
}

// Kept only for objects whose status somebody else has changed.
struct StatusPlan::Battle {
  std::uint64_t overwrites = 0;  // each within the window of the one before
  bool fighting = false;
  milliseconds pause{0};
  Time last{};  // the last overwrite, or our answer to it
  bool inquired = false;
  std::string writer;  // empty: not known
};

struct StatusPlan::Entry {
  Text wanted;                   // null: its status is left alone
  std::string resource_version;  // empty: not known to exist
  Text known;                    // null: not known
  bool under_way = false;
  bool waiting = false;  // counted as such
  int failures = 0;      // in a row
  int conflicts = 0;     // in a row
  Time due{};            // not before
  std::optional<Time> queued;
  std::unique_ptr<Battle> battle;

  bool Exists() const { return !resource_version.empty(); }
  bool Comparable() const { return wanted != nullptr && Exists() && known != nullptr; }
  bool Same() const { return known == wanted || *known == *wanted; }
  bool Differs() const { return Comparable() && !Same(); }
  bool Right() const { return Comparable() && Same() && !under_way; }
};

StatusPlan::StatusPlan(Options options, std::function<double()> random)
    : options_(options), random_(std::move(random)), active_(options.active) {}

StatusPlan::~StatusPlan() = default;

StatusPlan::Text StatusPlan::Share(std::string fields) {
  if (last_text_ == nullptr || *last_text_ != fields) {
    fields.shrink_to_fit();
    last_text_ = std::make_shared<const std::string>(std::move(fields));
  }
  return last_text_;
}

milliseconds StatusPlan::Delay(int failures) const {
  const auto step = std::min<milliseconds>(options_.first_delay * (1 << std::min(failures, 16)),
                                           options_.most_delay);
  // Replicas and objects that failed at the same time must not try again at the same time.
  return std::chrono::duration_cast<milliseconds>(step * (0.8 + 0.4 * random_()));
}

void StatusPlan::Unqueue(Entries::iterator entry) {
  if (!entry->second.queued) return;
  queue_.erase({*entry->second.queued, &entry->first});
  entry->second.queued = std::nullopt;
}

void StatusPlan::Judge(Entries::iterator at) {
  Entry& entry = at->second;
  const bool waiting = entry.under_way || entry.Differs();
  statistics_.waiting += static_cast<std::size_t>(waiting);
  statistics_.waiting -= static_cast<std::size_t>(entry.waiting);
  entry.waiting = waiting;
  Unqueue(at);
  if (entry.wanted == nullptr && !entry.Exists() && !entry.under_way) {
    entries_.erase(at);
  } else if (active_ && !entry.under_way && entry.Differs()) {
    entry.queued = entry.due;
    queue_.insert({entry.due, &at->first});
  }
}

void StatusPlan::Observe(const std::vector<api::Change>& changes, Time now) {
  for (const api::Change& change : changes) {
    if (change.object == nullptr) {
      const auto found = entries_.find(change.ref);
      if (found == entries_.end()) continue;
      Entry& entry = found->second;
      entry.resource_version.clear();
      entry.known.reset();
      entry.failures = entry.conflicts = 0;
      entry.due = {};
      EndBattle(change.ref, entry);
      Judge(found);
      continue;
    }
    std::optional<std::string> fields = FieldsOf(*change.object);
    if (!fields) continue;
    const auto at = entries_.try_emplace(change.ref).first;
    Entry& entry = at->second;
    const bool was_right = entry.Right();
    if (entry.resource_version != change.object->meta.resource_version && entry.conflicts > 0) {
      // This is the object of the conflict. If somebody changes it all the time, the write waits.
      if (entry.conflicts <= 3) entry.due = {};
    }
    entry.resource_version = change.object->meta.resource_version;
    entry.known = Share(*std::move(fields));
    if (active_ && was_right && entry.Differs()) NoteOverwrite(change.ref, entry, now);
    Judge(at);
  }
}

void StatusPlan::EndBattle(const api::ObjectRef& ref, Entry& entry) {
  if (entry.battle == nullptr) return;
  entry.battle = nullptr;
  fights_.erase(ref);
  inquiries_.erase(ref);
}

void StatusPlan::NoteOverwrite(const api::ObjectRef& ref, Entry& entry, Time now) {
  ++statistics_.overwritten;
  if (entry.battle == nullptr) entry.battle = std::make_unique<Battle>();
  Battle& battle = *entry.battle;
  if (now - battle.last > options_.fight_window) {
    fights_.erase(ref);
    inquiries_.erase(ref);
    battle = {};
  }
  battle.last = now;
  if (++battle.overwrites < options_.fight_overwrites) return;
  if (!battle.fighting) ++statistics_.fights;
  battle.pause = battle.fighting ? std::min<milliseconds>(battle.pause * 2, options_.most_pause)
                                 : options_.first_pause;
  battle.fighting = true;
  fights_.insert(ref);
  entry.due = now + battle.pause;
  if (battle.inquired) {
    LogBattle(ref, entry);
  } else {
    inquiries_.insert(ref);
  }
}

std::optional<api::ObjectRef> StatusPlan::NextInquiry() {
  if (inquiries_.empty()) return std::nullopt;
  return inquiries_.extract(inquiries_.begin()).value();
}

void StatusPlan::Inquired(const api::ObjectRef& ref, std::string_view object) {
  const auto found = entries_.find(ref);
  if (found == entries_.end() || found->second.battle == nullptr) return;
  Battle& battle = *found->second.battle;
  if (!battle.fighting || battle.inquired) return;
  battle.inquired = true;
  battle.writer = OtherWriterOf(object);
  LogBattle(ref, found->second);
}

void StatusPlan::LogBattle(const api::ObjectRef& ref, const Entry& entry) const {
  const Battle& battle = *entry.battle;
  log::Warning("status", "somebody else keeps changing the status of this object",
               {{"kind", api::KindName(ref.kind)},
                {"namespace", ref.ns},
                {"name", ref.name},
                {"writer", battle.writer.empty() ? "not known" : battle.writer},
                {"theirs", entry.known != nullptr ? *entry.known : ""},
                {"ours", entry.wanted != nullptr ? *entry.wanted : ""},
                {"times", battle.overwrites},
                {"put_right_in_ms", battle.pause.count()}});
}

void StatusPlan::Want(const api::ObjectRef& ref, std::optional<std::string> fields, Time) {
  const auto at = fields ? entries_.try_emplace(ref).first : entries_.find(ref);
  if (at == entries_.end()) return;
  at->second.wanted = fields ? Share(*std::move(fields)) : nullptr;
  Judge(at);
}

void StatusPlan::SetActive(bool active, Time) {
  if (active == active_) return;
  active_ = active;
  pauses_.clear();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    // A new leader begins without the failures of an earlier one.
    entry->second.failures = entry->second.conflicts = 0;
    entry->second.due = {};
    EndBattle(entry->first, entry->second);
    Judge(entry++);
  }
}

std::optional<StatusPlan::Write> StatusPlan::Next(Time now) {
  while (!queue_.empty() && statistics_.under_way < options_.parallel &&
         queue_.begin()->at <= now) {
    const auto at = entries_.find(*queue_.begin()->ref);
    Entry& entry = at->second;
    if (const auto pause = pauses_.find(at->first.kind);
        pause != pauses_.end() && pause->second.until > now) {
      entry.due = pause->second.until;
      Judge(at);
      continue;
    }
    Unqueue(at);
    entry.under_way = true;
    ++statistics_.under_way;
    return Write{at->first, entry.resource_version, *entry.wanted};
  }
  return std::nullopt;
}

std::optional<StatusPlan::Time> StatusPlan::NextDue() const {
  if (queue_.empty() || statistics_.under_way >= options_.parallel) return std::nullopt;
  return queue_.begin()->at;
}

void StatusPlan::Finished(const Write& write, const Outcome& outcome, Time now) {
  --statistics_.under_way;
  const absl::Status& status = outcome.status;
  const bool forbidden = absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
  if (status.ok()) {
    ++statistics_.written;
    if (const auto pause = pauses_.find(write.ref.kind); pause != pauses_.end()) {
      log::Info("status", "statuses can be written again",
                {{"kind", api::KindName(write.ref.kind)}});
      pauses_.erase(pause);
    }
  } else if (absl::IsAborted(status)) {
    ++statistics_.conflicts;
  } else if (!absl::IsNotFound(status) && !absl::IsFailedPrecondition(status)) {
    ++statistics_.failures;
  }
  milliseconds wait =
      std::min(outcome.retry_after.value_or(std::chrono::seconds(0)), kLongestRetryAfter);
  if (forbidden) {
    Pause& pause = pauses_[write.ref.kind];
    if (pause.until <= now) {  // else it is of a write that was under way with that of the pause
      wait = std::max(wait, Delay(pause.failures++));
      pause.until = now + wait;
      if (pause.failures == 1) {
        log::Error("status", "no permission to write statuses",
                   {{"kind", api::KindName(write.ref.kind)},
                    {"error", Message(status)},
                    {"cure", "see deploy/rbac"}});
      }
    }
  }

  const auto found = entries_.find(write.ref);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.under_way = false;
  const bool observed_newer = entry.resource_version != write.resource_version;
  if (status.ok()) {
    entry.failures = entry.conflicts = 0;
    entry.due = {};
    if (entry.battle != nullptr) entry.battle->last = now;
    // The event of this write is on its way, unless it came before the answer.
    if (!observed_newer) {
      entry.known = Share(write.fields);
      if (std::string version = ResourceVersionOf(outcome.object); !version.empty()) {
        entry.resource_version = std::move(version);
      }
    }
  } else if (absl::IsAborted(status)) {
    ++entry.conflicts;
    // The newer object is compared; the delay is for the case that it never comes.
    const bool at_once = observed_newer && entry.conflicts <= 3;
    entry.due = at_once ? Time() : now + Delay(entry.conflicts - 1);
  } else if (forbidden) {
    entry.due = pauses_[write.ref.kind].until;
  } else if (absl::IsFailedPrecondition(status)) {
    entry.due = now + Delay(0);
  } else {
    if (entry.failures == (absl::IsNotFound(status) ? kQuietNotFound : 0)) {
      log::Warning("status", "failed to set status",
                   {{"kind", api::KindName(write.ref.kind)},
                    {"namespace", write.ref.ns},
                    {"name", write.ref.name},
                    {"status", write.fields},
                    {"error", Message(status)}});
    }
    entry.due = now + std::max(wait, Delay(entry.failures++));
  }
  Judge(found);
}

StatusPlan::Statistics StatusPlan::statistics() const {
  Statistics statistics = statistics_;
  statistics.active = active_;
  return statistics;
}

std::vector<StatusPlan::Fight> StatusPlan::Fights(std::size_t most, Time now) const {
  std::vector<Fight> fights;
  for (const api::ObjectRef& ref : fights_) {
    if (fights.size() == most) break;
    const Entry& entry = entries_.at(ref);
    // A fight goes on while its repair waits; else it is over one window after the last change.
    if (!entry.waiting && now - entry.battle->last > options_.fight_window) continue;
    fights.push_back({ref, entry.battle->writer, entry.battle->overwrites, entry.battle->pause});
  }
  return fights;
}

}  // namespace contour::status
