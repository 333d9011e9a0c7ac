// SPDX-License-Identifier: Apache-2.0
#include "leader/elector.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kube/testing_io.h"

namespace contour::leader {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::system_clock::time_point kWall{1'567'678'901s};  // 2019-09-05T10:21:41Z

// The lock on the API server.
class Server {
 public:
  absl::StatusOr<Reading> Read() const {
    if (!exists_) return absl::NotFoundError("leases \"contour\" not found");
    return Now();
  }
  absl::StatusOr<Reading> Create(const Record& record) {
    if (exists_) return absl::AlreadyExistsError("exists");
    exists_ = true;
    return Set(record);
  }
  absl::StatusOr<Reading> Update(const std::string& version, const Record& record) {
    if (!exists_) return absl::NotFoundError("leases \"contour\" not found");
    if (version != std::to_string(version_)) return absl::AbortedError("conflict");
    return Set(record);
  }
  Reading Set(const Record& record) {
    exists_ = true;
    record_ = record;
    ++version_;
    return Now();
  }
  // Makes an edit of somebody else that doesn't change the record.
  void Touch() { ++version_; }
  void Delete() { exists_ = false; }
  void Restore(const Record& record, int version) {
    record_ = record;
    version_ = version;
  }
  const Record& record() const { return record_; }
  int version() const { return version_; }

 private:
  Reading Now() const { return {std::to_string(version_), "uid", record_, "{}"}; }

  bool exists_ = false;
  Record record_;
  int version_ = 100;
};

// The faults of one elector's requests.
class FakeLock final : public Lock {
 public:
  FakeLock(kube::FakeIo& io, Server& server) : io_(io), server_(server) {}

  void Read(Done done) override {
    Send("read", [this] { return server_.Read(); }, std::move(done));
  }
  void Create(const Record& record, Done done) override {
    Send("create", [this, record] { return server_.Create(record); }, std::move(done));
  }
  void Update(const Reading& base, const Record& record, Done done) override {
    Send(
        "update",
        [this, version = base.resource_version, record] { return server_.Update(version, record); },
        std::move(done));
  }

  std::vector<std::string> TakeCalls() { return std::exchange(calls_, {}); }

  std::optional<absl::Status> fails;  // every request, after `there`, without effect
  kube::Clock::duration there{0};     // until the server does it
  kube::Clock::duration back{0};      // until its answer is there
  bool answer_lost = false;           // it was done, and we hear of a broken connection

 private:
  void Send(const char* what, std::function<absl::StatusOr<Reading>()> act, Done done) {
    calls_.push_back(what);
    io_.RunAfter(there, [this, act = std::move(act), done = std::move(done)] {
      absl::StatusOr<Reading> result = fails ? absl::StatusOr<Reading>(*fails) : act();
      if (answer_lost) result = absl::UnavailableError("connection reset");
      io_.RunAfter(back, [result = std::move(result), done] { done(result); });
    });
  }

  kube::FakeIo& io_;
  Server& server_;
  std::vector<std::string> calls_;
};

// An elector with everything that it needs. Advance moves the time; Freeze moves it for others
// only.
class Member final : public Elector::Listener {
 public:
  Member(std::string identity, Server& server, Options options = {}) : lock(io, server) {
    options.identity = std::move(identity);
    elector = std::make_unique<Elector>(
        options,
        Elector::Clocks{[this] { return now; },
                        [this] { return kWall + std::chrono::floor<std::chrono::seconds>(now); }},
        io, lock, *this);
  }
  ~Member() { elector.reset(); }

  void Advance(kube::Clock::duration time) {
    // In small steps, since the elector reads the clock while the loop runs.
    while (time > 0ns) {
      const auto step = std::min<kube::Clock::duration>(time, 10ms);
      now += step;
      io.Advance(step);
      time -= step;
    }
  }
  // Moves the machine's time while the process is frozen.
  void Freeze(kube::Clock::duration time) { now += time; }
  Role role() const { return elector->state().role; }

  void OnState(const Elector::State&) override {}
  void OnTurn(std::string_view what, const Reading&) override { turns.emplace_back(what); }

  kube::FakeIo io;
  FakeLock lock;
  BootTime now = 1000h;
  std::unique_ptr<Elector> elector;
  std::vector<std::string> turns;
};

class ElectorTest : public testing::Test {
 protected:
  Record Other(std::chrono::seconds duration = 15s, int transitions = 3) {
    return {"other", duration, "2001-01-01T00:00:00.000000Z", "2001-01-01T00:00:00.000000Z",
            transitions};
  }
  void Lead() {
    me_.elector->Start();
    me_.elector->Contend();
    me_.Advance(1s);
    ASSERT_EQ(me_.role(), Role::kLeader);
    me_.lock.TakeCalls();
  }

