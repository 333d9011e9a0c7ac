// SPDX-License-Identifier: Apache-2.0
// Tests the rules of list and watch, with a transport and a clock that the test controls.

#include "kube/cluster_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "kube/discovery.h"
#include "kube/testing_io.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kServices[] = "/api/v1/services";
constexpr char kRoutes[] = "/apis/contour.heptio.com/v1beta1/ingressroutes";
constexpr char kSecrets[] = "/api/v1/secrets";
constexpr const char* kOthers[] = {
    "/apis/discovery.k8s.io/v1/endpointslices",
    kSecrets,
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/networking.k8s.io/v1/ingressclasses",
    kRoutes,
    "/apis/contour.heptio.com/v1beta1/tlscertificatedelegations",
};

class ClusterSourceTest : public testing::Test {
 protected:
  void StartSource(ClusterSourceOptions options = {}) {
    ServerConfig config;
    config.server = "http://server";
    config.token.text = "secret";
    credentials_ = *Credentials::Create(config);
    source_ = std::make_unique<ClusterSource>(credentials_, std::move(options), io_, io_);
    source_->Start(sink_);
  }
  // Answers the first lists of all kinds but Service with empty lists. Their watches stay open.
  void ListOthers() {
    for (const char* path : kOthers) io_.Next(path).Head(200).Body(BookmarkAt(path, 1));
  }
  KindStats Stats(api::Kind kind) {
    for (const KindStats& stats : source_->GetStats().kinds) {
      if (stats.kind == kind) return stats;
    }
    ADD_FAILURE();
    return {};
  }
  // Answers the first lists of all kinds but the one at this path.
  void ListAllBut(std::string_view path) {
    ListServices({}, 9);
    for (const char* other : kOthers) {
      if (other != path) io_.Next(other).Head(200).Body(BookmarkAt(other, 1));
    }
  }
  // Returns the open request for Services, listed up to `version` with the given objects.
  FakeIo::Exchange& ListServices(const std::vector<std::string>& objects, int version) {
    FakeIo::Exchange& watch = io_.Next(kServices).Head(200);
    for (const std::string& object : objects) watch.Body(Event("ADDED", object));
    return watch.Body(Bookmark(version, true));
  }

  FakeIo io_;
  RecordingSink sink_;
  std::shared_ptr<Credentials> credentials_;
  std::unique_ptr<ClusterSource> source_;
};

TEST_F(ClusterSourceTest, AsksForStreamingListsOfAllKinds) {
  StartSource();
  const FakeIo::Exchange& list = io_.Next(kServices);
  EXPECT_EQ(list.path(),
            "/api/v1/services?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
            "allowWatchBookmarks=true&timeoutSeconds=450");
  EXPECT_EQ(list.header("Authorization"), "Bearer secret");
  EXPECT_EQ(list.header("Accept"), "application/json");
  EXPECT_FALSE(list.request.accept_gzip);
  EXPECT_FALSE(list.request.timeout.has_value());
  for (const char* path : kOthers) EXPECT_EQ(io_.Count(path), 1) << path;
  EXPECT_EQ(io_.Count("/api/v1/endpoints"), 0);
  EXPECT_THAT(io_.Next(kSecrets).path(),
              HasSubstr("&fieldSelector=type%21%3Dhelm.sh%2Frelease.v1%2C"
                        "type%21%3Dkubernetes.io%2Fservice-account-token"));
}

TEST_F(ClusterSourceTest, CommitsAtTheAnnotatedBookmarkNotBefore) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list = io_.Next(kServices).Head(200);
  list.Body(Event("ADDED", ServiceJson("a", 5)) + Event("ADDED", ServiceJson("b", 6)));
  EXPECT_EQ(sink_.Take(), "");
  list.Body(Bookmark(9, true));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 +Service default/b@6 | synced");
  // The same request goes on as the watch.
  list.Body(Event("MODIFIED", ServiceJson("a", 10)) + Event("DELETED", ServiceJson("b", 11)) +
            Event("ADDED", ServiceJson("c", 12)));
  EXPECT_EQ(sink_.Take(), "+Service default/a@10 -Service default/b +Service default/c@12 |");
  EXPECT_EQ(io_.Count(kServices), 1);
}

TEST_F(ClusterSourceTest, EventsSplitAnywhere) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list = io_.Next(kServices).Head(200);
  const std::string text = Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true) +
                           Event("MODIFIED", ServiceJson("a", 10));
  for (const char c : text) list.Body(std::string(1, c));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 | synced +Service default/a@10 |");
}

TEST_F(ClusterSourceTest, ListBrokenOffChangesNothing) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list = io_.Next(kServices).Head(200);
  list.Body(Event("ADDED", ServiceJson("a", 5)));
  list.End(absl::UnavailableError("connection reset"));
  EXPECT_EQ(sink_.Take(), "");
  io_.Advance(1s);
  io_.Next(kServices).Answer(200, ListJson(9, "", {ServiceJson("b", 7)}));
  EXPECT_EQ(sink_.Take(), "+Service default/b@7 | synced");
}

TEST_F(ClusterSourceTest, FallsBackToPagesIfTheServerKnowsNoStreamingLists) {
  StartSource();
  ListOthers();
  io_.Next(kServices).Answer(422, StatusJson(422, "Invalid"));
  FakeIo::Exchange& first = io_.Next(kServices);
  EXPECT_EQ(first.path(), "/api/v1/services?limit=500");
  EXPECT_TRUE(first.request.accept_gzip);
  first.Answer(200, ListJson(20, "a+b/c", {ServiceJson("a", 5)}));
  EXPECT_EQ(sink_.Take(), "") << "half a list was committed";
  FakeIo::Exchange& second = io_.Next(kServices);
  EXPECT_EQ(second.path(), "/api/v1/services?limit=500&continue=a%2Bb%2Fc");
  second.Answer(200, ListJson(20, "", {ServiceJson("b", 6)}));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 +Service default/b@6 | synced");
  FakeIo::Exchange& watch = io_.Next(kServices);
  EXPECT_THAT(watch.path(),
              AllOf(HasSubstr("watch=true&resourceVersion=20&allowWatchBookmarks=true"),
                    Not(HasSubstr("sendInitialEvents"))));
  watch.Head(200).Body(Event("DELETED", ServiceJson("a", 21)));
  EXPECT_EQ(sink_.Take(), "-Service default/a |");
  // The failure is known now, so the next list is made of pages at once.
  watch.Body(Event("ERROR", StatusJson(410, "Expired")));
  EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
}

TEST_F(ClusterSourceTest, ItemsOfAListMayOmitTheirKind) {
  ClusterSourceOptions options;
  options.watch.streaming_lists = false;
  StartSource(options);
  io_.Next(kServices).Answer(
      200,
      R"({"apiVersion":"v1","kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[{"metadata":{"namespace":"x","name":"y","resourceVersion":"3"}}]})");
  EXPECT_EQ(sink_.Take(), "+Service x/y@3 |");
}

