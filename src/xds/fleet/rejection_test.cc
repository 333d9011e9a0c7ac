// SPDX-License-Identifier: Apache-2.0
// A fleet of model Envoys that reject by content, in all four modes: what is at fault is found and
// replaced, its neighbours go through, and an Envoy that can't be believed harms nobody else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "xds/fleet/testing_fleet.h"

namespace contour::xds::testing_fleet {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Rejections : public testing::TestWithParam<Mode>, public Fleet {
 protected:
  Rejections() : Fleet(GetParam()) {}
};

TEST_P(Rejections, TheFiveThousandthVirtualHost) {
  Envoy& one = Add("one");
  Envoy& two = Add("two");
  constexpr std::size_t kHosts = 5000;
  for (std::size_t i = 0; i < kHosts; ++i) Host(Name(i), "1");
  PublishAndRun();
  EXPECT_EQ(one.refused, 0U);
  const std::size_t before = one.received;

  for (std::size_t i = 0; i < kHosts; ++i) Host(Name(i), i + 1 == kHosts ? "bad" : "2");
  PublishAndRun();
  EXPECT_LE(one.received - before, 1U + 2 * 13 + 1);
  for (const Envoy* envoy : {&one, &two}) {
    for (std::size_t i = 0; i + 1 < kHosts; ++i) ASSERT_EQ(envoy->Host(Name(i)), "2") << i;
    EXPECT_EQ(envoy->Host(Name(kHosts - 1)), "1") << "the last good one";
    envoy->ExpectInSync();
  }
  EXPECT_THAT(Quarantined(), ElementsAre(Name(kHosts - 1)));

  const Envoy& three = Add("three");
  Settle();
  EXPECT_EQ(three.refused, 0U) << "a new one doesn't see it";
  EXPECT_EQ(three.Host(Name(kHosts - 1)), "1");
  EXPECT_EQ(three.Host(Name(0)), "2");

  const std::size_t refused = one.refused;
  Host(Name(7), "3");
  PublishAndRun();
  EXPECT_EQ(one.Host(Name(7)), "3");
  EXPECT_EQ(one.refused, refused) << "nor is it sent again with another change";

  Host(Name(kHosts - 1), "mended");
  PublishAndRun();
  for (const auto& envoy : envoys_) EXPECT_EQ(envoy->Host(Name(kHosts - 1)), "mended");
  EXPECT_THAT(Quarantined(), IsEmpty());
}

TEST_P(Rejections, AFilterChainAmongAThousand) {
  Envoy& one = Add("one");
  constexpr std::size_t kChains = 1000;
  for (std::size_t i = 0; i < kChains; ++i) Chain(Name(i), "1");
  PublishAndRun();
  const std::size_t before = one.received;
  for (std::size_t i = 0; i < kChains; ++i) Chain(Name(i), i == 613 ? "bad" : "2");
  Chain("new", "2");
  PublishAndRun();
  EXPECT_LE(one.received - before, 1U + 2 * 10 + 1);
  for (std::size_t i = 0; i < kChains; ++i)
    ASSERT_EQ(one.Part(kLDS, "l", Name(i)), i == 613 ? "1" : "2") << i;
  EXPECT_EQ(one.Part(kLDS, "l", "new"), "2");
  one.ExpectInSync();
  EXPECT_THAT(Quarantined(), ElementsAre(Name(613)));
}

TEST_P(Rejections, OneHostByItself) {
  Envoy& one = Add("one");
  Host("a", "1");
  PublishAndRun();
  const std::size_t before = one.received;
  Host("a", "bad");
  PublishAndRun();
  EXPECT_EQ(one.received - before, 2U) << "it, and the control";
  EXPECT_EQ(one.Host("a"), "1");
  EXPECT_THAT(Quarantined(), ElementsAre("a"));
  EXPECT_TRUE(quarantine_->View()[0].replaced);
  EXPECT_EQ(quarantine_->View()[0].error_message, "no good");
}

TEST_P(Rejections, TwoAtOnce) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 100; ++i) Host(Name(i), "1");
  PublishAndRun();
  for (std::size_t i = 0; i < 100; ++i) Host(Name(i), i == 20 || i == 77 ? "bad" : "2");
  PublishAndRun();
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_EQ(one.Host(Name(i)), i == 20 || i == 77 ? "1" : "2") << i;
  one.ExpectInSync();
  EXPECT_THAT(Quarantined(), ElementsAre(Name(20), Name(77)));
}