  Server server_;
  Member me_{"me", server_};
};

TEST_F(ElectorTest, MakesTheLockThatIsMissing) {
  me_.elector->Start();
  me_.Advance(1s);
  EXPECT_THAT(me_.lock.TakeCalls(), ElementsAre("read"));
  EXPECT_EQ(me_.role(), Role::kStandby);
  me_.elector->Contend();
  me_.Advance(100ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_TRUE(me_.elector->MayWrite());
  EXPECT_EQ(server_.record().holder, "me");
  EXPECT_EQ(server_.record().lease_duration, 15s);
  EXPECT_EQ(server_.record().transitions, 0);
  EXPECT_EQ(server_.record().acquire_time, server_.record().renew_time);
  EXPECT_THAT(me_.turns, ElementsAre("became leader"));
}

TEST_F(ElectorTest, ExpiryGoesByWhatIsSeenHere) {
  server_.Set(Other());
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(14'900ms);
  EXPECT_EQ(me_.role(), Role::kStandby) << "its times say 2001, but we saw it only now";
  server_.Set([&] {
    Record record = Other();
    record.renew_time = "2001-01-01T00:00:02.000000Z";
    return record;
  }());
  me_.Advance(14'900ms);
  EXPECT_EQ(me_.role(), Role::kStandby) << "it was renewed";
  me_.Advance(5s);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(server_.record().transitions, 4);
  EXPECT_NE(server_.record().acquire_time, Other().acquire_time);
}

TEST_F(ElectorTest, ARecordCountsForItsOwnDuration) {
  server_.Set(Other(40s));
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(39s);
  EXPECT_EQ(me_.role(), Role::kStandby);
  me_.Advance(6s);
  EXPECT_EQ(me_.role(), Role::kLeader);
}

TEST_F(ElectorTest, WithAWatchTheLockIsTakenWithinHalfASecondOfItsExpiry) {
  server_.Set(Other());
  me_.elector->Start();
  me_.elector->OnWatching(true);
  me_.elector->Contend();
  me_.Advance(100ms);
  me_.lock.TakeCalls();
  me_.Advance(14'800ms);
  EXPECT_THAT(me_.lock.TakeCalls(), IsEmpty()) << "the watch would tell";
  me_.Advance(700ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
}

TEST_F(ElectorTest, TakesALockAtOnceWhenTheWatchReportsItsRelease) {
  server_.Set(Other());
  me_.elector->Start();
  me_.elector->OnWatching(true);
  me_.elector->Contend();
  me_.Advance(5s);
  me_.lock.TakeCalls();
  Record free = Other(1s);
  free.holder.clear();
  me_.elector->OnChanged(server_.Set(free));
  me_.Advance(10ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_THAT(me_.lock.TakeCalls(), ElementsAre("update"));
  EXPECT_EQ(server_.record().transitions, 4);
}

TEST_F(ElectorTest, TheSecondOfTwoWritersIsRefused) {
  Member other("you", server_);
  server_.Set(Other());
  for (Member* member : {&me_, &other}) {
    member->elector->Start();
    member->elector->OnWatching(true);
    member->elector->Contend();
    member->Advance(10ms);
  }
  Record free = Other(1s);
  free.holder.clear();
  const Reading told = server_.Set(free);
  me_.elector->OnChanged(told);
  other.elector->OnChanged(told);
  me_.Advance(10ms);
  other.Advance(10ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(other.role(), Role::kStandby);
  EXPECT_EQ(other.elector->state().holder, "me");
  EXPECT_FALSE(other.elector->MayWrite());
}

TEST_F(ElectorTest, RenewsByTheRetryPeriodAndKeepsTheRest) {
  Lead();
  const Record first = server_.record();
  me_.Advance(20s);
  EXPECT_THAT(me_.lock.TakeCalls(), testing::Each("update"));
  EXPECT_EQ(me_.elector->state().renewals, 11u);
  EXPECT_EQ(server_.record().acquire_time, first.acquire_time);
  EXPECT_NE(server_.record().renew_time, first.renew_time);
  EXPECT_EQ(server_.record().transitions, 0);
}

TEST_F(ElectorTest, UnreachableItStopsWritingAtTheDeadlineAndGoesOnServing) {
  Lead();
  me_.lock.fails = absl::UnavailableError("connection refused");
  me_.Advance(7s);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_TRUE(me_.elector->MayWrite());
  me_.Advance(3s);
  EXPECT_EQ(me_.role(), Role::kCutOff);
  EXPECT_FALSE(me_.elector->MayWrite());
  EXPECT_EQ(me_.elector->state().sight, Sight::kUnreachable);
  me_.Advance(10min);
  EXPECT_EQ(me_.role(), Role::kCutOff);
  me_.lock.fails.reset();
  me_.Advance(3s);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_TRUE(me_.elector->MayWrite());
  EXPECT_EQ(server_.record().transitions, 0);
  EXPECT_THAT(me_.turns, ElementsAre("became leader", "stopped leading", "became leader"));
}

TEST_F(ElectorTest, CutOffItStopsServingWhenAnotherHolderIsSeen) {
  Lead();
  me_.lock.fails = absl::UnavailableError("connection refused");
  me_.Advance(20s);
  server_.Set(Other());
  me_.lock.fails.reset();
  me_.Advance(3s);
  EXPECT_EQ(me_.role(), Role::kStandby);
  EXPECT_EQ(server_.record().holder, "other");
}

TEST_F(ElectorTest, TheWatchReportsAnotherHolder) {
  Lead();
  me_.elector->OnChanged(server_.Set(Other()));
  EXPECT_EQ(me_.role(), Role::kStandby);
  EXPECT_FALSE(me_.elector->MayWrite());
}

TEST_F(ElectorTest, MayWriteCountsFromTheSending) {
  me_.lock.there = 3s;  // slow both ways, as late as it gets
  me_.lock.back = 3s;
  server_.Set(Record{});
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(6s);  // read
  me_.Advance(6s);  // taken
  ASSERT_EQ(me_.role(), Role::kLeader);
  EXPECT_TRUE(me_.elector->MayWrite());
  me_.lock.fails = absl::UnavailableError("connection refused");
  me_.Advance(3'900ms);
  EXPECT_TRUE(me_.elector->MayWrite());
  me_.Advance(200ms);
  EXPECT_FALSE(me_.elector->MayWrite());
}

TEST_F(ElectorTest, FrozenItMayNotWriteWhenItThaws) {
  Lead();
  me_.Freeze(11s);
  EXPECT_FALSE(me_.elector->MayWrite()) << "before a single task of the loop has run";
  server_.Set(Other());
  me_.Advance(2100ms);
  EXPECT_EQ(me_.role(), Role::kStandby);
  EXPECT_EQ(server_.record().holder, "other");
}

TEST_F(ElectorTest, AnAnswerFromBeforeTheFreezeGivesNothing) {
  Lead();
  me_.lock.back = 1s;
  me_.Advance(1500ms);  // a renewal is under way
  me_.Freeze(11s);
  me_.Advance(600ms);  // its answer is in
  EXPECT_FALSE(me_.elector->MayWrite());
}

TEST_F(ElectorTest, AnotherEditOfTheObjectCostsAReadOnly) {
  Lead();
  me_.Advance(500ms);
  server_.Touch();
  me_.Advance(2s);
  EXPECT_THAT(me_.lock.TakeCalls(), ElementsAre("update", "read", "update"));
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_THAT(me_.turns, ElementsAre("became leader"));
}

TEST_F(ElectorTest, AnAnswerThatWasLostIsFoundOutByReading) {
  server_.Set(Record{});
  me_.elector->Start();
  me_.Advance(10ms);
  me_.lock.answer_lost = true;
  me_.elector->Contend();
  me_.Advance(10ms);
  EXPECT_EQ(server_.record().holder, "me");
  EXPECT_EQ(me_.role(), Role::kStandby);
  EXPECT_FALSE(me_.elector->MayWrite());
  me_.lock.answer_lost = false;
  me_.Advance(5s);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(server_.record().transitions, 1) << "counted once";
}

TEST_F(ElectorTest, OurOwnLockFromBeforeARestart) {
  Record mine = Other();
  mine.holder = "me";
  server_.Set(mine);
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(100ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(server_.record().transitions, 3);
  EXPECT_EQ(server_.record().acquire_time, mine.acquire_time);
}

TEST_F(ElectorTest, ItsHolderMakesADeletedLockAnew) {
  Lead();
  server_.Delete();
  me_.elector->OnDeleted();
  me_.Advance(100ms);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(server_.record().holder, "me");
  EXPECT_THAT(me_.turns, ElementsAre("became leader"));
}

TEST_F(ElectorTest, OthersLeaveADeletedLockToItsHolder) {
  server_.Set(Other());
  me_.elector->Start();
  me_.elector->OnWatching(true);
  me_.elector->Contend();
  me_.Advance(5s);
  server_.Delete();
  me_.elector->OnDeleted();
  me_.Advance(14'900ms);
  EXPECT_EQ(me_.role(), Role::kStandby);
  me_.Advance(4s);
  EXPECT_EQ(me_.role(), Role::kLeader);
}

TEST_F(ElectorTest, MissingNamespaceIsNamedWithItsCure) {
  me_.lock.fails = absl::NotFoundError("404 NotFound: namespaces \"leader-elect\" not found");
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(5s);
  EXPECT_EQ(me_.elector->state().sight, Sight::kRefused);
  EXPECT_THAT(me_.elector->state().problem, HasSubstr("kubectl create namespace leader-elect"));
  EXPECT_FALSE(me_.elector->state().worked);
  me_.lock.fails.reset();
  me_.Advance(5s);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_EQ(me_.elector->state().sight, Sight::kClear);
  EXPECT_EQ(me_.elector->state().problem, "");
  EXPECT_TRUE(me_.elector->state().worked);
}

TEST_F(ElectorTest, MissingRightsAreNamedWithTheirCure) {
  me_.lock.fails = absl::PermissionDeniedError("403 Forbidden: cannot get leases");
  me_.elector->Start();
  me_.Advance(5s);
  EXPECT_EQ(me_.elector->state().sight, Sight::kRefused);
  EXPECT_THAT(me_.elector->state().problem, HasSubstr("deploy/rbac"));
}

TEST_F(ElectorTest, ReleasedForTheNextOne) {
  Lead();
  bool released = false;
  me_.elector->Release([&] { released = true; });
  EXPECT_FALSE(me_.elector->MayWrite()) << "before the server knows";
  EXPECT_FALSE(released);
  me_.Advance(10ms);
  EXPECT_TRUE(released);
  EXPECT_EQ(server_.record().holder, "");
  EXPECT_EQ(server_.record().lease_duration, 1s);
  EXPECT_EQ(server_.record().transitions, 0);
  EXPECT_THAT(me_.turns, ElementsAre("became leader", "stopped leading"));
  const int version = server_.version();
  me_.Advance(1min);
  EXPECT_EQ(server_.version(), version);
}

TEST_F(ElectorTest, ReleasedAfterTheRenewalThatIsUnderWay) {
  Lead();
  me_.lock.there = me_.lock.back = 500ms;
  me_.Advance(1500ms);
  bool released = false;
  me_.elector->Release([&] { released = true; });
  me_.Advance(2s);
  EXPECT_TRUE(released);
  EXPECT_EQ(server_.record().holder, "");
  EXPECT_FALSE(me_.elector->MayWrite());
}

TEST_F(ElectorTest, ReleasedThoughSomebodyEditedTheObject) {
  Lead();
  server_.Touch();
  bool released = false;
  me_.elector->Release([&] { released = true; });
  me_.Advance(100ms);
  EXPECT_TRUE(released);
  EXPECT_EQ(server_.record().holder, "");
}

TEST_F(ElectorTest, OnlyItsHolderReleasesALock) {
  server_.Set(Other());
  me_.elector->Start();
  me_.elector->Contend();
  me_.Advance(1s);
  bool released = false;
  me_.elector->Release([&] { released = true; });
  me_.Advance(10ms);
  EXPECT_TRUE(released);
  EXPECT_EQ(server_.record(), Other());
}

TEST_F(ElectorTest, AnApiServerRestoredFromABackupThatNamesAnother) {
  Lead();
  me_.Advance(20s);
  server_.Restore(Other(), 50);
  me_.Advance(2500ms);
  EXPECT_EQ(me_.role(), Role::kStandby);
  EXPECT_FALSE(me_.elector->MayWrite());
  me_.Advance(20s);  // the other doesn't exist any more
  EXPECT_EQ(me_.role(), Role::kLeader);
}

TEST_F(ElectorTest, AnApiServerRestoredFromABackupWhereItIsFree) {
  Lead();
  me_.Advance(20s);
  Record free = Other();
  free.holder.clear();
  server_.Restore(free, 50);
  me_.Advance(2500ms);
  EXPECT_EQ(me_.role(), Role::kLeader) << "taken again";
  EXPECT_EQ(server_.record().holder, "me");
  EXPECT_THAT(me_.turns, ElementsAre("became leader", "stopped leading", "became leader"));
}

TEST_F(ElectorTest, LateEventsDoNotUndoAnswers) {
  server_.Set(Other());
  Record free = Other();
  free.holder.clear();
  const Reading late = server_.Set(free);
  Lead();
  me_.elector->OnChanged(late);
  EXPECT_EQ(me_.role(), Role::kLeader);
  EXPECT_TRUE(me_.elector->MayWrite());
}

// Three members on one lock, with delays, lost answers, outages, freezes, restarts, deletions and
// restored backups by chance: never may two write at once, and when the faults end, one leads.
class ElectorRandomTest : public testing::TestWithParam<int> {};

TEST_P(ElectorRandomTest, NeverTwoWriters) {
  // A replica that has never seen a lock takes its absence for a new installation, so the two
  // faults aren't combined.
  const bool restarts = GetParam() % 2 == 0;
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto chance = [&](int of) {
    return static_cast<int>(random() % static_cast<unsigned>(of));
  };
  Server server;
  std::vector<std::unique_ptr<Member>> members;
  std::vector<kube::Clock::duration> frozen(3, 0ms);  // how long it has been, 0: it isn't
  std::vector<bool> watching(3, false);
  int next = 0;
  BootTime now = 1000h;
  const auto add = [&](std::size_t i) {
    auto member = std::make_unique<Member>(fmt::format("member-{}", next++), server);
    member->now = now;
    member->io.set_random(chance(100) / 100.0);
    member->elector->Start();
    member->elector->Contend();
    watching[i] = false;
    members[i] = std::move(member);
  };
  members.resize(3);
  for (std::size_t i = 0; i < 3; ++i) add(i);
  int told = 0;  // version that the watches have told of
  int leaders = 0;
  bool deleted = false;
  const auto step = [&] {
    now += 50ms;
    for (std::size_t i = 0; i < 3; ++i) {
      Member& member = *members[i];
      member.now = now;
      if (frozen[i] > 0ms) {
        frozen[i] += 50ms;
        continue;
      }
      member.io.Advance(50ms);
      if (watching[i] && server.version() > told && server.Read().ok() && chance(3) != 0) {
        member.elector->OnChanged(*server.Read());
      }
    }
    told = server.version();
    int writers = 0;
    for (const auto& member : members) writers += member->elector->MayWrite() ? 1 : 0;
    leaders += writers;
    return writers <= 1;
  };
  for (int i = 0; i < 4000; ++i) {
    ASSERT_TRUE(step()) << "at step " << i;
    const auto which = static_cast<std::size_t>(chance(3));
    Member& member = *members[which];
    switch (chance(40)) {
      case 0:
        member.lock.there = std::chrono::milliseconds(chance(2000));
        member.lock.back = std::chrono::milliseconds(chance(2000));
        break;
      case 1:
        member.lock.fails = absl::UnavailableError("connection refused");
        break;
      case 2:
      case 3:
        member.lock.fails.reset();
        member.lock.there = member.lock.back = 0ms;
        break;
      case 4:
        member.lock.answer_lost = !member.lock.answer_lost;
        break;
      case 5:
        if (frozen[which] == 0ms && chance(4) == 0) frozen[which] = 1ms;
        break;
      case 6:
        if (frozen[which] > 0ms) {
          const auto late = std::exchange(frozen[which], 0ms);
          member.io.Advance(late);  // all timers that are due, at once
        }
        break;
      case 7:
        if (restarts && frozen[which] == 0ms && chance(8) == 0) add(which);  // killed and started
        break;
      case 8:
        if (frozen[which] == 0ms) {
          watching[which] = !watching[which];
          member.elector->OnWatching(watching[which]);
        }
        break;
      case 9:
        if (chance(10) == 0) server.Touch();
        break;
      case 10:
        // This happens once: a replica that misses the new lock may take a second deletion for the
        // first.
        if (!restarts && !deleted && chance(20) == 0) {
          deleted = true;
          server.Delete();
        }
        break;
      case 11:
        if (restarts && frozen[which] == 0ms && chance(8) == 0) {
          member.elector->Release([] {});
          member.io.Advance(100ms);
          add(which);
        }
        break;
      default:
        break;
    }
  }
  EXPECT_GT(leaders, 200) << "the faults leave hardly anybody leading: this proves nothing";
  for (std::size_t i = 0; i < 3; ++i) {
    Member& member = *members[i];
    member.lock.fails.reset();
    member.lock.there = member.lock.back = 0ms;
    member.lock.answer_lost = false;
    if (const auto late = std::exchange(frozen[i], 0ms); late > 0ms) member.io.Advance(late);
  }
  for (int i = 0; i < 800; ++i) ASSERT_TRUE(step());  // twice 15 s, and some
  int leading = 0;
  for (const auto& member : members) leading += member->role() == Role::kLeader ? 1 : 0;
  EXPECT_EQ(leading, 1);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ElectorRandomTest, testing::Range(0, 300));

}  // namespace
}  // namespace contour::leader