TEST_F(ClusterSourceTest, PlainBookmarkInAStreamingListIsNoCommit) {
  StartSource();
  ListOthers();
  io_.Next(kServices).Head(200).Body(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, false));
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
}

TEST_F(ClusterSourceTest, AStreamingListThatEndsWithoutItsBookmarkBecomesPages) {
  StartSource();
  ListOthers();
  io_.Next(kServices).Head(200).Body(Event("ADDED", ServiceJson("a", 5))).End();
  EXPECT_EQ(sink_.Take(), "");
  FakeIo::Exchange& page = io_.Next(kServices);
  EXPECT_EQ(page.path(), "/api/v1/services?limit=500");
  page.Answer(200, ListJson(9, "", {ServiceJson("a", 5)}));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 | synced");
}

TEST_F(ClusterSourceTest, AStreamingListThatEndsInAnErrorEventBecomesPages) {
  for (const int code : {400, 403, 410, 500, 503}) {
    SCOPED_TRACE(code);
    StartSource();
    io_.Next(kServices).Head(200).Body(Event("ADDED", ServiceJson("a", 5)) +
                                       Event("ERROR", StatusJson(code, "InternalError")));
    EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
    source_->Stop();
  }
}

TEST_F(ClusterSourceTest, AnErrorEventOfAStreamingListHasItsRetryAfter) {
  StartSource();
  io_.Next(kServices).Head(200).Body(
      Event("ERROR", StatusJson(429, "TooManyRequests", R"(,"details":{"retryAfterSeconds":5})")));
  io_.Advance(4900ms);
  EXPECT_EQ(io_.Find(kServices), nullptr);
  io_.Advance(200ms);
  EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
}

TEST_F(ClusterSourceTest, AStreamingListThatIsAnsweredWithAnErrorBecomesPages) {
  for (const int status : {400, 405, 422, 500, 501, 503, 504}) {
    SCOPED_TRACE(status);
    StartSource();
    io_.Next(kServices).Answer(status, "no");
    io_.Advance(1s);
    EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
    source_->Stop();
  }
}

TEST_F(ClusterSourceTest, AStreamingListWithoutItsBookmarkBecomesPagesAfterTenSeconds) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list = io_.Next(kServices).Head(200);
  io_.Advance(9s);
  list.Body(Event("ADDED", ServiceJson("a", 5)));
  io_.Advance(9s);
  EXPECT_FALSE(list.gone()) << "it goes on as long as something comes";
  io_.Advance(2s);
  EXPECT_TRUE(list.gone());
  EXPECT_EQ(io_.resets(), 0) << "the connection isn't to blame";
  io_.Next(kServices).Answer(200, ListJson(9, "", {ServiceJson("a", 5)}));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 | synced");
}

TEST_F(ClusterSourceTest, GarbageInAStreamingListBecomesPages) {
  for (const std::string& line :
       {std::string("<html>\n"), Event("ADDED", ObjectJson(api::Kind::kSecret, "a", "b", 5)),
        Bookmark(9, true, api::Kind::kSecret),
        std::string(R"({"kind":"Status","metadata":{},"status":"Success"})") + "\n"}) {
    SCOPED_TRACE(line);
    StartSource();
    ListOthers();
    io_.Next(kServices).Head(200).Body(line);
    EXPECT_EQ(sink_.synced(), 0);
    EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
    source_->Stop();
    sink_.Take();
  }
}

TEST_F(ClusterSourceTest, AStreamingListThatBreaksOffBecomesPages) {
  StartSource();
  io_.Next(kServices).Head(200).End(absl::UnavailableError("connection reset"));
  io_.Advance(1s);
  EXPECT_EQ(io_.Next(kServices).path(), "/api/v1/services?limit=500");
}

// A relist of many objects is cheaper as a stream, so that one failure doesn't end them for good.
TEST_F(ClusterSourceTest, TwoFailedStreamingListsInARowAreTheLast) {
  StartSource();
  for (const char* want : {"sendInitialEvents", "sendInitialEvents", "limit=500"}) {
    FakeIo::Exchange& list = io_.Next(kServices);
    EXPECT_THAT(list.path(), HasSubstr(want));
    if (list.path().find("limit") == std::string::npos) {
      list.Head(200).Body(Event("ERROR", StatusJson(500, "InternalError")));
    }
    io_.Next(kServices).Answer(200, ListJson(9, "", {}));
    io_.Next(kServices).Head(200).Body(Bookmark(10) + Event("ERROR", StatusJson(410, "Expired")));
  }
}

TEST_F(ClusterSourceTest, ExpiredContinueTokenStartsTheListOver) {
  ClusterSourceOptions options;
  options.watch.streaming_lists = false;
  StartSource(options);
  ASSERT_EQ(io_.Count(kServices), 1);
  io_.Next(kServices).Answer(200, ListJson(20, "token", {ServiceJson("old", 5)}));
  io_.Next(kServices).Answer(410, StatusJson(410, "Expired"));
  FakeIo::Exchange& again = io_.Next(kServices);
  EXPECT_EQ(again.path(), "/api/v1/services?limit=500");
  again.Answer(200, ListJson(30, "", {ServiceJson("new", 6)}));
  EXPECT_EQ(sink_.Take(), "+Service default/new@6 |");
}

TEST_F(ClusterSourceTest, PageAboveTheLimitIsAskedForInSmallerOnes) {
  ClusterSourceOptions options;
  options.watch.streaming_lists = false;
  options.watch.max_page_bytes = 1000;
  StartSource(options);
  io_.Next(kServices).Head(200).Body(std::string(1001, ' '));
  FakeIo::Exchange& smaller = io_.Next(kServices);
  EXPECT_EQ(smaller.path(), "/api/v1/services?limit=125");
  smaller.Answer(200, ListJson(9, "", {ServiceJson("a", 5)}));
  EXPECT_EQ(sink_.Take(), "+Service default/a@5 |");
}

TEST_F(ClusterSourceTest, WatchGoesOnFromTheLastResourceVersion) {
  StartSource();
  FakeIo::Exchange& list = ListServices({ServiceJson("a", 5)}, 9);
  struct Row {
    std::string event;
    std::string want;
  };
  FakeIo::Exchange* watch = &list;
  for (const Row& row : {Row{"", "resourceVersion=9&"},
                         Row{Event("MODIFIED", ServiceJson("a", 12)), "resourceVersion=12&"},
                         Row{Bookmark(30), "resourceVersion=30&"},
                         Row{Event("DELETED", ServiceJson("a", 31)), "resourceVersion=31&"}}) {
    watch->Body(row.event);
    io_.Advance(1min);
    watch->End();
    watch = &io_.Next(kServices);
    EXPECT_THAT(watch->path(), HasSubstr(row.want));
    watch->Head(200);
  }
}