TEST_P(Rejections, WithoutALastGoodItIsLeftOut) {
  for (std::size_t i = 0; i < 50; ++i) Host(Name(i), i == 31 ? "bad" : "1");
  for (std::size_t i = 0; i < 50; ++i) Chain(Name(i), i == 13 ? "bad" : "1");
  Publish();
  const Envoy& one = Add("one");
  Settle();
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(one.Host(Name(i)), i == 31 ? "-" : "1") << i;
    EXPECT_EQ(one.Part(kLDS, "l", Name(i)), i == 13 ? "-" : "1") << i;
  }
  one.ExpectInSync();
  EXPECT_EQ(quarantine_->View().size(), 2U);
  const Envoy& two = Add("two");
  Settle();
  EXPECT_GT(two.refused, 0U) << "one node's refusal doesn't keep it from the others";
  two.ExpectInSync();
  const Envoy& three = Add("three");
  Settle();
  EXPECT_EQ(three.refused, 0U) << "two nodes refused it with the same error";
  for (const Envoy* envoy : {&two, &three}) {
    for (std::size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(envoy->Host(Name(i)), i == 31 ? "-" : "1") << i;
      EXPECT_EQ(envoy->Part(kLDS, "l", Name(i)), i == 13 ? "-" : "1") << i;
    }
  }
}

TEST_P(Rejections, AfterARestartTheEnvoyNamesWhatWeDoNotKnow) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 20; ++i) Host(Name(i), "1");
  PublishAndRun();
  for (std::size_t i = 0; i < 20; ++i) Host(Name(i), i == 3 ? "bad" : "2");
  Restart();
  Publish();
  Reconnect(one);
  Settle();
  for (std::size_t i = 0; i < 20; ++i) {
    if (i == 3) continue;
    EXPECT_EQ(one.Host(Name(i)), "2") << i;
  }
  EXPECT_NE(one.Host(Name(3)), "bad");
  EXPECT_THAT(Quarantined(), ElementsAre(Name(3)));
}

TEST_P(Rejections, TheLastGoodOfAnother) {
  const Envoy& old = Add("old");
  Host("a", "1");
  Host("b", "1");
  PublishAndRun();
  // It is slow; a new one rejects faster.
  Host("a", "bad");
  Publish();
  Envoy& fresh = Add("fresh");
  fresh.Work();
  Settle();
  EXPECT_EQ(old.Host("a"), "1") << "nothing is lost";
  EXPECT_EQ(fresh.Host("a"), "1");
}

TEST_P(Rejections, ChangedAndChangedBackIsTriedAgain) {
  Envoy& one = Add("one");
  Host("a", "1");
  PublishAndRun();
  for (int i = 0; i < 3; ++i) {
    Host("a", "bad");
    PublishAndRun();
    EXPECT_EQ(one.refused, static_cast<std::size_t>(i) + 1);
    EXPECT_THAT(Quarantined(), ElementsAre("a"));
    Host("a", "2");
    PublishAndRun();
    EXPECT_EQ(one.Host("a"), "2");
    EXPECT_THAT(Quarantined(), IsEmpty());
  }
}

TEST_P(Rejections, ClustersAndWhoNeedsThem) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 30; ++i) Cluster(Name(i), "1");
  Host("a", "1", {Name(0)});
  Host("b", "1", {Name(1)});
  PublishAndRun();
  EXPECT_EQ(one.Host("a"), "1");
  // One changes for the worse; a new one is bad, and a host is to use it.
  for (std::size_t i = 0; i < 30; ++i) Cluster(Name(i), i == 5 ? "bad" : "2");
  Cluster("new", "bad");
  Host("a", "2", {Name(0), "new"});
  Host("b", "2", {Name(2)});
  Host("c", "2", {"new"});
  PublishAndRun();
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(one.Cluster(Name(i)), i == 5 ? "1" : "2") << i;
  EXPECT_EQ(one.Cluster("new"), "-");
  EXPECT_THAT(Quarantined(), ElementsAre(Name(5), "new"));
  EXPECT_EQ(one.Host("b"), "2");
  Wait(1min);
  EXPECT_EQ(one.Host("a"), "1") << "it stays as it is: its new cluster isn't coming";
  EXPECT_EQ(one.Host("c"), "2") << "a new one is no worse off";
  Cluster("new", "mended");
  PublishAndRun();
  Wait(10s);
  EXPECT_EQ(one.Cluster("new"), "mended");
  EXPECT_EQ(one.Host("a"), "2");
  one.ExpectInSync();
}

