// SPDX-License-Identifier: Apache-2.0
// What one Envoy can't take must cost the others nothing: named cases, and random histories of
// three Envoys with faults of their own, of changes, of restarts of contour after which they come
// back in any order. Watched on the way: no Envoy loses a content that is published and that it
// takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "xds/fleet/testing_fleet.h"

namespace contour::xds::testing_fleet {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// An Envoy on a node on which the port of listener `name` is taken. As Envoy, it takes the rest of
// the response.
Refuses PortTaken(std::string name = "l") {
  return [name = std::move(name)](ResourceType type, const Resource& resource) {
    if (type == kLDS && resource.name == name)
      return std::optional<std::string>(name +
                                        ": cannot bind '0.0.0.0:8080': Address already in use");
    return RefusesBad(type, resource);
  };
}

// An older Envoy, which doesn't know a field.
std::optional<std::string> RefusesOdd(ResourceType type, const Resource& resource) {
  bool odd = resource.bytes.find("odd") != std::string::npos;
  resource.parts.ForEach(
      [&](const PartPtr& part) { odd = odd || part->bytes.find("odd") != std::string::npos; });
  if (odd) return resource.name + ": unknown field";
  return RefusesBad(type, resource);
}

class OneOfMany : public testing::TestWithParam<Mode>, public Fleet {
 protected:
  OneOfMany() : Fleet(GetParam()) {
    Chain("c", "1");
    Host("a", "1");
    Publish();
  }
};

TEST_P(OneOfMany, ATakenPortIsThatNodesOwn) {
  Envoy& broken = Add("broken", PortTaken());
  Settle();
  EXPECT_THAT(Quarantined(), IsEmpty());
  ASSERT_THAT(node_faults_, SizeIs(1));
  EXPECT_EQ(node_faults_[0].node_id, "broken");
  EXPECT_EQ(node_faults_[0].key, (ResourceKey{kLDS, "l", std::nullopt}));
  EXPECT_EQ(broken.session().NodeFaults(), 1U);
  EXPECT_EQ(broken.Host("a"), "1") << "it takes the rest";
  EXPECT_FALSE(broken.View().reports_ignored);
  Envoy& good = Add("good");
  Settle();
  EXPECT_EQ(good.Part(kLDS, "l", "c"), "1") << "a fresh one gets the listener";
  EXPECT_EQ(good.refused, 0U);
  EXPECT_EQ(good.session().NodeFaults(), 0U);
}

TEST_P(OneOfMany, AfterARestartTheBrokenOneComesFirst) {
  Envoy& good = Add("good");
  Envoy& broken = Add("broken", PortTaken());
  Settle();
  Restart();
  Publish();
  Reconnect(broken);
  Settle();
  Wait(10s);
  Reconnect(good);
  Settle();
  Wait(10s);
  EXPECT_EQ(good.Part(kLDS, "l", "c"), "1");
  EXPECT_THAT(good.lost, IsEmpty());
  EXPECT_THAT(Quarantined(), IsEmpty());
}

TEST_P(OneOfMany, ATakenPortIsTriedAgainUntilItIsFree) {
  Envoy& broken = Add("broken", PortTaken());
  Settle();
  const std::size_t refused = broken.refused;
  Chain("d", "1");
  PublishAndRun();
  EXPECT_EQ(broken.refused, refused) << "not with each change of the listener";
  Wait(6s);
  EXPECT_EQ(broken.refused, refused + 1);
  EXPECT_THAT(node_faults_, SizeIs(1)) << "reported once";
  for (int i = 0; i < 100; ++i) Wait(60s);
  EXPECT_GT(broken.refused, refused + 50);
  EXPECT_FALSE(broken.View().reports_ignored);
  broken.refuses = RefusesBad;
  Wait(90s);
  EXPECT_EQ(broken.Part(kLDS, "l", "c"), "1");
  EXPECT_EQ(broken.Part(kLDS, "l", "d"), "1");
  EXPECT_EQ(broken.session().NodeFaults(), 0U);
  ASSERT_THAT(node_faults_, SizeIs(2));
  EXPECT_TRUE(node_faults_[1].ends);
  broken.ExpectInSync();
}

TEST_P(OneOfMany, TwoNodesWithTheSameFaultAreNotTheContentsFault) {
  Add("one", PortTaken());
  Add("two", PortTaken());
  Settle();
  EXPECT_THAT(Quarantined(), IsEmpty());
  const Envoy& good = Add("good");
  Settle();
  EXPECT_EQ(good.Part(kLDS, "l", "c"), "1");
}

TEST_P(OneOfMany, AListenerAmongOthersThatIsRefused) {
  editor_.Set(kLDS, {.name = "stats", .bytes = "stats, new"});
  Publish();
  Envoy& broken = Add("broken", PortTaken("stats"));
  Settle();
  EXPECT_EQ(broken.Part(kLDS, "l", "c"), "1") << "its other listeners work";
  Chain("c", "2");
  PublishAndRun();
  EXPECT_EQ(broken.Part(kLDS, "l", "c"), "2");
  const Envoy& good = Add("good");
  Settle();
  EXPECT_TRUE(good.has.contains({kLDS, "stats"}));
}

TEST_P(OneOfMany, AWholeListenerStaysOnOfferWhateverTheError) {
  const Refuses refuses = [](ResourceType type, const Resource& resource) {
    return type == kLDS && resource.name == "l" ? std::optional<std::string>("l: what is this?")
                                                : RefusesBad(type, resource);
  };
  Add("one", refuses);
  Add("two", refuses);
  Settle();
  const Envoy& good = Add("good");
  Settle();
  EXPECT_EQ(good.Part(kLDS, "l", "c"), "1");
  EXPECT_EQ(good.refused, 0U);
}

TEST_P(OneOfMany, WhatOneRefusesTheOthersGetAtOnce) {
  Add("older", RefusesOdd);
  const Envoy& one = Add("one");
  const Envoy& two = Add("two");
  Settle();
  Cluster("k", "odd");
  Host("a", "odd 2");
  Chain("c", "odd 3");
  Publish();
  envoys_.front()->Work();  // it is the fastest
  Settle();
  for (const Envoy* envoy : {&one, &two}) {
    EXPECT_EQ(envoy->Host("a"), "odd 2");
    EXPECT_EQ(envoy->Part(kLDS, "l", "c"), "odd 3");
    EXPECT_EQ(envoy->Cluster("k"), "odd");
    EXPECT_THAT(envoy->lost, IsEmpty());
  }
  EXPECT_EQ(envoys_.front()->Host("a"), "1");
}

TEST_P(OneOfMany, WhatTwoRefuseIsNotTakenFromOneThatRunsItAfterARestart) {
  Envoy& modern = Add("modern", RefusesNothing);
  Host("a", "odd");
  Cluster("k", "odd");
  PublishAndRun();
  Envoy& one = Add("one", RefusesOdd);
  Envoy& two = Add("two", RefusesOdd);
  Settle();
  EXPECT_THAT(Quarantined(), IsEmpty()) << "one runs it";
  Restart();
  Publish();
  Reconnect(one);
  Reconnect(two);
  Settle();
  EXPECT_THAT(Quarantined(), ElementsAre("k", "a"));
  Reconnect(modern);
  Settle();
  EXPECT_EQ(modern.Host("a"), "odd");
  EXPECT_EQ(modern.Cluster("k"), "odd");
  EXPECT_THAT(modern.lost, IsEmpty()) << "not for a moment";
  EXPECT_THAT(Quarantined(), IsEmpty());
}

TEST_P(OneOfMany, AnEnvoyThatRestartsOnANodeThatRefusedGetsTheLastGoodContent) {
  Envoy& one = Add("one");
  Settle();
  Host("a", "bad");
  PublishAndRun();
  EXPECT_EQ(one.Host("a"), "1");
  one.Forget();
  Reconnect(one);
  Settle();
  EXPECT_EQ(one.Host("a"), "1");
}

INSTANTIATE_TEST_SUITE_P(Modes, OneOfMany,
                         testing::Values(Mode{"DeltaAds", true, Protocol::kDelta},
                                         Mode{"WorldAds", true, Protocol::kStateOfTheWorld},
                                         Mode{"DeltaPerType", false, Protocol::kDelta},
                                         Mode{"WorldPerType", false, Protocol::kStateOfTheWorld}),
                         [](const auto& mode) { return std::string(mode.param.name); });

// ---- Random histories ----

enum class Fault { kNone, kPort, kStatsPort, kOlder, kLast };

Refuses RefusesOf(Fault fault) {
  switch (fault) {
    case Fault::kPort:
      return PortTaken("l");
    case Fault::kStatsPort:
      return PortTaken("stats");
    case Fault::kOlder:
      return RefusesOdd;
    default:
      return RefusesBad;
  }
}

class RandomFleet : public Fleet {
 public:
  RandomFleet(const Mode& mode, unsigned seed) : Fleet(mode), random_(seed) {
    Chain("c0", "1");
    Host("h0", "1");
    Publish();
    for (const char* const name : {"one", "two", "three"}) {
      faults_.push_back(OneIn(2) ? Fault::kNone : static_cast<Fault>(Below(4)));
      Add(name, RefusesOf(faults_.back()));
    }
    Settle();
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      if (testing::Test::HasFailure()) return;
    }
    Settle();
    CheckQuiet();
    // Everything anew and good, all faults mended: all Envoys have it in the end.
    for (std::size_t i = 0; i < envoys_.size(); ++i) Become(i, Fault::kNone);
    fresh_ = true;
    for (unsigned i = 0; i < kNames; ++i) {
      if (editor_.Find(kRDS, "r")->parts.Find(HostName(i)) != nullptr) EditHost(i);
      if (const ResourcePtr l = editor_.Find(kLDS, "l"); l->parts.Find(ChainName(i)) != nullptr)
        Chain(ChainName(i), Content());
      if (editor_.Find(kCDS, ClusterName(i)) != nullptr) Cluster(ClusterName(i), Content());
    }
    PublishAndRun();
    for (int i = 0; i < 5; ++i) Wait(2min);
    for (const auto& envoy : envoys_) {
      CheckHas(*envoy, /*all=*/true);
      EXPECT_EQ(envoy->session().NodeFaults(), 0U);
    }
  }