TEST_F(ClusterSourceTest, WatchTimesAreBetweenFiveAndTenMinutes) {
  StartSource();
  ListOthers();
  FakeIo::Exchange* watch = &ListServices({}, 9);
  for (const auto& [random, want] :
       {std::pair{0.0, 300}, std::pair{0.25, 375}, std::pair{0.999, 599}}) {
    io_.set_random(random);
    io_.Advance(40s);
    watch->End();
    watch = &io_.Next(kServices);
    EXPECT_THAT(watch->path(), HasSubstr(fmt::format("timeoutSeconds={}", want)));
    watch->Head(200);
  }
}

TEST_F(ClusterSourceTest, GoneInsideAWatchListsAgainAndDeliversOnlyDifferences) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list =
      ListServices({ServiceJson("same", 1), ServiceJson("changed", 2), ServiceJson("gone", 3)}, 9);
  EXPECT_THAT(sink_.Take(), HasSubstr("synced"));
  list.Body(Event("ERROR", StatusJson(410, "Expired")));
  EXPECT_TRUE(list.gone());
  FakeIo::Exchange& again = ListServices(
      {ServiceJson("same", 1), ServiceJson("changed", 22), ServiceJson("new", 21)}, 29);
  EXPECT_EQ(sink_.Take(),
            "+Service default/changed@22 +Service default/new@21 -Service default/gone |");
  again.Body(Event("MODIFIED", ServiceJson("same", 30)));
  EXPECT_EQ(sink_.Take(), "+Service default/same@30 |");
  EXPECT_EQ(Stats(api::Kind::kService).lists, 2u);
  EXPECT_EQ(Stats(api::Kind::kService).objects, 3u);
}

TEST_F(ClusterSourceTest, ARelistThatFindsNothingNewDeliversNothing) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& list = ListServices({ServiceJson("a", 1)}, 9);
  sink_.Take();
  list.Body(Event("ERROR", StatusJson(410, "Expired")));
  ListServices({ServiceJson("a", 1)}, 20);
  EXPECT_EQ(sink_.Take(), "");
}

TEST_F(ClusterSourceTest, GoneAsStatusListsAgainAtOnceThenWithBackoff) {
  StartSource();
  FakeIo::Exchange& list = ListServices({}, 9);
  io_.Advance(1min);
  list.End();
  io_.Next(kServices).Answer(410, StatusJson(410, "Expired"));
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("sendInitialEvents"));
  ListServices({}, 20).Body(Event("ERROR", StatusJson(410, "Expired")));
  EXPECT_EQ(io_.Find(kServices), nullptr) << "lists in a loop without pause";
  io_.Advance(1s);
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("sendInitialEvents"));
}

TEST_F(ClusterSourceTest, ARestoredServerIsListedAgain) {
  StartSource();
  FakeIo::Exchange& list = ListServices({ServiceJson("a", 50)}, 100);
  io_.Advance(1min);
  list.End();
  io_.Next(kServices).Answer(
      504, StatusJson(504, "Timeout",
                      R"(,"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]})"));
  FakeIo::Exchange& second = ListServices({ServiceJson("a", 40)}, 60);
  EXPECT_THAT(sink_.Take(), HasSubstr("+Service default/a@40"));
  // Or it accepts the watch and then sends an older bookmark.
  second.Body(Bookmark(70)).Body(Bookmark(65));
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("sendInitialEvents"));
}

TEST_F(ClusterSourceTest, AnEventFromThePastIsNotBelieved) {
  StartSource();
  FakeIo::Exchange& watch = ListServices({ServiceJson("a", 5)}, 20);
  sink_.Take();
  watch.Body(Event("MODIFIED", ServiceJson("a", 7)));
  EXPECT_EQ(sink_.Take(), "");
  ListServices({ServiceJson("a", 21)}, 22);
  EXPECT_EQ(sink_.Take(), "+Service default/a@21 |");
}

TEST_F(ClusterSourceTest, AWatchFromTheFutureIsFoundOut) {
  StartSource();
  ListServices({ServiceJson("a", 50)}, 100).End(absl::UnavailableError("connection reset"));
  io_.Advance(1s);
  FakeIo::Exchange& watch = io_.Next(kServices).Head(200);
  sink_.Take();
  io_.Advance(900ms);
  EXPECT_FALSE(watch.gone());
  io_.Advance(200ms);
  EXPECT_TRUE(watch.gone());
  FakeIo::Exchange& check = io_.Next(kServices);
  EXPECT_EQ(check.path(), "/api/v1/services?limit=1");
  check.Answer(200, ListJson(60, "", {ServiceJson("a", 40)}));
  EXPECT_EQ(sink_.Take(), "");
  ListServices({ServiceJson("a", 40)}, 60);
  EXPECT_EQ(sink_.Take(), "+Service default/a@40 |");
}

TEST_F(ClusterSourceTest, HistoryIsCheckedOnceAndNotIfAnythingIsReceived) {
  StartSource();
  ListServices({ServiceJson("a", 50)}, 100).End(absl::UnavailableError("connection reset"));
  io_.Advance(1s);
  io_.Next(kServices).Head(200);
  io_.Advance(11s);
  io_.Next(kServices).Answer(200, ListJson(100, "", {ServiceJson("a", 50)}));
  FakeIo::Exchange& watch = io_.Next(kServices).Head(200);
  EXPECT_THAT(watch.path(), HasSubstr("watch=true&resourceVersion=100"));
  io_.Advance(1min);
  EXPECT_FALSE(watch.gone());
  watch.End(absl::UnavailableError("connection reset"));
  io_.Advance(1s);
  FakeIo::Exchange& next = io_.Next(kServices).Head(200);
  next.Body(Event("MODIFIED", ServiceJson("a", 101)));
  io_.Advance(1min);
  EXPECT_FALSE(next.gone());
}

TEST_F(ClusterSourceTest, BackoffGrowsFromLessThanOneSecondToThirty) {
  StartSource();
  io_.set_random(0.5);  // no jitter
  std::vector<std::chrono::milliseconds> waits;
  for (int i = 0; i < 8; ++i) {
    io_.Next(kServices).Answer(500, StatusJson(500, "InternalError"));
    const TimePoint begin = io_.Now();
    while (io_.Find(kServices) == nullptr) io_.Advance(10ms);
    waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(io_.Now() - begin));
  }
  EXPECT_THAT(waits, testing::ElementsAre(800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30000ms,
                                          30000ms));
  // Once it works, the failures don't count any more.
  io_.Next(kServices).Answer(200, ListJson(9, "", {}));
  io_.Next(kServices).End(absl::UnavailableError("reset"));
  io_.Advance(800ms);
  EXPECT_NE(io_.Find(kServices), nullptr);
}