TEST_P(Rejections, WhatTheLastGoodNeedsStays) {
  Envoy& one = Add("one");
  Cluster("old", "1");
  Host("a", "1", {"old"});
  PublishAndRun();
  editor_.Remove(kCDS, "old");
  Host("a", "bad", {"c"});
  PublishAndRun();
  Wait(10min);
  EXPECT_EQ(one.Host("a"), "1");
  EXPECT_EQ(one.Cluster("old"), "1");
  const Envoy& two = Add("two");
  Settle();
  EXPECT_EQ(two.Host("a"), "1");
  EXPECT_EQ(two.Cluster("old"), "1");
  Host("a", "2", {"c"});
  PublishAndRun();
  Wait(10min);
  EXPECT_EQ(one.Host("a"), "2");
  EXPECT_EQ(one.Cluster("old"), "-");
}

TEST_P(Rejections, WordsSpareTheSearch) {
  Envoy& one = Add("one", [](ResourceType, const Resource& resource) {
    std::optional<std::string> words;
    resource.parts.ForEach([&](const PartPtr& part) {
      if (part->bytes == "bad") words = "Duplicate entry of domain " + part->name + " in route r";
    });
    return words;
  });
  for (std::size_t i = 0; i < 1000; ++i) Host(Name(i), "1");
  PublishAndRun();
  const std::size_t before = one.received;
  for (std::size_t i = 0; i < 1000; ++i) Host(Name(i), i == 500 ? "bad" : "2");
  PublishAndRun();
  EXPECT_EQ(one.received - before, 2U) << "it, and all but it";
  EXPECT_THAT(Quarantined(), ElementsAre(Name(500)));
}

TEST_P(Rejections, AnEnvoyThatRefusesEverythingHarmsNobody) {
  for (std::size_t i = 0; i < 30; ++i) Host(Name(i), "1");
  for (std::size_t i = 0; i < 30; ++i) Cluster(Name(i), "1");
  for (std::size_t i = 0; i < 30; ++i) Chain(Name(i), "1");
  Publish();
  const Envoy& broken = Add("broken", RefusesEverything);
  Settle();
  EXPECT_THAT(Quarantined(), IsEmpty());
  EXPECT_LT(broken.received, 200U);
  const Envoy& good = Add("good");
  Settle();
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(good.Host(Name(i)), "1");
    EXPECT_EQ(good.Part(kLDS, "l", Name(i)), "1");
    Host(Name(i), "2");
  }
  PublishAndRun();
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(good.Host(Name(i)), "2");
  EXPECT_EQ(good.refused, 0U);
  EXPECT_THAT(Quarantined(), IsEmpty());
}

TEST_P(Rejections, AnEnvoyThatBeginsToRefuseEverything) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 30; ++i) Host(Name(i), "1");
  PublishAndRun();
  one.refuses = RefusesEverything;
  for (std::size_t i = 0; i < 30; ++i) Host(Name(i), "2");
  PublishAndRun();
  EXPECT_TRUE(one.View().reports_ignored);
  EXPECT_THAT(Quarantined(), IsEmpty()) << "it refused what it ran before";
  const Envoy& two = Add("two");
  Settle();
  EXPECT_EQ(two.Host(Name(0)), "2");
}

TEST_P(Rejections, AnOlderEnvoyDoesWithoutByItself) {
  Envoy& modern = Add("modern", RefusesNothing);
  Envoy& older = Add("older");
  for (std::size_t i = 0; i < 30; ++i) Host(Name(i), "1");
  PublishAndRun();
  Host(Name(3), "bad");  // which a modern one takes
  Host(Name(4), "2");
  PublishAndRun();
  EXPECT_EQ(modern.Host(Name(3)), "bad");
  EXPECT_EQ(older.Host(Name(3)), "1");
  EXPECT_EQ(older.Host(Name(4)), "2");
  EXPECT_THAT(Quarantined(), IsEmpty());
  EXPECT_FALSE(older.View().reports_ignored);
  const std::size_t refused = older.refused;
  Host(Name(4), "3");
  PublishAndRun();
  EXPECT_EQ(older.Host(Name(4)), "3");
  EXPECT_EQ(older.refused, refused) << "not sent to it again";
}

TEST_P(Rejections, AnOlderEnvoyThatIsFaster) {
  Envoy& older = Add("older");
  Envoy& modern = Add("modern", RefusesNothing);
  Host("a", "1");
  PublishAndRun();
  Host("a", "bad");
  Publish();
  older.Work();
  Settle();
  EXPECT_EQ(modern.Host("a"), "bad") << "in the end";
  EXPECT_EQ(older.Host("a"), "1");
  EXPECT_THAT(Quarantined(), IsEmpty());
}

