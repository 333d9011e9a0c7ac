// SPDX-License-Identifier: Apache-2.0
// Contents that an Envoy refused, kept from all Envoys: what is published goes through here.
//
//   Quarantine quarantine(options, inquire, deliver);
//   quarantine.Publish(snapshot);                    // → deliver(snapshot, less what is refused)
//   quarantine.Accuse(session, culprit);             // → inquire(ticket, item, version)
//   quarantine.Answer(ticket, opinion);              // once per inquiry → deliver(…)
//
// Rules
// - A content that is at fault in a refused response is replaced by the last good one, that is the
//   one which the Envoy that refused it, or another, runs; if none does, it is left out. With the
//   good content come the clusters, assignments and secrets that it needs, should they be gone.
// - It is kept away as long as it is what is published. Another content of the item is tried
//   again; so is this one, should it come back later.
// - An Envoy isn't believed alone: it must have accepted the rest without the content (see
//   Session), and must not have refused what it accepted before. A content that any Envoy runs is
//   good for those that take it: it isn't quarantined, and a quarantine ends when one shows up. The
//   Envoy that refuses it does without by itself.
// - At most kContents are quarantined at once; what is refused beyond is kept from the Envoy that
//   refused it only.
//
// Threads: any. The functions given are called with the lock held, those of Options without it;
// they must not call back.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "xds/ledger.h"
#include "xds/snapshot.h"

namespace contour::xds {

// A good content of an item, and what must be there for it.
struct GoodContent {
  PartPtr part;          // of an item that is a part
  ResourcePtr resource;  // of another; of a composite one its head counts
  std::vector<std::pair<ResourceType, ResourcePtr>> needs;

  explicit operator bool() const { return part != nullptr || resource != nullptr; }
};

// A content that an Envoy refused while it took the rest.
struct Culprit {
  Item item;
  Hash128 version;
  GoodContent good;  // that this Envoy runs, if any
  std::string words;
  std::string node_id;
  std::string peer;
};

// What the Envoys of one worker make of a content.
struct Opinion {
  bool runs = false;  // one of them accepted it
  GoodContent good;   // what one of them runs instead
};

class Quarantine {
 public:
  static constexpr std::size_t kContents = 1024;

  struct Options {
    std::function<void(const QuarantineView&)> on_quarantine;  // may be empty
    std::function<void(const QuarantineView&)> on_release;     // may be empty
  };
  // Asks every worker; returns how many will answer.
  using Inquire =
      std::function<std::size_t(std::uint64_t ticket, const Item& item, const Hash128& version)>;
  using Deliver = std::function<void(const SnapshotPtr&)>;

  Quarantine(Options options, Inquire inquire, Deliver deliver);

  void Publish(SnapshotPtr snapshot) ABSL_LOCKS_EXCLUDED(mutex_);

  void Accuse(std::uint64_t session, Culprit culprit) ABSL_LOCKS_EXCLUDED(mutex_);
  void Answer(std::uint64_t ticket, Opinion opinion) ABSL_LOCKS_EXCLUDED(mutex_);
  // An Envoy runs it all the same.
  void Dispute(const Item& item, const Hash128& version) ABSL_LOCKS_EXCLUDED(mutex_);
  // The Envoy refuses what it accepted before: its accusations no longer count.
  void Distrust(std::uint64_t session) ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<QuarantineView> View() const ABSL_LOCKS_EXCLUDED(mutex_);
  struct Totals {
    std::size_t now = 0;
    std::uint64_t quarantined = 0;  // since the start
    std::uint64_t released = 0;
  };
  Totals totals() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    Culprit culprit;
    std::set<std::uint64_t> accusers;
    std::optional<Hash128> head;  // of the resource; with another, a part is tried again
    Clock::time_point since;
  };
  struct Pending {
    Entry entry;
    std::size_t outstanding = 0;
    bool disputed = false;
  };
  // To be told when the lock is free.
  struct News {
    std::vector<QuarantineView> quarantined;
    std::vector<QuarantineView> released;
  };
  using Content = std::pair<Item, Hash128>;

  static QuarantineView ViewOf(const Entry& entry);
  bool IsPublished(const Item& item, const Hash128& version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(std::map<Item, Entry>::iterator at, News& news)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SnapshotPtr Filtered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(std::uint64_t ticket, News& news) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const News& news) const ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const Inquire inquire_;
  const Deliver deliver_;
  mutable Mutex mutex_;
  SnapshotPtr published_ ABSL_GUARDED_BY(mutex_);  // null before the first
  std::map<Item, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);  // by ticket
  std::set<Content> disputed_ ABSL_GUARDED_BY(mutex_);                // as far as published
  std::uint64_t tickets_ ABSL_GUARDED_BY(mutex_) = 0;
  Totals totals_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::xds