TEST_F(ClusterSourceTest, BackoffIsJittered) {
  StartSource();
  for (const auto& [random, want] : {std::pair{0.0, 600ms}, std::pair{0.999, 2000ms}}) {
    io_.set_random(random);
    io_.Next(kServices).Answer(500, "");
    io_.Advance(want - 20ms);
    EXPECT_EQ(io_.Find(kServices), nullptr);
    io_.Advance(20ms);
    EXPECT_NE(io_.Find(kServices), nullptr);
  }
}

TEST_F(ClusterSourceTest, RetryAfterIsKept) {
  for (const bool in_body : {false, true}) {
    SCOPED_TRACE(in_body);
    StartSource();
    if (in_body) {
      io_.Next(kServices).Answer(
          429, StatusJson(429, "TooManyRequests", R"(,"details":{"retryAfterSeconds":7})"));
    } else {
      io_.Next(kServices).Answer(503, "upstream not ready", 7s);
    }
    io_.Advance(6900ms);
    EXPECT_EQ(io_.Find(kServices), nullptr);
    io_.Advance(200ms);
    EXPECT_NE(io_.Find(kServices), nullptr);
    source_->Stop();
  }
}

TEST_F(ClusterSourceTest, WhoWaitsForTheServerIsWokenWhenAnotherGetsThrough) {
  StartSource();
  for (int i = 0; i < 5; ++i) {  // the backoff of services is at 12.8 s now
    io_.Next(kServices).End(absl::UnavailableError("connection refused"));
    io_.Advance(i < 4 ? 800ms * (1 << i) : 0ms);
  }
  ASSERT_EQ(io_.Find(kServices), nullptr);
  io_.Next(kRoutes).Head(200);
  io_.Advance(200ms);
  ASSERT_NE(io_.Find(kServices), nullptr);
  // It is asked only once: a server that answers and then closes isn't asked more often.
  io_.Next(kServices).End(absl::UnavailableError("connection reset"));
  io_.Next(kSecrets).Head(200);
  io_.Advance(200ms);
  EXPECT_EQ(io_.Find(kServices), nullptr);
}

TEST_F(ClusterSourceTest, AServerOnItsWayUpIsTriedSoon) {
  StartSource();
  for (int i = 0; i < 7; ++i) {
    io_.Next(kServices).End(absl::UnavailableError("connection refused"));
    io_.Advance(31s);
  }
  io_.Next(kServices).Answer(403, StatusJson(403, "Forbidden"));
  io_.Advance(800ms);
  EXPECT_NE(io_.Find(kServices), nullptr);
}

TEST_F(ClusterSourceTest, AWatchThatEndsAtOnceIsNotOpenedInALoop) {
  StartSource();
  ListServices({}, 9).End();
  EXPECT_EQ(io_.Find(kServices), nullptr);
  io_.Advance(900ms);
  EXPECT_NE(io_.Find(kServices), nullptr);
}

TEST_F(ClusterSourceTest, SilenceOnAllWatchesGivesUpTheConnection) {
  StartSource();
  ListOthers();
  FakeIo::Exchange& watch = ListServices({}, 9);
  io_.Advance(140s);
  watch.Body(Bookmark(10));
  io_.Advance(20s);  // the others are silent for 160 s now, but the connection lives
  EXPECT_EQ(io_.resets(), 0);
  EXPECT_FALSE(watch.gone());
  for (const char* path : kOthers) EXPECT_EQ(io_.Count(path), 2) << path;
  for (const char* path : kOthers) io_.Next(path).Head(200).Body(Bookmark(11, false, KindAt(path)));
  io_.Advance(151s);
  EXPECT_GE(io_.resets(), 1);
  EXPECT_TRUE(watch.gone());
  io_.Advance(2s);
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("resourceVersion=10&"));
  EXPECT_EQ(sink_.synced(), 1);
}

TEST_F(ClusterSourceTest, BookmarksKeepAWatchOpen) {
  StartSource();
  FakeIo::Exchange& watch = ListServices({}, 9);
  for (int i = 0; i < 20; ++i) {
    io_.Advance(1min);
    watch.Body(Bookmark(10 + i));
  }
  EXPECT_FALSE(watch.gone());
}

TEST_F(ClusterSourceTest, AnAnswerThatDoesNotComeIsNotWaitedForForEver) {
  StartSource();
  FakeIo::Exchange& list = io_.Next(kServices);
  io_.Advance(71s);
  EXPECT_TRUE(list.gone());
}

TEST_F(ClusterSourceTest, AKindThatDiscoveryLacksCountsAsListedAndIsNoticedWhenItAppears) {
  StartSource();
  ListAllBut(kRoutes);
  io_.Next(kRoutes).Answer(404, "404 page not found\n");
  EXPECT_EQ(sink_.synced(), 0) << "a 404 of the list proves nothing";
  io_.NextAt(kGroupsPath).Answer(200, GroupsJson({}));
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_TRUE(Stats(api::Kind::kIngressRoute).absent);
  EXPECT_EQ(Stats(api::Kind::kIngressRoute).last_error, "");
  EXPECT_EQ(Stats(api::Kind::kIngressRoute).unknown_for, std::nullopt);
  io_.Advance(13s);
  io_.Next(kRoutes).Answer(404, "404 page not found\n");
  EXPECT_THAT(io_.Open(), Not(HasSubstr("/apis "))) << "there is nothing to lose any more";
  io_.Advance(13s);
  io_.Next(kRoutes).Head(200).Body(
      Event("ADDED", ObjectJson(api::Kind::kIngressRoute, "default", "r", 5)) +
      BookmarkAt(kRoutes, 9));
  EXPECT_THAT(sink_.Take(), HasSubstr("+IngressRoute default/r@5 |"));
  EXPECT_FALSE(Stats(api::Kind::kIngressRoute).absent);
}

TEST_F(ClusterSourceTest, AKindThatItsGroupLacksCountsAsListed) {
  StartSource();
  ListAllBut(kRoutes);
  io_.Next(kRoutes).Answer(404, "404 page not found\n");
  io_.NextAt(kGroupsPath).Answer(200, GroupsJson({"contour.heptio.com/v1beta1"}));
  EXPECT_EQ(sink_.synced(), 0);
  io_.Next("/apis/contour.heptio.com/v1beta1")
      .Answer(200, ResourcesJson("contour.heptio.com/v1beta1", {"tlscertificatedelegations"}));
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_TRUE(Stats(api::Kind::kIngressRoute).absent);
}