  std::string History() const {
    std::string text;
    for (const auto& envoy : envoys_) {
      for (const TypeView& type : envoy->View().types) {
        for (const HeldView& held : type.held) {
          text += envoy->name() + " holds " + held.resource + "/" + held.part + " for";
          for (const std::string& cluster : held.waiting_for) text += " " + cluster;
          text += "\n";
        }
        for (const RejectedView& refused : type.rejected)
          text += envoy->name() + " refused " + refused.key.resource + "/" +
                  refused.key.part.value_or("") + ": " + refused.error_message + "\n";
      }
    }
    text += "faults at the end:";
    for (const Fault fault : faults_) text += " " + std::to_string(static_cast<int>(fault));
    return text + ", steps:" + history_;
  }

 private:
  static constexpr unsigned kNames = 4;
  unsigned Below(unsigned count) { return static_cast<unsigned>(random_() % count); }
  bool OneIn(unsigned count) { return Below(count) == 0; }
  static std::string HostName(unsigned i) { return "h" + std::to_string(i); }
  static std::string ChainName(unsigned i) { return "c" + std::to_string(i); }
  static std::string ClusterName(unsigned i) { return "k" + std::to_string(i); }

  std::string Content() {
    const std::string number = std::to_string(++contents_);
    if (fresh_) return "fresh" + number;
    return (OneIn(10) ? "bad" : OneIn(6) ? "odd" : "") + number;
  }
  void EditHost(unsigned i) {
    const std::string cluster = ClusterName(Below(kNames));
    const bool own = editor_.Find(kCDS, cluster) != nullptr && OneIn(2);
    Host(HostName(i), Content(), {own ? cluster : "c"});
  }

