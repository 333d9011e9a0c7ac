// SPDX-License-Identifier: Apache-2.0
// Decides which status is written when. It knows the wanted status of each object and the status
// that the server is known to have, and gives out the differences, one write per object at a time:
//
// Example, given `StatusPlan& plan`, `const std::vector<api::Change>& changes`,
// `const api::ObjectRef& ref` and `StatusPlan::Time now`:
//   plan.Observe(changes, now);  // each batch of a source: what the server has
//   plan.Want(ref, R"({"currentStatus":"valid"})", now);  // what it should have
//   while (const auto write = plan.Next(now)) {
//     plan.Finished(*write, Outcome(), now);  // when it was sent and is answered
//   }
//   const auto due = plan.NextDue();  // when to ask again if nothing happens before
//   while (const auto asked = plan.NextInquiry()) {
//     plan.Inquired(*asked, "{}");  // the JSON of the object, which was read
//   }
//
// - The latest status wins. Statuses that come while a write is under way are looked at when it has
//   finished.
// - A write has the resourceVersion of the object that it was compared with. A conflict is no
//   error: the newer object is on its way, and is compared when it comes.
// - After other failures a write waits 0.5 s, twice as long each time up to 30 s, a fifth more or
//   less, and never less than the Retry-After of the answer, of which two minutes count. If the
//   permission is missing, the whole kind waits. A 404 proves nothing, since a balancer before the
//   API server gives it too: the object is gone when the source says so.
// - If nothing differs, nothing is written. So a status that somebody else changes is repaired at
//   once, with one write. If that happens 5 times, each within a minute of the last, it is a fight:
//   from then on each repair of this object waits 1 s, 2 s, 4 s … 5 minutes, and the other writer
//   is named. A minute without another change ends the fight.
// - While inactive (not the leader), it keeps all of this up to date and gives out nothing. So a
//   status that is right when it becomes active is not written again.
//
// Its size is bounded by the number of objects, with one row each. It has no threads and no clock;
// the time is passed in. For one thread at a time.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "api/source.h"
#include "base/hash.h"

namespace contour::status {

// The outcome of a write.
struct Outcome {
  // kAborted: a conflict. kNotFound: the object may be gone. kFailedPrecondition: the write wasn't
  // sent, since this replica may not be the leader any more. Other codes are those of the client.
  absl::Status status;
  std::optional<std::chrono::seconds> retry_after;
  std::string object;  // the JSON of the object after a write that was done; may be empty
};

// Returns the outcome of a write that was answered. A successful answer whose body isn't an object
// doesn't come from an API server: kUnavailable.
Outcome OutcomeOf(const absl::Status& status, std::optional<std::chrono::seconds> retry_after,
                  std::string_view body);

class StatusPlan {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Options {
    std::size_t parallel = 16;  // writes under way at once
    std::chrono::milliseconds first_delay{500};
    std::chrono::milliseconds most_delay{30'000};
    std::size_t fight_overwrites = 5;
    std::chrono::milliseconds fight_window{60'000};
    std::chrono::milliseconds first_pause{1'000};
    std::chrono::milliseconds most_pause{300'000};
    bool active = true;  // at the start
  };

  struct Write {
    api::ObjectRef ref;
    std::string resource_version;
    std::string fields;  // JSON, see fields.h
  };

  // An object whose status somebody else keeps changing.
  struct Fight {
    api::ObjectRef ref;
    std::string writer;  // its field manager; empty: not known
    std::uint64_t overwrites = 0;
    std::chrono::milliseconds pause{0};  // before the next repair
  };

  struct Statistics {
    std::uint64_t written = 0;
    std::uint64_t conflicts = 0;
    std::uint64_t failures = 0;
    std::uint64_t overwritten = 0;  // right statuses that somebody else changed
    std::uint64_t fights = 0;       // since the start
    std::size_t waiting = 0;        // objects whose status isn't right yet
    std::size_t under_way = 0;
    bool active = false;
  };

  // `random` is uniform in [0, 1).
  StatusPlan(Options options, std::function<double()> random);
  ~StatusPlan();
  StatusPlan(const StatusPlan&) = delete;
  StatusPlan& operator=(const StatusPlan&) = delete;

  void Observe(const std::vector<api::Change>& changes, Time now);
  // Sets the wanted fields; nullopt: the status is not to be touched.
  void Want(const api::ObjectRef& ref, std::optional<std::string> fields, Time now);
  void SetActive(bool active, Time now);

  // Returns the next write that may be sent now. It is under way until Finished.
  std::optional<Write> Next(Time now);
  // Returns when Next may return a write. nullopt: not before another method is called.
  std::optional<Time> NextDue() const;
  void Finished(const Write& write, const Outcome& outcome, Time now);

  // Returns the next object that is to be read to find out who changes its status. The server notes
  // that in the object, until contour writes the status again. Each object is returned once in a
  // fight.
  std::optional<api::ObjectRef> NextInquiry();
  void Inquired(const api::ObjectRef& ref, std::string_view object);  // "" if it can't be read

  Statistics statistics() const;
  // Returns at most `most` of the current fights, in the order of the objects.
  std::vector<Fight> Fights(std::size_t most, Time now) const;

 private:
  struct Entry;
  struct Battle;
  struct Pause {
    int failures = 0;
    Time until{};
  };
  using Entries = std::map<api::ObjectRef, Entry>;
  struct Due {
    Time at;
    const api::ObjectRef* ref;  // of entries_
    bool operator<(const Due& other) const {
      return at != other.at ? at < other.at : *ref < *other.ref;
    }
  };
  using Text = std::shared_ptr<const std::string>;

  // Returns the shared text of `fields`: that of the last call if it is equal, since nearly all
  // objects of a cluster have the same status.
  Text Share(std::string fields);

  // Puts the entry into the queue or takes it out, counts it, and drops it if it is empty.
  void Judge(Entries::iterator entry);
  void Unqueue(Entries::iterator entry);
  void EndBattle(const api::ObjectRef& ref, Entry& entry);
  void LogBattle(const api::ObjectRef& ref, const Entry& entry) const;
  void NoteOverwrite(const api::ObjectRef& ref, Entry& entry, Time now);
  std::chrono::milliseconds Delay(int failures) const;

  const Options options_;
  const std::function<double()> random_;
  bool active_;
  Entries entries_;
  Text last_text_;
  std::set<Due> queue_;
  std::map<api::Kind, Pause> pauses_;
  std::set<api::ObjectRef> fights_;     // objects of fights that were noticed; some may be over
  std::set<api::ObjectRef> inquiries_;  // objects of these fights that are to be read
  Statistics statistics_;
};

}  // namespace contour::status
