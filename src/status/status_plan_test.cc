// SPDX-License-Identifier: Apache-2.0

#include "status/status_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>

#include "api/ingress_route.h"
#include "graph/kinds/ingressroute/status.h"
#include "status/fields.h"

namespace contour::status {
namespace {

using std::chrono::milliseconds;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

api::ObjectRef Ref(const std::string& name = "root") {
  return {api::Kind::kIngressRoute, "default", name};
}
const std::string kValid = Fields(
    api::Kind::kIngressRoute, graph::ingressroute::MakeStatus("valid", "valid IngressRoute", ""));
const std::string kInvalid = Fields(
    api::Kind::kIngressRoute,
    graph::ingressroute::MakeStatus("invalid", "Service [kuard:80] is invalid or missing", ""));

// A plan with the test's own clock.
class StatusPlanTest : public ::testing::Test {
 protected:
  void Observe(const std::string& version, const api::IngressRouteStatus& status,
               const std::string& name = "root") {
    auto route = std::make_shared<api::IngressRoute>();
    route->meta.ns = "default";
    route->meta.name = name;
    route->meta.resource_version = version;
    route->status = status;
    plan_->Observe({{route->Ref(), route}}, now_);
  }
  void ObserveValid(const std::string& version) {
    Observe(version, {"valid", "valid IngressRoute"});
  }
  void Gone() { plan_->Observe({{Ref(), nullptr}}, now_); }
  void Want(const std::string& fields) { plan_->Want(Ref(), fields, now_); }
  std::optional<StatusPlan::Write> Next() { return plan_->Next(now_); }
  void Finish(const StatusPlan::Write& write, Outcome outcome = {}) {
    plan_->Finished(write, outcome, now_);
  }
  void Fail(const StatusPlan::Write& write, absl::Status status,
            std::optional<std::chrono::seconds> retry_after = {}) {
    Finish(write, {std::move(status), retry_after, ""});
  }
  // Returns the time from now until there may be a write.
  std::optional<milliseconds> UntilDue() const {
    const auto due = plan_->NextDue();
    if (!due) return std::nullopt;
    return std::max(0ms, std::chrono::ceil<milliseconds>(*due - now_));
  }