  void Become(std::size_t i, Fault fault) {
    faults_[i] = fault;
    envoys_[i]->refuses = RefusesOf(fault);
  }

  void Step() {
    const unsigned what = Below(12);
    history_ += " " + std::to_string(what);
    switch (what) {
      case 0:
      case 1:
        EditHost(Below(kNames));
        break;
      case 2:
        Chain(ChainName(Below(kNames)), Content());
        break;
      case 3:
        Cluster(ClusterName(Below(kNames)), Content());
        break;
      case 4:
      case 5:
        Publish();
        break;
      case 6:
        Publish();
        Settle();
        CheckQuiet();
        return;
      case 7:
        Wait(std::chrono::seconds(1 + Below(20)));
        return;
      case 8:
        RestartInAnyOrder();
        return;
      case 9: {  // an Envoy's process ends, another begins
        Envoy& envoy = *envoys_[Below(3)];
        envoy.Forget();
        Reconnect(envoy);
        break;
      }
      case 10:  // a node's fault begins or ends; an older Envoy is another process
        if (const std::size_t i = Below(3); OneIn(2)) {
          if (faults_[i] == Fault::kNone || faults_[i] == Fault::kOlder) break;
          Become(i, Fault::kNone);
        } else if (faults_[i] == Fault::kNone) {
          Envoy& envoy = *envoys_[i];
          envoy.Forget();
          Become(i, static_cast<Fault>(Below(4)));
          Reconnect(envoy);
        }
        break;
      default:
        if (Envoy& envoy = *envoys_[Below(3)]; envoy.connected()) envoy.Work();
        break;
    }
  }