// A balancer in front of the API server answers like this.
TEST_F(ClusterSourceTest, NotFoundWithoutProofLeavesTheKindUnknown) {
  struct Row {
    int status;
    std::string body;
  };
  for (const Row& discovery :
       {Row{404, "default backend - 404"}, Row{200, "<html>It works!</html>"},
        Row{200, R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})"},
        Row{200, R"({"kind":"APIGroupList","apiVersion":"v1","groups":[]})"},
        Row{200, GroupsJson({}).substr(0, 40)}, Row{403, StatusJson(403, "Forbidden")},
        Row{503, "no healthy upstream"}}) {
    SCOPED_TRACE(discovery.body);
    StartSource();
    ListAllBut(kRoutes);
    for (int i = 0; i < 5; ++i) {
      io_.Next(kRoutes).Answer(404, "default backend - 404");
      io_.NextAt(kGroupsPath).Answer(discovery.status, discovery.body);
      io_.Advance(31s);
    }
    EXPECT_EQ(sink_.synced(), 0);
    EXPECT_FALSE(Stats(api::Kind::kIngressRoute).absent);
    EXPECT_THAT(Stats(api::Kind::kIngressRoute).last_error, HasSubstr("default backend - 404"));
    EXPECT_THAT(NeverKnown(source_->GetStats()), HasSubstr("IngressRoute: HTTP 404"));
    source_->Stop();
  }
}

TEST_F(ClusterSourceTest, AListThatIsNotFoundThoughDiscoveryHasItsKindLeavesItUnknown) {
  StartSource();
  ListAllBut(kRoutes);
  for (int i = 0; i < 5; ++i) {
    io_.Next(kRoutes).Answer(404, "404 page not found\n");
    io_.NextAt(kGroupsPath).Answer(200, GroupsJson({"contour.heptio.com/v1beta1"}));
    io_.Next("/apis/contour.heptio.com/v1beta1")
        .Answer(200, ResourcesJson("contour.heptio.com/v1beta1", {"ingressroutes"}));
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.synced(), 0);
  EXPECT_FALSE(Stats(api::Kind::kIngressRoute).absent);
}