  StatusPlan::Time now_{3600s};
  double random_ = 0.5;  // no jitter
  void Restart(StatusPlan::Options options) {
    plan_ = std::make_unique<StatusPlan>(options, [this] { return random_; });
  }
  std::unique_ptr<StatusPlan> plan_ =
      std::make_unique<StatusPlan>(StatusPlan::Options{}, [this] { return random_; });
};

TEST_F(StatusPlanTest, WritesTheDifferenceOnce) {
  Want(kValid);
  EXPECT_FALSE(Next()) << "the object hasn't been seen";
  EXPECT_EQ(UntilDue(), std::nullopt);
  Observe("1", {});
  const auto write = Next();
  ASSERT_TRUE(write);
  EXPECT_EQ(write->resource_version, "1");
  EXPECT_EQ(write->fields, kValid);
  EXPECT_FALSE(Next());
  EXPECT_EQ(plan_->statistics().waiting, 1U);
  Finish(*write);
  ObserveValid("2");  // the event of our own write
  EXPECT_FALSE(Next());
  EXPECT_EQ(plan_->statistics().written, 1U);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
}

TEST_F(StatusPlanTest, WritesNothingWhereNothingDiffers) {
  ObserveValid("1");
  Want(kValid);
  EXPECT_FALSE(Next());
  EXPECT_EQ(plan_->statistics().waiting, 0U);
}

TEST_F(StatusPlanTest, TheLatestWinsAfterAWriteUnderWay) {
  Observe("1", {});
  Want(kInvalid);
  const auto first = Next();
  ASSERT_TRUE(first);
  Want(kValid);
  Want(kInvalid);
  Want(kValid);
  EXPECT_FALSE(Next()) << "one write per object at a time";
  // The answer comes before the event, and has the resourceVersion for the next write.
  Finish(*first, {absl::OkStatus(), {}, R"({"metadata":{"resourceVersion":"2"}})"});
  const auto second = Next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->resource_version, "2");
  EXPECT_EQ(second->fields, kValid);
}

TEST_F(StatusPlanTest, AChangeOfMindNeedsNoWrite) {
  ObserveValid("1");
  Want(kInvalid);
  Want(kValid);
  EXPECT_FALSE(Next());
}

TEST_F(StatusPlanTest, AfterAConflictTheNewerObjectIsCompared) {
  Observe("1", {});
  Want(kValid);
  const auto first = Next();
  ASSERT_TRUE(first);
  Observe("2", {});
  Fail(*first, absl::AbortedError("409"));
  const auto second = Next();
  ASSERT_TRUE(second) << "at once";
  EXPECT_EQ(second->resource_version, "2");
  Fail(*second, absl::AbortedError("409"));
  EXPECT_FALSE(Next()) << "the newer object isn't here yet";
  EXPECT_GT(*UntilDue(), 0ms);
  ObserveValid("3");
  EXPECT_FALSE(Next()) << "and has what is wanted";
  EXPECT_EQ(plan_->statistics().conflicts, 2U);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
}

TEST_F(StatusPlanTest, WaitsForTheNewerObjectAfterAConflict) {
  Observe("1", {});
  Want(kValid);
  Fail(*Next(), absl::AbortedError("409"));
  EXPECT_EQ(UntilDue(), 500ms);
  Observe("2", {});
  EXPECT_TRUE(Next()) << "no need to wait any more";
}

TEST_F(StatusPlanTest, FailuresAreTriedAgainLaterAndLater) {
  Observe("1", {});
  Want(kValid);
  for (const milliseconds wait :
       {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
    const auto write = Next();
    ASSERT_TRUE(write) << wait.count();
    Fail(*write, absl::UnavailableError("no connection"));
    EXPECT_EQ(UntilDue(), wait);
    Observe("1", {});  // what is told meanwhile is no reason to hurry
    now_ += wait - 1ms;
    EXPECT_FALSE(Next()) << wait.count();
    now_ += 1ms;
  }
  Finish(*Next());
  EXPECT_EQ(plan_->statistics().failures, 8U);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
}

TEST_F(StatusPlanTest, DelaysHaveJitter) {
  Observe("1", {});
  Want(kValid);
  random_ = 0;
  Fail(*Next(), absl::UnavailableError(""));
  EXPECT_EQ(UntilDue(), 400ms);
  now_ += 400ms;
  random_ = 0.999;
  Fail(*Next(), absl::UnavailableError(""));
  EXPECT_GT(*UntilDue(), 1150ms);
  EXPECT_LT(*UntilDue(), 1200ms);
}

TEST_F(StatusPlanTest, RetryAfterIsHeeded) {
  Observe("1", {});
  Want(kValid);
  Fail(*Next(), absl::ResourceExhaustedError("429"), 7s);
  EXPECT_EQ(UntilDue(), 7000ms);
}

TEST_F(StatusPlanTest, RetryAfterOfAStatusWriteIsCapped) {
  for (const absl::Status& status :
       {absl::ResourceExhaustedError("429"), absl::UnavailableError("503"),
        absl::PermissionDeniedError("403")}) {
    Restart({});
    Observe("1", {});
    Want(kValid);
    Fail(*Next(), status, std::chrono::seconds(std::numeric_limits<std::int64_t>::max()));
    EXPECT_EQ(UntilDue(), 120s) << status;
  }
}

TEST_F(StatusPlanTest, NoMoreThanSoManyAtOnce) {
  Restart({.parallel = 2});
  for (const char* name : {"a", "b", "c"}) {
    Observe("1", {}, name);
    plan_->Want(Ref(name), kValid, now_);
  }
  const auto first = Next();
  ASSERT_TRUE(first && Next());
  EXPECT_FALSE(Next());
  EXPECT_EQ(UntilDue(), std::nullopt);
  Finish(*first);
  EXPECT_TRUE(Next());
}

TEST_F(StatusPlanTest, RepairsAForeignWriteOnce) {
  ObserveValid("1");
  Want(kValid);
  Observe("2", {"valid", "mine"});
  const auto write = Next();
  ASSERT_TRUE(write) << "at once";
  EXPECT_EQ(write->resource_version, "2");
  EXPECT_EQ(write->fields, kValid);
  Finish(*write);
  ObserveValid("3");
  EXPECT_FALSE(Next());
  EXPECT_EQ(plan_->statistics().overwritten, 1U);
}

// A balancer before the API server answers 404, too, so the wanted status must be kept.
TEST_F(StatusPlanTest, NotFoundIsTriedAgainUntilTheDeletionIsSeen) {
  Observe("1", {});
  Want(kValid);
  for (const milliseconds wait : {500ms, 1000ms, 2000ms}) {
    Fail(*Next(), absl::NotFoundError("default backend - 404"));
    EXPECT_EQ(UntilDue(), wait);
    now_ += wait;
  }
  EXPECT_EQ(plan_->statistics().waiting, 1U);
  EXPECT_EQ(plan_->statistics().failures, 0U);
  const auto write = Next();
  ASSERT_TRUE(write);
  EXPECT_EQ(write->resource_version, "1");
  Fail(*write, absl::NotFoundError("404"));
  Gone();
  EXPECT_EQ(UntilDue(), std::nullopt);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
  plan_->Want(Ref(), std::nullopt, now_);
  Observe("5", {});
  EXPECT_FALSE(Next()) << "another one of that name; what is wanted of it isn't known yet";
  Want(kValid);
  EXPECT_TRUE(Next());
}

TEST_F(StatusPlanTest, AnAnswerOfSuccessThatIsNoObjectIsAFailure) {
  for (const char* body :
       {"", "<html>It works!</html>",
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})"}) {
    EXPECT_TRUE(absl::IsUnavailable(OutcomeOf(absl::OkStatus(), {}, body).status)) << body;
  }
  EXPECT_TRUE(
      OutcomeOf(absl::OkStatus(), {}, R"({"metadata":{"resourceVersion":"2"}})").status.ok());
  EXPECT_TRUE(absl::IsAborted(OutcomeOf(absl::AbortedError("409"), 3s, "x").status));
  Observe("1", {});
  Want(kValid);
  Finish(*Next(), OutcomeOf(absl::OkStatus(), {}, "<html>It works!</html>"));
  EXPECT_EQ(UntilDue(), 500ms) << "it was written nowhere";
}

TEST_F(StatusPlanTest, GoneWhileItWaitsForARetry) {
  Observe("1", {});
  Want(kValid);
  Fail(*Next(), absl::UnavailableError(""));
  Gone();
  EXPECT_EQ(UntilDue(), std::nullopt);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
}

TEST_F(StatusPlanTest, GoneWhileAWriteIsUnderWay) {
  Observe("1", {});
  Want(kValid);
  const auto write = Next();
  Gone();
  plan_->Want(Ref(), std::nullopt, now_);
  EXPECT_EQ(plan_->statistics().waiting, 1U);
  Finish(*write);
  EXPECT_EQ(plan_->statistics().waiting, 0U);
  EXPECT_EQ(UntilDue(), std::nullopt);
}

TEST_F(StatusPlanTest, WithoutPermissionTheWholeKindWaits) {
  for (const char* name : {"a", "b", "c"}) {
    Observe("1", {}, name);
    plan_->Want(Ref(name), kValid, now_);
  }
  Fail(*Next(), absl::PermissionDeniedError("403"));
  EXPECT_FALSE(Next());
  EXPECT_EQ(UntilDue(), 500ms);
  now_ += 500ms;
  const auto write = Next();
  ASSERT_TRUE(write);
  Finish(*write);
  EXPECT_TRUE(Next()) << "the permission is there now";
}

TEST_F(StatusPlanTest, ABadObjectHoldsUpNoOther) {
  for (const char* name : {"a", "b"}) {
    Observe("1", {}, name);
    plan_->Want(Ref(name), kValid, now_);
  }
  Fail(*Next(), absl::UnavailableError("a webhook failed"));
  const auto other = Next();
  ASSERT_TRUE(other);
  EXPECT_EQ(other->ref.name, "b");
}

// ---- The leader ----

TEST_F(StatusPlanTest, ANewLeaderWritesWhatDiffersAndOnlyThat) {
  plan_->SetActive(false, now_);
  ObserveValid("1");
  Want(kValid);
  Observe("1", {}, "other");
  plan_->Want(Ref("other"), kValid, now_);
  EXPECT_FALSE(Next());
  EXPECT_EQ(UntilDue(), std::nullopt);
  EXPECT_EQ(plan_->statistics().waiting, 1U);
  plan_->SetActive(true, now_);
  const auto write = Next();
  ASSERT_TRUE(write);
  EXPECT_EQ(write->ref.name, "other");
  EXPECT_FALSE(Next());
}

TEST_F(StatusPlanTest, ALostLeadershipStopsAtOnce) {
  Restart({.parallel = 1});
  for (const char* name : {"a", "b"}) {
    Observe("1", {}, name);
    plan_->Want(Ref(name), kValid, now_);
  }
  const auto write = Next();
  ASSERT_TRUE(write);
  plan_->SetActive(false, now_);
  // It wasn't sent, as the connection asked once more.
  Fail(*write, absl::FailedPreconditionError("not the leader any more"));
  EXPECT_FALSE(Next());
  EXPECT_EQ(UntilDue(), std::nullopt);
  EXPECT_EQ(plan_->statistics().failures, 0U);
  Observe("2", {"valid", "valid IngressRoute"}, "a");  // by the new leader
  plan_->SetActive(true, now_);
  const auto again = Next();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ref.name, "b");
}