  void RestartInAnyOrder() {
    Publish();
    Restart();
    Publish();
    std::vector<std::size_t> order = {0, 1, 2};
    std::shuffle(order.begin(), order.end(), random_);
    for (const std::size_t i : order) {
      Reconnect(*envoys_[i]);
      if (OneIn(2)) Settle();
      if (OneIn(3)) Wait(10s);
    }
  }

  // Every good host is in effect on every Envoy that takes it, whatever is beside it.
  void CheckHas(Envoy& envoy, bool all) {
    const auto good = [&](const std::string& content) {
      return all ||
             (content.find("bad") == std::string::npos && content.find("odd") == std::string::npos);
    };
    published_->Find(kRDS, "r")->parts.ForEach([&](const PartPtr& host) {
      bool reachable = good(host->bytes);
      for (const std::string& name : host->clusters) {
        const ResourcePtr cluster = published_->Find(kCDS, name);
        reachable = reachable && cluster != nullptr && good(cluster->bytes);
      }
      if (reachable) {
        EXPECT_EQ(envoy.Host(host->name), host->bytes) << envoy.name() << " " << host->name;
      }
    });
    const Fault fault = faults_[static_cast<std::size_t>(
        std::find_if(envoys_.begin(), envoys_.end(),
                     [&](const auto& other) { return other.get() == &envoy; }) -
        envoys_.begin())];
    // A mended node is noticed after a while.
    if (fault == Fault::kPort || (!all && envoy.session().NodeFaults() > 0)) return;
    published_->Find(kLDS, "l")->parts.ForEach([&](const PartPtr& chain) {
      if (good(chain->bytes) && GoodListener()) {
        EXPECT_EQ(envoy.Part(kLDS, "l", chain->name), chain->bytes) << envoy.name();
      }
    });
  }
  // A listener whose chains are all bad can't be.
  bool GoodListener() const {
    bool any = false;
    published_->Find(kLDS, "l")->parts.ForEach([&](const PartPtr& chain) {
      any = any || (chain->bytes.find("bad") == std::string::npos &&
                    chain->bytes.find("odd") == std::string::npos);
    });
    return any;
  }

  void CheckQuiet() {
    Wait(6s);  // a host whose cluster is rejected waits for the time-out
    for (std::size_t i = 0; i < envoys_.size(); ++i) {
      Envoy& envoy = *envoys_[i];
      EXPECT_THAT(envoy.lost, IsEmpty()) << envoy.name();
      if (faults_[i] == Fault::kNone) CheckHas(envoy, /*all=*/false);
    }
  }

  std::mt19937 random_;
  std::string history_;  // the steps so far
  std::vector<Fault> faults_;
  bool fresh_ = false;
  int contents_ = 0;
};

class FleetRandom : public testing::TestWithParam<Mode> {};

TEST_P(FleetRandom, OneEnvoysFaultCostsTheOthersNothing) {
  const char* const wanted = std::getenv("CONTOUR_SEEDS");  // for a long run
  const unsigned seeds = wanted == nullptr ? 300 : static_cast<unsigned>(std::atoi(wanted));
  for (unsigned seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomFleet fleet(GetParam(), seed);
    fleet.Run(20 + static_cast<int>(seed % 5) * 20);
    if (HasFailure()) FAIL() << fleet.History();
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, FleetRandom,
                         testing::Values(Mode{"DeltaAds", true, Protocol::kDelta},
                                         Mode{"WorldAds", true, Protocol::kStateOfTheWorld},
                                         Mode{"DeltaPerType", false, Protocol::kDelta},
                                         Mode{"WorldPerType", false, Protocol::kStateOfTheWorld}),
                         [](const auto& mode) { return std::string(mode.param.name); });

}  // namespace
}  // namespace contour::xds::testing_fleet
