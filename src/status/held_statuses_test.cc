// SPDX-License-Identifier: Apache-2.0

#include "status/held_statuses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "graph/kinds/ingressroute/status.h"

namespace contour::status {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using graph::ingressroute::MakeStatus;
using testing::ElementsAre;
using testing::IsEmpty;

const graph::Status kValid = MakeStatus("valid", "valid IngressRoute", "a.example");
const graph::Status kNoService =
    MakeStatus("invalid", "Service [kuard:80] is invalid or missing", "", true);
const graph::Status kNoOther =
    MakeStatus("invalid", "Service [other:80] is invalid or missing", "", true);
const graph::Status kBad = MakeStatus("invalid", "Spec.VirtualHost.Fqdn must be specified", "");

class HeldStatusesTest : public ::testing::Test {
 protected:
  static std::vector<std::string> Show(const std::vector<ObjectStatus>& statuses) {
    std::vector<std::string> shown;
    for (const auto& [ref, status] : statuses) {
      shown.push_back(ref.name + ": " + (status ? status->Summary().message : "gone"));
    }
    return shown;
  }
  std::vector<std::string> Offer(const std::string& name, std::optional<graph::Status> status) {
    return Show(
        held_.Offer({{{api::Kind::kIngressRoute, "default", name}, std::move(status)}}, now_));
  }
  // Moves the clock to `until` after the start.
  std::vector<std::string> At(std::chrono::milliseconds until) {
    now_ = HeldStatuses::Time(1000s) + until;
    return Show(held_.TakeDue(now_));
  }

  HeldStatuses::Time now_{1000s};
  HeldStatuses held_{250ms};
};

TEST_F(HeldStatusesTest, OnlyWhatIsMissingIsHeld) {
  EXPECT_THAT(Offer("a", kValid), ElementsAre("a: " + kValid.Summary().message));
  EXPECT_THAT(Offer("b", kBad), ElementsAre("b: " + kBad.Summary().message));
  EXPECT_THAT(Offer("c", kNoService), IsEmpty());
  EXPECT_EQ(held_.NextDue(), HeldStatuses::Time(1000s) + 250ms);
  EXPECT_THAT(At(249ms), IsEmpty());
  EXPECT_THAT(At(250ms), ElementsAre("c: " + kNoService.Summary().message));
  EXPECT_EQ(held_.NextDue(), std::nullopt);
}

TEST_F(HeldStatusesTest, AnObjectThatComesInTimeIsNeverReportedAsMissing) {
  EXPECT_THAT(Offer("a", kNoService), IsEmpty());
  EXPECT_THAT(At(200ms), IsEmpty());
  EXPECT_THAT(Offer("a", kValid), ElementsAre("a: " + kValid.Summary().message)) << "at once";
  EXPECT_THAT(At(10s), IsEmpty());
  EXPECT_EQ(held_.size(), 0U);
}

TEST_F(HeldStatusesTest, TheLatestWinsAndIsNotHeldLonger) {
  EXPECT_THAT(Offer("a", kNoService), IsEmpty());
  At(200ms);
  EXPECT_THAT(Offer("a", kNoOther), IsEmpty());
  EXPECT_THAT(At(250ms), ElementsAre("a: " + kNoOther.Summary().message));
}

TEST_F(HeldStatusesTest, AServiceThatIsReplacedDoesNotShow) {
  Offer("a", kValid);
  EXPECT_THAT(Offer("a", kNoService), IsEmpty());
  At(100ms);
  EXPECT_THAT(Offer("a", kValid), IsEmpty()) << "it was told already";
  EXPECT_THAT(At(10s), IsEmpty());
}

TEST_F(HeldStatusesTest, AnObjectThatGoesTakesItsStatusAlong) {
  EXPECT_THAT(Offer("a", kNoService), IsEmpty());
  EXPECT_THAT(Offer("a", std::nullopt), IsEmpty()) << "nobody was told of it";
  EXPECT_THAT(At(10s), IsEmpty());
  Offer("b", kValid);
  EXPECT_THAT(Offer("b", std::nullopt), ElementsAre("b: gone"));
  EXPECT_THAT(Offer("b", kValid), ElementsAre("b: " + kValid.Summary().message))
      << "and is new again";
}

TEST_F(HeldStatusesTest, EachObjectHasItsOwnHold) {
  Offer("b", kNoService);
  At(100ms);
  Offer("a", kNoService);
  EXPECT_THAT(At(250ms), ElementsAre("b: " + kNoService.Summary().message));
  EXPECT_THAT(At(350ms), ElementsAre("a: " + kNoService.Summary().message));
}

TEST(StatusTeller, ReportsHeldStatusesOnItsThread) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> told;
  StatusTeller teller(20ms, [&](const ObjectStatus& status) {
    const std::lock_guard lock(mutex);
    told.push_back(status.second->Summary().message);
    changed.notify_all();
  });
  teller.Start();
  teller.Offer({{{api::Kind::kIngressRoute, "default", "a"}, kNoService},
                {{api::Kind::kIngressRoute, "default", "b"}, kValid}});
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return told.size() == 2; }));
    EXPECT_THAT(told, ElementsAre(kValid.Summary().message, kNoService.Summary().message));
  }
  teller.Offer({{{api::Kind::kIngressRoute, "default", "a"}, kNoOther},
                {{api::Kind::kIngressRoute, "default", "b"}, kBad}});
  teller.Stop();
  EXPECT_EQ(told.size(), 3U) << "what isn't held is told before it stops";
}

// A kind is unknown, so an object that seems to be missing may exist.
TEST(StatusTeller, HoldsMissingStatusesWhileAKindIsUnknown) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> told;
  std::atomic<bool> unsure = true;
  StatusTeller teller(
      5ms,
      [&](const ObjectStatus& status) {
        const std::lock_guard lock(mutex);
        told.push_back(status.second->Summary().message);
        changed.notify_all();
      },
      [&] { return unsure.load(); });
  teller.Start();
  teller.Offer({{{api::Kind::kIngressRoute, "default", "a"}, kNoService}});
  std::this_thread::sleep_for(50ms);
  teller.Offer({{{api::Kind::kIngressRoute, "default", "b"}, kBad}});
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return !told.empty(); }));
    EXPECT_THAT(told, ElementsAre(kBad.Summary().message)) << "what was written is told as ever";
  }
  EXPECT_EQ(teller.held(), 1U);
  unsure = false;
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, 10s, [&] { return told.size() == 2; }));
  EXPECT_EQ(told.back(), kNoService.Summary().message);
}

}  // namespace
}  // namespace contour::status