TEST_F(StatusPlanTest, WritesOfAnotherLeaderAreNoFight) {
  plan_->SetActive(false, now_);
  Want(kValid);
  for (int i = 0; i < 20; ++i) {
    ObserveValid("1");
    Observe("2", {"valid", "of another version"});
  }
  plan_->SetActive(true, now_);
  EXPECT_TRUE(Next());
  EXPECT_EQ(plan_->statistics().overwritten, 0U);
}

// ---- Fights ----

// Changes the status as soon as it is right. Returns how long each repair waited.
std::vector<milliseconds> Waits(int blows, const std::function<milliseconds()>& blow) {
  std::vector<milliseconds> waits;
  for (int i = 0; i < blows; ++i) waits.push_back(blow());
  return waits;
}

TEST_F(StatusPlanTest, AFightIsNoticedSlowedAndNamed) {
  ObserveValid("0");
  Want(kValid);
  int version = 0;
  const auto blow = [&] {
    now_ += 10ms;
    Observe(std::to_string(++version), {"valid", "theirs"});
    const milliseconds wait = UntilDue().value();
    EXPECT_EQ(Next().has_value(), wait == 0ms);
    now_ += wait;
    EXPECT_EQ(Next().has_value(), wait > 0ms);
    Finish({Ref(), std::to_string(version), kValid});
    ObserveValid(std::to_string(++version));
    return wait;
  };
  EXPECT_THAT(Waits(8, blow),
              testing::ElementsAre(0ms, 0ms, 0ms, 0ms, 1000ms, 2000ms, 4000ms, 8000ms));
  EXPECT_EQ(plan_->statistics().fights, 1U);
  EXPECT_EQ(plan_->statistics().overwritten, 8U);
  EXPECT_EQ(plan_->NextInquiry(), Ref());
  EXPECT_EQ(plan_->NextInquiry(), std::nullopt) << "once";
  plan_->Inquired(Ref(), R"({"metadata":{"managedFields":[
      {"manager":"operator","subresource":"status","time":"2026-01-01T00:00:00Z"}]}})");
  const std::vector<StatusPlan::Fight> fights = plan_->Fights(10, now_);
  ASSERT_EQ(fights.size(), 1U);
  EXPECT_EQ(fights[0].ref, Ref());
  EXPECT_EQ(fights[0].writer, "operator");
  EXPECT_EQ(fights[0].overwrites, 8U);
  EXPECT_TRUE(plan_->Fights(0, now_).empty());
  for (int i = 0; i < 10; ++i) blow();
  EXPECT_EQ(blow(), 300'000ms)
      << "no longer than five minutes, though that is longer than the window";

  now_ += 60'001ms;
  EXPECT_TRUE(plan_->Fights(10, now_).empty());
  EXPECT_EQ(blow(), 0ms) << "a minute of peace ends it";
  EXPECT_EQ(plan_->statistics().fights, 1U);
}

TEST_F(StatusPlanTest, FarApartIsNoFight) {
  ObserveValid("0");
  Want(kValid);
  for (int i = 1; i < 20; ++i) {
    now_ += 61s;
    Observe(std::to_string(2 * i), {"valid", "theirs"});
    ASSERT_EQ(UntilDue(), 0ms);
    Finish(*Next());
    ObserveValid(std::to_string(2 * i + 1));
  }
  EXPECT_EQ(plan_->statistics().fights, 0U);
}

TEST_F(StatusPlanTest, AFightEndsWithItsObject) {
  ObserveValid("0");
  Want(kValid);
  for (int i = 1; i <= 5; ++i) {
    Observe(std::to_string(2 * i), {"valid", "theirs"});
    if (const auto write = Next()) Finish(*write);
  }
  ASSERT_EQ(plan_->Fights(10, now_).size(), 1U);
  Gone();
  EXPECT_EQ(plan_->NextInquiry(), std::nullopt);
  plan_->Inquired(Ref(), "");  // an answer that comes late
  EXPECT_TRUE(plan_->Fights(10, now_).empty());
  EXPECT_EQ(UntilDue(), std::nullopt);
}

}  // namespace
}  // namespace contour::status