TEST_F(ClusterSourceTest, NotFoundWithoutProofRemovesNothingWhileRunning) {
  StartSource();
  FakeIo::Exchange& watch = io_.Next(kRoutes).Head(200).Body(
      Event("ADDED", ObjectJson(api::Kind::kIngressRoute, "default", "r", 5)) +
      BookmarkAt(kRoutes, 9));
  sink_.Take();
  io_.Advance(1min);
  watch.End();
  for (int answer = 1; answer <= 20; ++answer) {
    io_.Next(kRoutes).Answer(404, "default backend - 404");
    io_.NextAt(kGroupsPath).Answer(404, "default backend - 404");
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_GT(Stats(api::Kind::kIngressRoute).unknown_for, 9min);
  EXPECT_THAT(NotKnownNow(source_->GetStats(), 5s), HasSubstr("IngressRoute: HTTP 404"));
  // The watch goes on where it was.
  FakeIo::Exchange& again = io_.Next(kRoutes);
  EXPECT_THAT(again.path(), HasSubstr("resourceVersion=9&"));
  again.Head(200).Body(Bookmark(10, false, api::Kind::kIngressRoute));
  EXPECT_EQ(NotKnownNow(source_->GetStats(), 0s), "");
}

TEST_F(ClusterSourceTest, ObjectsOfARemovedKindGoAtTheThirdProof) {
  StartSource();
  FakeIo::Exchange& watch = io_.Next(kRoutes).Head(200).Body(
      Event("ADDED", ObjectJson(api::Kind::kIngressRoute, "default", "r", 5)) +
      BookmarkAt(kRoutes, 9));
  sink_.Take();
  io_.Advance(1min);
  watch.End();
  for (int answer = 1; answer <= 3; ++answer) {
    EXPECT_EQ(sink_.Take(), "") << answer;
    io_.Next(kRoutes).Answer(404, "404 page not found\n");
    io_.NextAt(kGroupsPath).Answer(200, GroupsJson({}));
    io_.Advance(4s);
  }
  EXPECT_EQ(sink_.Take(), "-IngressRoute default/r |");
  io_.Advance(13s);
  EXPECT_THAT(io_.Next(kRoutes).path(), HasSubstr("sendInitialEvents"));
}

TEST_F(ClusterSourceTest, NotFoundForAKindThatAlwaysExistsIsAnError) {
  StartSource();
  ListOthers();
  io_.Next(kServices).Answer(404, "404 page not found\n");
  EXPECT_EQ(sink_.synced(), 0);
  EXPECT_FALSE(Stats(api::Kind::kService).absent);
  EXPECT_THAT(Stats(api::Kind::kService).last_error, HasSubstr("404"));
}

TEST_F(ClusterSourceTest, AForbiddenKindNeverCountsAsListed) {
  StartSource();
  ListAllBut(kSecrets);
  for (int i = 0; i < 20; ++i) {
    io_.Next(kSecrets).Answer(403, StatusJson(403, "Forbidden"));
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.synced(), 0);
  const KindStats stats = Stats(api::Kind::kSecret);
  EXPECT_TRUE(stats.forbidden);
  EXPECT_EQ(stats.missing_right, "watch secrets in all namespaces");
  EXPECT_EQ(NeverKnown(source_->GetStats()),
            "Secret: HTTP 403 Forbidden: words (missing right: watch secrets in all namespaces)");
  EXPECT_FALSE(IsAway(source_->GetStats()));
  io_.Next(kSecrets).Head(200).Body(BookmarkAt(kSecrets, 9));
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_FALSE(Stats(api::Kind::kSecret).forbidden);
  EXPECT_EQ(NeverKnown(source_->GetStats()), "");
}

TEST_F(ClusterSourceTest, TheMissingRightIsNamedWithVerbResourceGroupAndNamespace) {
  ClusterSourceOptions options;
  options.watch.streaming_lists = false;
  options.watch_namespaces = {"a"};
  StartSource(options);
  io_.Next("/apis/contour.heptio.com/v1beta1/namespaces/a/ingressroutes")
      .Answer(403, StatusJson(403, "Forbidden"));
  EXPECT_EQ(Stats(api::Kind::kIngressRoute).missing_right,
            "list ingressroutes.contour.heptio.com in namespace a");
}

TEST_F(ClusterSourceTest, AKindThatIsForbiddenWhileRunningKeepsWhatWasKnown) {
  StartSource();
  ListAllBut(kSecrets);
  const std::string secret =
      ObjectJson(api::Kind::kSecret, "default", "s", 7, R"(,"type":"kubernetes.io/tls")");
  FakeIo::Exchange& watch =
      io_.Next(kSecrets).Head(200).Body(Event("ADDED", secret) + BookmarkAt(kSecrets, 9));
  sink_.Take();
  io_.Advance(1min);
  watch.End();
  for (int i = 0; i < 6; ++i) {
    io_.Next(kSecrets).Answer(403, StatusJson(403, "Forbidden"));
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_EQ(sink_.state().count("Secret default/s"), 1u);
  EXPECT_THAT(NotKnownNow(source_->GetStats(), 5s), HasSubstr("missing right: watch secrets"));
  EXPECT_EQ(NeverKnown(source_->GetStats()), "");
  EXPECT_THAT(io_.Next(kSecrets).path(), HasSubstr("resourceVersion=9&"));
}

TEST_F(ClusterSourceTest, WithoutAKindItIsNotReadAtAll) {
  ClusterSourceOptions options;
  options.without = {api::Kind::kSecret, api::Kind::kIngressRoute};
  StartSource(options);
  EXPECT_EQ(io_.Count(kSecrets), 0);
  EXPECT_EQ(io_.Count(kRoutes), 0);
  ListServices({}, 9);
  for (const char* path : kOthers) {
    if (path == kSecrets || path == kRoutes) continue;
    io_.Next(path).Head(200).Body(BookmarkAt(path, 1));
  }
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_EQ(source_->GetStats().kinds.size(), 5u);
}

// A contour that is limited to namespaces need not have a right to cluster-wide kinds.
TEST_F(ClusterSourceTest, WithNamespacesAForbiddenIngressClassIsLeftOut) {
  constexpr char kClasses[] = "/apis/networking.k8s.io/v1/ingressclasses";
  ClusterSourceOptions options;
  options.watch_namespaces = {"a"};
  StartSource(options);
  for (const api::Kind kind :
       {api::Kind::kService, api::Kind::kEndpointSlice, api::Kind::kSecret, api::Kind::kIngress,
        api::Kind::kIngressRoute, api::Kind::kTLSCertificateDelegation}) {
    io_.Next(CollectionPath(kind, "a")).Head(200).Body(Bookmark(1, true, kind));
  }
  io_.Next(kClasses).Answer(403, StatusJson(403, "Forbidden"));
  EXPECT_EQ(sink_.synced(), 0) << "an API server on its way up also says 403";
  for (int i = 0; i < 3; ++i) {
    io_.Advance(800ms * (1 << i));
    io_.Next(kClasses).Answer(403, StatusJson(403, "Forbidden"));
  }
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_TRUE(Stats(api::Kind::kIngressClass).left_out);
  EXPECT_EQ(Stats(api::Kind::kIngressClass).unknown_for, std::nullopt);
  io_.Advance(31s);
  io_.Next(kClasses).Head(200).Body(BookmarkAt(kClasses, 9));
  EXPECT_FALSE(Stats(api::Kind::kIngressClass).left_out);
}

TEST_F(ClusterSourceTest, WithNamespacesAnIngressClassThatFailsOtherwiseIsWaitedFor) {
  constexpr char kClasses[] = "/apis/networking.k8s.io/v1/ingressclasses";
  ClusterSourceOptions options;
  options.watch_namespaces = {"a"};
  StartSource(options);
  for (int i = 0; i < 6; ++i) {
    io_.Next(kClasses).Answer(503, "no healthy upstream");
    io_.Advance(31s);
  }
  EXPECT_FALSE(Stats(api::Kind::kIngressClass).left_out);
  EXPECT_FALSE(Stats(api::Kind::kIngressClass).synced);
}

// An answer of another server, to either way of listing, at the start and while running, counts as
// no list and removes nothing.
TEST_F(ClusterSourceTest, AnAnswerOfAnotherServerIsNoList) {
  struct Row {
    int status;
    std::string body;
  };
  const std::vector<Row> rows = {
      {200, "<html><body>It works!</body></html>"},
      {200, "ok"},
      {200, ""},
      {200, R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})"},
      {200, ListJson(30, "", {}, api::Kind::kSecret)},
      {200, ListJson(30, "", {ObjectJson(api::Kind::kSecret, "default", "a", 5)})},
      {200, ListJson(30, "", {ServiceJson("", 5)})},
      {200, R"({"apiVersion":"v1","kind":"ServiceList","metadata":{"resourceVersion":"30"}})"},
      {200,
       R"({"apiVersion":"v1","kind":"ServiceList","metadata":{"resourceVersion":"30"},"items":null})"},
      {200, ListJson(30, "", {ServiceJson("b", 5)}).substr(0, 90)},
      {404, "default backend - 404"},
      {503, "<html>503 Service Unavailable</html>"},
      {502, ""},
      {403, StatusJson(403, "Forbidden")},
      {401, StatusJson(401, "Unauthorized")},
      {302, ""},
  };
  for (const bool streaming : {true, false}) {
    for (const bool known : {false, true}) {
      for (const Row& row : rows) {
        SCOPED_TRACE(fmt::format("{} {} {}{}", row.status, row.body, streaming ? "streaming " : "",
                                 known ? "known" : ""));
        ClusterSourceOptions options;
        options.watch.streaming_lists = streaming;
        StartSource(options);
        if (known) {
          if (streaming) {
            ListServices({ServiceJson("a", 5)}, 9).Body(Event("ERROR", StatusJson(410, "Expired")));
          } else {
            io_.Next(kServices).Answer(200, ListJson(9, "", {ServiceJson("a", 5)}));
            io_.Next(kServices).Answer(410, StatusJson(410, "Expired"));
          }
        }
        sink_.Take();
        for (int i = 0; i < 6; ++i) {
          if (auto* const request = io_.Find(kServices)) request->Answer(row.status, row.body);
          io_.Advance(31s);
        }
        EXPECT_EQ(sink_.Take(), "");
        const KindStats stats = Stats(api::Kind::kService);
        EXPECT_EQ(stats.synced, known);
        EXPECT_TRUE(stats.unknown_for.has_value());
        EXPECT_NE(known ? NotKnownNow(source_->GetStats(), 5s) : NeverKnown(source_->GetStats()),
                  "");
        source_->Stop();
      }
    }
  }
}

TEST_F(ClusterSourceTest, AWatchAnsweredByAnotherLeavesTheKindUnknownAllTheTime) {
  StartSource();
  FakeIo::Exchange& watch = ListServices({ServiceJson("a", 5)}, 9);
  sink_.Take();
  io_.Advance(1min);
  watch.End();
  for (int i = 0; i < 10; ++i) {
    io_.Next(kServices).Answer(200, "<html>\n<body>It works!</body></html>\n");
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_GT(Stats(api::Kind::kService).unknown_for, 5min) << "a status of 200 isn't enough";
  EXPECT_THAT(NotKnownNow(source_->GetStats(), 5s), HasSubstr("Service: not JSON"));
}

TEST_F(ClusterSourceTest, AWatchThatEndsWithinALineIsNone) {
  StartSource();
  ListServices({ServiceJson("a", 5)}, 9).End();
  io_.Advance(1s);
  FakeIo::Exchange& watch = io_.Next(kServices).Head(200).Body("ok");
  io_.Advance(1s);
  watch.End();
  EXPECT_THAT(Stats(api::Kind::kService).last_error, HasSubstr("within a line"));
  EXPECT_EQ(io_.Find(kServices), nullptr) << "not again at once";
}

// Bookmarks come once a minute: a watch that stays open is one, too.
TEST_F(ClusterSourceTest, AWatchThatStaysOpenIsKnownAgain) {
  StartSource();
  ListServices({}, 9).End(absl::UnavailableError("connection reset"));
  io_.Advance(1s);
  io_.Next(kServices).Head(200);
  EXPECT_TRUE(Stats(api::Kind::kService).unknown_for.has_value());
  io_.Advance(1100ms);  // the check of the history
  io_.Next(kServices).Answer(200, ListJson(9, "", {}));
  io_.Next(kServices).Head(200);
  io_.Advance(5s);
  EXPECT_EQ(Stats(api::Kind::kService).unknown_for, std::nullopt);
}

TEST_F(ClusterSourceTest, AnEventThatWasLeftOutOfAListDeletesNothing) {
  ClusterSourceOptions options;
  options.watch.max_event_bytes = 400;
  StartSource(options);
  ListServices({ServiceJson("a", 5), ServiceJson("b", 6)}, 9)
      .Body(Event("ERROR", StatusJson(410, "Expired")));
  sink_.Take();
  const std::string large = ObjectJson(api::Kind::kService, "default", "b", 10,
                                       fmt::format(R"(,"x":"{}")", std::string(500, 'x')));
  ListServices({ServiceJson("a", 5), large}, 20);
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_EQ(sink_.state().count("Service default/b"), 1u);
}

TEST_F(ClusterSourceTest, AContinueTokenThatExpiresHalfwayDeletesNothing) {
  ClusterSourceOptions options;
  options.watch.streaming_lists = false;
  StartSource(options);
  io_.Next(kServices).Answer(200, ListJson(9, "", {ServiceJson("a", 5), ServiceJson("b", 6)}));
  io_.Next(kServices).Answer(410, StatusJson(410, "Expired"));
  sink_.Take();
  for (int i = 0; i < 4; ++i) {
    io_.Next(kServices).Answer(200, ListJson(20, "token", {ServiceJson("a", 5)}));
    io_.Next(kServices).Answer(410, StatusJson(410, "Expired"));
    io_.Advance(31s);
  }
  EXPECT_EQ(sink_.Take(), "");
}

TEST_F(ClusterSourceTest, IsAwayOnlyIfTheServerCannotBeReached) {
  StartSource();
  EXPECT_FALSE(IsAway(source_->GetStats()));
  io_.Next(kServices).End(absl::UnavailableError("connection refused"));
  EXPECT_TRUE(IsAway(source_->GetStats()));
  EXPECT_EQ(NeverKnown(source_->GetStats()), "");
  io_.Next(kSecrets).Answer(503, "no healthy upstream");
  EXPECT_FALSE(IsAway(source_->GetStats()));
  EXPECT_THAT(NeverKnown(source_->GetStats()), HasSubstr("Secret: HTTP 503"));
}

// The object could be used when the list began, but not when it ended, as after two events of a
// watch.
TEST_F(ClusterSourceTest, ASecretThatBecomesUnusableWithinAListIsNotKept) {
  const auto secret = [](int version, std::string_view data) {
    return ObjectJson(api::Kind::kSecret, "default", "ca", version,
                      fmt::format(R"(,"type":"Opaque","data":{{"{}":"eA=="}})", data));
  };
  StartSource();
  FakeIo::Exchange& watch = io_.Next(kSecrets).Head(200).Body(
      Event("ADDED", secret(2, "ca.crt")) + Event("MODIFIED", secret(3, "other")) +
      BookmarkAt(kSecrets, 9));
  EXPECT_EQ(sink_.state().count("Secret default/ca"), 0u);
  EXPECT_EQ(Stats(api::Kind::kSecret).objects, 0u);
  watch.Body(Event("MODIFIED", secret(10, "ca.crt")));
  EXPECT_EQ(sink_.state().count("Secret default/ca"), 1u);
}

TEST_F(ClusterSourceTest, UnusableSecretsAreNotDelivered) {
  StartSource();
  const auto secret = [](std::string_view name, int version, std::string_view more) {
    return ObjectJson(api::Kind::kSecret, "default", name, version, more);
  };
  FakeIo::Exchange& watch = io_.Next(kSecrets).Head(200).Body(
      Event("ADDED", secret("tls", 1, R"(,"type":"kubernetes.io/tls")")) +
      Event("ADDED", secret("ca", 2, R"(,"type":"Opaque","data":{"ca.crt":"eA=="})")) +
      Event("ADDED", secret("password", 3, R"(,"type":"Opaque","data":{"password":"eA=="})")) +
      BookmarkAt(kSecrets, 9));
  EXPECT_EQ(sink_.Take(), "+Secret default/tls@1 +Secret default/ca@2 |");
  watch.Body(Event("MODIFIED", secret("ca", 10, R"(,"type":"Opaque","data":{"other":"eA=="})")));
  EXPECT_EQ(sink_.Take(), "-Secret default/ca |");
  watch.Body(
      Event("MODIFIED", secret("password", 11, R"(,"type":"Opaque","data":{"password":"eQ=="})")) +
      Event("DELETED", secret("password", 12, R"(,"type":"Opaque")")));
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_EQ(Stats(api::Kind::kSecret).objects, 1u);
}

TEST_F(ClusterSourceTest, ABadObjectHurtsOnlyItself) {
  StartSource();
  ListOthers();
  const auto bad = [](std::string_view name, int version) {
    return ObjectJson(api::Kind::kService, "default", name, version,
                      R"(,"spec":{"ports":[{"port":"http"}]})");
  };
  FakeIo::Exchange& watch =
      ListServices({ServiceJson("a", 1), bad("b", 2), ServiceJson("c", 3)}, 9);
  EXPECT_EQ(sink_.Take(), "+Service default/a@1 +Service default/c@3 | synced");
  watch.Body(Event("MODIFIED", bad("a", 10)) + Event("MODIFIED", ServiceJson("c", 11)));
  EXPECT_EQ(sink_.Take(), "+Service default/c@11 |") << "the last good a stays";
  EXPECT_EQ(Stats(api::Kind::kService).bad_objects, 2u);
  watch.Body(Event("ERROR", StatusJson(410, "Expired")));
  ListServices({bad("a", 10), ServiceJson("c", 11)}, 20);
  EXPECT_EQ(sink_.Take(), "") << "also through a new list";
  io_.Advance(1min);
  EXPECT_EQ(sink_.state().count("Service default/a"), 1u);
}

TEST_F(ClusterSourceTest, AnEventAboveTheLimitIsLeftOut) {
  ClusterSourceOptions options;
  options.watch.max_event_bytes = 400;
  StartSource(options);
  FakeIo::Exchange& watch = ListServices({}, 9);
  const std::string large = ObjectJson(api::Kind::kService, "default", "large", 10,
                                       fmt::format(R"(,"x":"{}")", std::string(500, 'x')));
  watch.Body(Event("ADDED", large) + Event("ADDED", ServiceJson("a", 11)));
  EXPECT_EQ(sink_.Take(), "+Service default/a@11 |");
  EXPECT_EQ(Stats(api::Kind::kService).bad_objects, 1u);
}

TEST_F(ClusterSourceTest, GarbageInAWatchIsARestartFromTheLastGoodEvent) {
  StartSource();
  ListServices({ServiceJson("a", 1)}, 9)
      .Body(Event("MODIFIED", ServiceJson("a", 10)) + "{\"type\":\"ADDED\"\n" +
            Event("MODIFIED", ServiceJson("a", 11)));
  EXPECT_EQ(sink_.Take(), "+Service default/a@1 | +Service default/a@10 |");
  for (int i = 0; i < 2; ++i) {
    io_.Advance(10s);
    FakeIo::Exchange& watch = io_.Next(kServices);
    EXPECT_THAT(watch.path(), HasSubstr("resourceVersion=10&"));
    watch.Head(200).Body("garbage\n");
  }
  io_.Advance(10s);  // not from there, then
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("sendInitialEvents"));
}

TEST_F(ClusterSourceTest, OtherErrorEventsResumeWithTheirRetryAfter) {
  StartSource();
  ListServices({}, 9).Body(
      Event("ERROR", StatusJson(500, "InternalError", R"(,"details":{"retryAfterSeconds":5})")));
  io_.Advance(4900ms);
  EXPECT_EQ(io_.Find(kServices), nullptr);
  io_.Advance(200ms);
  EXPECT_THAT(io_.Next(kServices).path(), HasSubstr("resourceVersion=9&"));
}

TEST_F(ClusterSourceTest, NamespacesHaveAWatchEach) {
  ClusterSourceOptions options;
  options.watch_namespaces = {"b", "a", "b"};
  options.secret_namespaces = {"certs"};
  StartSource(options);
  EXPECT_EQ(io_.Count("/api/v1/namespaces/a/services"), 1);
  EXPECT_EQ(io_.Count("/api/v1/namespaces/b/services"), 1);
  EXPECT_EQ(io_.Count("/api/v1/services"), 0);
  EXPECT_EQ(io_.Count("/api/v1/namespaces/certs/secrets"), 1);
  EXPECT_EQ(io_.Count("/api/v1/namespaces/a/secrets"), 0);
  EXPECT_EQ(io_.Count("/apis/networking.k8s.io/v1/ingressclasses"), 1) << "cluster-wide";
  EXPECT_EQ(io_.Count("/apis/networking.k8s.io/v1/namespaces/a/ingresses"), 1);
  // A relist of one namespace doesn't touch the objects of another.
  const auto service = [](std::string_view ns) {
    return ObjectJson(api::Kind::kService, ns, "web", 5);
  };
  FakeIo::Exchange& a = io_.Next("/api/v1/namespaces/a/services").Head(200);
  a.Body(Event("ADDED", service("a")) + Bookmark(9, true));
  io_.Next("/api/v1/namespaces/b/services")
      .Head(200)
      .Body(Event("ADDED", service("b")) + Bookmark(9, true));
  a.Body(Event("ERROR", StatusJson(410, "Expired")));
  sink_.Take();
  io_.Next("/api/v1/namespaces/a/services").Head(200).Body(Bookmark(20, true));
  EXPECT_EQ(sink_.Take(), "-Service a/web |");
  EXPECT_EQ(Stats(api::Kind::kService).objects, 1u);
}

TEST_F(ClusterSourceTest, SyncedOnceWhenEveryKindIsListed) {
  StartSource();
  ListServices({}, 9);
  for (const char* path : kOthers) {
    EXPECT_EQ(sink_.synced(), 0);
    io_.Next(path).Head(200).Body(BookmarkAt(path, 1));
  }
  EXPECT_EQ(sink_.synced(), 1);
  EXPECT_TRUE(source_->GetStats().synced);
  io_.Advance(1min);
  EXPECT_EQ(sink_.synced(), 1);
}

TEST_F(ClusterSourceTest, AnOutageLosesNothing) {
  StartSource();
  ListOthers();
  ListServices({ServiceJson("a", 5)}, 9).End(absl::UnavailableError("connection reset"));
  sink_.Take();
  for (int i = 0; i < 10; ++i) {
    io_.Advance(31s);
    if (auto* const request = io_.Find(kServices))
      request->End(absl::UnavailableError("connection refused"));
  }
  EXPECT_EQ(sink_.Take(), "");
  EXPECT_THAT(Stats(api::Kind::kService).last_error, HasSubstr("connection refused"));
  io_.Advance(31s);
  FakeIo::Exchange& watch = io_.Next(kServices);
  EXPECT_THAT(watch.path(), HasSubstr("resourceVersion=9&"));
  watch.Head(200).Body(Event("MODIFIED", ServiceJson("a", 12)));
  EXPECT_EQ(sink_.Take(), "+Service default/a@12 |");
  EXPECT_EQ(Stats(api::Kind::kService).last_error, "");
}

TEST_F(ClusterSourceTest, AfterStopNothingIsDelivered) {
  StartSource();
  FakeIo::Exchange& watch = ListServices({}, 9);
  source_->Stop();
  EXPECT_TRUE(watch.gone());
  EXPECT_EQ(io_.Open(), "");
  io_.Advance(1h);
  EXPECT_EQ(io_.Open(), "");
  source_->Stop();
}

TEST_F(ClusterSourceTest, StatsHaveTheAgeOfTheLastBytes) {
  StartSource();
  EXPECT_EQ(Stats(api::Kind::kService).since_last_received, std::nullopt);
  ListServices({ServiceJson("a", 5)}, 9)
      .Body(Event("MODIFIED", ServiceJson("a", 10)) + Bookmark(11));
  io_.Advance(42s);
  const KindStats stats = Stats(api::Kind::kService);
  EXPECT_EQ(stats.since_last_received, 42s);
  EXPECT_EQ(stats.events, 1u);
  EXPECT_EQ(stats.watches, 1u);
  EXPECT_EQ(source_->GetStats().kinds.size(), 7u);
}

}  // namespace
}  // namespace contour::kube