TEST_P(Rejections, AHeadIsReplaced) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 10; ++i) Host(Name(i), "1");
  PublishAndRun();
  editor_.SetHead(kRDS, "r", "bad head");
  for (std::size_t i = 0; i < 10; ++i) Host(Name(i), "2");
  PublishAndRun();
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(one.Host(Name(i)), "2");
  EXPECT_EQ(one.has.at({kRDS, "r"})->bytes, "head");
  EXPECT_THAT(Quarantined(), ElementsAre("r"));
  one.ExpectInSync();
}

TEST_P(Rejections, ChangesWhileItIsBeingLookedFor) {
  Envoy& one = Add("one");
  for (std::size_t i = 0; i < 64; ++i) Host(Name(i), "1");
  PublishAndRun();
  // Step by step, each answered before the next change.
  for (int round = 0; round < 40; ++round) {
    const auto bad = static_cast<std::size_t>(round * 7 % 64);
    for (std::size_t i = 0; i < 64; ++i)
      Host(Name(i), i == bad ? "bad" : std::to_string(2 + round));
    Publish();
    one.session().Offer(delivered_->For("one"));
    one.Work();
  }
  Settle();
  for (std::size_t i = 0; i < 64; ++i) {
    if (i == 39 * 7 % 64) continue;
    EXPECT_EQ(one.Host(Name(i)), "41") << i;
  }
  EXPECT_THAT(Quarantined(), ElementsAre(Name(39 * 7 % 64)));
  one.ExpectInSync();
}

INSTANTIATE_TEST_SUITE_P(Modes, Rejections,
                         testing::Values(Mode{"DeltaAds", true, Protocol::kDelta},
                                         Mode{"WorldAds", true, Protocol::kStateOfTheWorld},
                                         Mode{"DeltaPerType", false, Protocol::kDelta},
                                         Mode{"WorldPerType", false, Protocol::kStateOfTheWorld}),
                         [](const auto& mode) { return std::string(mode.param.name); });

// In state of the world each response holds all scopes, also one whose next content waits for a
// cluster. The content before it must not be the one that was rejected.
TEST(RefusedScope, DoesNotGoOnWhileTheNextContentWaits) {
  constexpr auto kSRDS = ResourceType::kScopedRoutes;
  SnapshotEditor editor(nullptr);
  editor.Set(kSRDS, {.name = "g", .bytes = "good"});
  editor.Set(kSRDS, {.name = "h", .bytes = "one"});
  Time now{};
  Session session(Session::Identity{"node", "peer", true}, Session::Options{}, editor.Commit());
  Stream& stream = session.Attach(Protocol::kStateOfTheWorld);
  const auto request = [&](ResourceType type, const std::string& nonce,
                           std::optional<std::string> error = std::nullopt) {
    Request message;
    message.type_url = Info(type).url;
    message.nonce = nonce;
    message.error = std::move(error);
    ASSERT_TRUE(stream.OnRequest(message, now).ok());
  };
  // The Envoy answers the scopes only. The clusters stay unanswered, so the new one is not warm.
  const auto scopes = [&] {
    std::optional<Response> found;
    while (std::optional<Response> response = stream.Next(now)) {
      if (response->type == kSRDS) found = std::move(response);
    }
    return found;
  };
  const auto contents = [](const std::optional<Response>& response) {
    std::vector<std::string> bytes;
    if (!response.has_value()) return bytes;
    for (const ResourcePtr& resource : response->resources) bytes.push_back(resource->bytes);
    return bytes;
  };
  request(kCDS, "");
  request(kSRDS, "");
  std::optional<Response> response = scopes();
  ASSERT_THAT(contents(response), ElementsAre("good", "one"));
  request(kSRDS, response->nonce);
  editor.Set(kSRDS, {.name = "g", .bytes = "bad"});
  session.Offer(editor.Commit());
  response = scopes();
  ASSERT_THAT(contents(response), ElementsAre("bad", "one"));
  editor.Set(kCDS, {.name = "cold", .bytes = "cold"});
  editor.Set(kSRDS, {.name = "g", .bytes = "next", .clusters = {"cold"}});
  session.Offer(editor.Commit());
  request(kSRDS, response->nonce, "no good");
  response = scopes();
  EXPECT_THAT(contents(response), ElementsAre("good", "one"));
}

}  // namespace
}  // namespace contour::xds::testing_fleet
