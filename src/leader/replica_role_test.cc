// SPDX-License-Identifier: Apache-2.0

#include "leader/replica_role.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace contour::leader {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// A candidate whose lock the test controls.
class FakeCandidate : public Candidate {
 public:
  explicit FakeCandidate(std::function<void(const View&)> on_view) : on_view_(std::move(on_view)) {}

  void Start() override { started = true; }
  void Contend() override { contends = true; }
  void Stop(std::chrono::milliseconds /*patience*/) override { stopped = true; }
  bool MayWrite() const override { return view_.elector.role == Role::kLeader; }
  void PublishAddress() override { ++published; }
  View view() const override { return view_; }
  std::string NotAlive() const override { return ""; }
  std::string NotReady() const override { return not_ready; }

  void Become(Role role, const std::string& holder) {
    view_.elector.role = role;
    view_.elector.holder = holder;
    view_.elector.sight = Sight::kClear;
    on_view_(view_);
  }

  bool started = false;
  bool contends = false;
  bool stopped = false;
  int published = 0;
  std::string not_ready;

 private:
  const std::function<void(const View&)> on_view_;
  View view_;
};

class ReplicaRoleTest : public ::testing::Test {
 protected:
  ReplicaRole::Callbacks Callbacks() {
    return {.open =
                [this] {
                  open_ = can_open_;
                  return open_;
                },
            .close = [this] { open_ = false; },
            .set_writing = [this](bool writing) { writing_ = writing; },
            .post = [](const std::function<void()>& work) { work(); }};
  }
  ReplicaRole::Electing Electing(bool all_serve = false) {
    return {.identity = "us", .all_serve = all_serve, .make = [this](auto on_view) {
              auto made = std::make_unique<FakeCandidate>(std::move(on_view));
              candidate_ = made.get();
              return made;
            }};
  }

  bool can_open_ = true;
  bool open_ = false;
  bool writing_ = false;
  FakeCandidate* candidate_ = nullptr;
};

TEST_F(ReplicaRoleTest, WithoutAnElectionItServesOnceBuiltAndWithKeys) {
  ReplicaRole role(Callbacks());
  role.Start();
  EXPECT_TRUE(writing_);
  EXPECT_TRUE(role.MayWrite());
  EXPECT_FALSE(role.view());
  role.Built();
  EXPECT_FALSE(open_);
  EXPECT_THAT(role.NotReady(), HasSubstr("keys"));
  role.KeysAreGood();
  EXPECT_TRUE(open_);
  EXPECT_EQ(role.NotReady(), "");
}

TEST_F(ReplicaRoleTest, OnlyTheLeaderServesAndWrites) {
  ReplicaRole role(Callbacks(), Electing());
  role.Start();
  EXPECT_TRUE(candidate_->started);
  role.KeysAreGood();
  EXPECT_FALSE(candidate_->contends) << "who leads must be able to serve";
  role.Built();
  EXPECT_TRUE(candidate_->contends);
  EXPECT_FALSE(open_ || writing_);
  candidate_->Become(Role::kLeader, "us");
  EXPECT_TRUE(open_ && writing_);
  EXPECT_GT(candidate_->published, 0);
  candidate_->Become(Role::kCutOff, "us");
  EXPECT_TRUE(open_) << "Envoys keep their control plane when the API server is away";
  EXPECT_FALSE(writing_);
  candidate_->Become(Role::kStandby, "another");
  EXPECT_FALSE(open_);
}

TEST_F(ReplicaRoleTest, EveryReplicaServesIfTheySaySo) {
  ReplicaRole role(Callbacks(), Electing(/*all_serve=*/true));
  role.KeysAreGood();
  role.Built();
  EXPECT_TRUE(open_);
  EXPECT_FALSE(writing_);
  candidate_->Become(Role::kStandby, "another");
  EXPECT_TRUE(open_);
}

TEST_F(ReplicaRoleTest, WhatWasServedLastIsServedUntilAnotherLeads) {
  ReplicaRole role(Callbacks(), Electing());
  role.KeysAreGood();
  role.Remembered();
  EXPECT_TRUE(open_);
  EXPECT_EQ(role.NotReady(), "");
  candidate_->Become(Role::kStandby, "another");
  EXPECT_FALSE(open_);
}

TEST_F(ReplicaRoleTest, APortThatCannotBeOpenedIsTold) {
  can_open_ = false;
  ReplicaRole role(Callbacks());
  role.Built();
  role.KeysAreGood();
  EXPECT_EQ(role.NotReady(), "the xDS port is closed");
}

TEST_F(ReplicaRoleTest, LeavingEndsTheWritesAndLeavesThePort) {
  ReplicaRole role(Callbacks(), Electing());
  role.KeysAreGood();
  role.Built();
  candidate_->Become(Role::kLeader, "us");
  role.Leave(1s);
  EXPECT_TRUE(candidate_->stopped && open_);
  EXPECT_FALSE(writing_);
  EXPECT_EQ(role.NotReady(), "stopping");
  candidate_->Become(Role::kStandby, "");
  EXPECT_TRUE(open_);
}

TEST_F(ReplicaRoleTest, ACandidateThatCannotTakePartIsNotReady) {
  ReplicaRole role(Callbacks(), Electing());
  role.KeysAreGood();
  role.Built();
  candidate_->not_ready = "no right to read the lock";
  EXPECT_EQ(role.NotReady(), "no right to read the lock");
}

}  // namespace
}  // namespace contour::leader
