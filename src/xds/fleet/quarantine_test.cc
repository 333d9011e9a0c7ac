// SPDX-License-Identifier: Apache-2.0
#include "xds/fleet/quarantine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace contour::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kLDS = ResourceType::kListener;
constexpr auto kRDS = ResourceType::kRoutes;

class QuarantineTest : public testing::Test {
 public:
  QuarantineTest()
      : quarantine_(
            {[this](const QuarantineView& view) { Note("+", view); },
             [this](const QuarantineView& view) { Note("-", view); }},
            [this](std::uint64_t ticket, const ResourceKey&, const Hash128&) {
              tickets_.push_back(ticket);
              return std::size_t{2};
            },
            [this](const DeliveryPtr& delivery) { delivered_ = delivery; },
            [this](const StandInNeeds& needs) { needs_.push_back(needs); }) {}

  void Note(const std::string& sign, const QuarantineView& view) {
    told_.push_back(sign + view.key.resource + "/" + view.key.part.value_or("") +
                    (view.replaced ? "=" : "") + (view.reach == Reach::kFleet ? "!" : ""));
  }

  QuarantineTest& Host(const std::string& host, const std::string& content,
                       std::vector<std::string> clusters = {}) {
    editor_.SetHead(kRDS, "r", "head");
    editor_.SetPart(kRDS, "r", {.name = host, .bytes = content, .clusters = std::move(clusters)});
    return *this;
  }
  void Publish() { quarantine_.Publish(editor_.Commit()); }

  // Returns what Envoys of the node are offered; by default of a node that rejected nothing.
  std::string Delivered(const std::string& host, const std::string& node = "another") const {
    const PartPtr part = delivered_->For(node)->Find(kRDS, "r")->parts.Find(host);
    return part == nullptr ? "-" : part->bytes;
  }
  Culprit Make(const std::string& host, const PartPtr& good = nullptr,
               const std::string& node = "envoy-1") const {
    Culprit culprit;
    culprit.key = {kRDS, "r", host};
    culprit.version = *ContentVersion(*editor_.Find(kRDS, "r"), host);
    culprit.good.part = good;
    culprit.error_message = "no good";
    culprit.node_id = node;
    return culprit;
  }
  // Envoys of two nodes reject the content of the host, and nobody runs it.
  void ReportByTwo(const std::string& host, const PartPtr& good = nullptr) {
    quarantine_.Report(1, Make(host, good, "envoy-1"));
    quarantine_.Report(2, Make(host, nullptr, "envoy-2"));
    Answer();
  }
  // Both workers answer what was asked last.
  void Answer(Opinion first = {}, Opinion second = {}) {
    const std::uint64_t ticket = tickets_.back();
    quarantine_.Answer(ticket, std::move(first));
    quarantine_.Answer(ticket, std::move(second));
  }
  static PartPtr PartOf(const std::string& host, const std::string& content,
                        std::vector<std::string> clusters = {}) {
    return std::make_shared<Part>(
        Part{.name = host, .bytes = content, .clusters = std::move(clusters)});
  }

  SnapshotEditor editor_{nullptr};
  DeliveryPtr delivered_;
  std::vector<std::uint64_t> tickets_;
  std::vector<std::string> told_;
  std::vector<StandInNeeds> needs_;  // as they were named
  Quarantine quarantine_;
};

TEST_F(QuarantineTest, NothingRefusedIsPassedOnAsItIs) {
  Host("a", "1").Publish();
  EXPECT_EQ(delivered_->fleet, editor_.Commit());
  EXPECT_THAT(delivered_->nodes, IsEmpty());
}

TEST_F(QuarantineTest, OneNodesRefusalIsItsOwn) {
  Host("a", "bad").Host("b", "1").Publish();
  quarantine_.Report(1, Make("a", PartOf("a", "good")));
  EXPECT_EQ(Delivered("a", "envoy-1"), "bad") << "not before all were asked";
  Answer();
  EXPECT_EQ(Delivered("a", "envoy-1"), "good");
  EXPECT_EQ(Delivered("b", "envoy-1"), "1");
  EXPECT_EQ(Delivered("a"), "bad") << "the others are offered it";
  EXPECT_THAT(told_, ElementsAre("+r/a="));
  ASSERT_EQ(quarantine_.View().size(), 1U);
  EXPECT_EQ(quarantine_.View()[0].reach, Reach::kNode);
  EXPECT_EQ(quarantine_.totals().now, 1U);
  EXPECT_EQ(quarantine_.totals().fleet, 0U);
}

TEST_F(QuarantineTest, AnotherEnvoyOfTheSameNodeDoesNotConfirmIt) {
  Host("a", "bad").Publish();
  quarantine_.Report(1, Make("a"));
  quarantine_.Report(2, Make("a"));
  Answer();
  EXPECT_EQ(Delivered("a"), "bad");
  EXPECT_EQ(Delivered("a", "envoy-1"), "-");
}

TEST_F(QuarantineTest, AnotherErrorOfAnotherNodeDoesNotConfirmIt) {
  Host("a", "bad").Publish();
  quarantine_.Report(1, Make("a"));
  Culprit other = Make("a", nullptr, "envoy-2");
  other.error_message = "r: something else";
  quarantine_.Report(2, other);
  Answer();
  EXPECT_EQ(Delivered("a"), "bad");
  EXPECT_EQ(Delivered("a", "envoy-1"), "-");
  EXPECT_EQ(Delivered("a", "envoy-2"), "-");
  EXPECT_EQ(quarantine_.View()[0].nodes, 2U);
}

TEST_F(QuarantineTest, TheSameErrorBesideAnotherResourcesErrorConfirmsIt) {
  Host("a", "bad").Publish();
  Culprit one = Make("a");
  one.error_message = "q: other\nr: no good\nz: more";
  quarantine_.Report(1, one);
  Culprit two = Make("a", nullptr, "envoy-2");
  two.error_message = "r: no good";
  quarantine_.Report(2, two);
  Answer();
  EXPECT_EQ(Delivered("a"), "-");
}

TEST_F(QuarantineTest, ASecondNodeExtendsItToTheFleetAfterAllWereAskedAgain) {
  Host("a", "bad").Publish();
  quarantine_.Report(1, Make("a", PartOf("a", "good")));
  Answer();
  quarantine_.Report(2, Make("a", nullptr, "envoy-2"));
  EXPECT_EQ(tickets_.size(), 2U);
  EXPECT_EQ(Delivered("a"), "bad");
  Answer();
  EXPECT_EQ(Delivered("a"), "good");
  EXPECT_THAT(told_, ElementsAre("+r/a=", "+r/a=!"));
  EXPECT_EQ(quarantine_.totals().quarantined, 1U) << "it is one content";
  EXPECT_EQ(quarantine_.totals().fleet, 1U);
}

TEST_F(QuarantineTest, AnEnvoyThatRunsItMeanwhileKeepsItForTheFleet) {
  Host("a", "odd").Publish();
  quarantine_.Report(1, Make("a"));
  Answer();
  quarantine_.Report(2, Make("a", nullptr, "envoy-2"));
  Answer({}, {.runs = true});
  EXPECT_EQ(Delivered("a"), "odd");
  EXPECT_THAT(told_, ElementsAre("+r/a", "-r/a"));
}

TEST_F(QuarantineTest, TheLastGoodContentTakesItsPlaceUntilItChanges) {
  Host("a", "bad").Host("b", "1").Publish();
  ReportByTwo("a", PartOf("a", "good"));
  EXPECT_EQ(Delivered("a"), "good");
  EXPECT_EQ(Delivered("b"), "1");
  EXPECT_THAT(told_, ElementsAre("+r/a=!"));
  ASSERT_EQ(quarantine_.View().size(), 1U);
  EXPECT_EQ(quarantine_.View()[0].error_message, "no good");
  EXPECT_EQ(quarantine_.View()[0].node_id, "envoy-1");
  EXPECT_EQ(delivered_->fleet->exclusions().size(), 1U);

  Host("b", "2").Publish();
  EXPECT_EQ(Delivered("a"), "good") << "as long as the content is the same";
  EXPECT_EQ(Delivered("b"), "2");

  Host("a", "mended").Publish();
  EXPECT_EQ(Delivered("a"), "mended");
  EXPECT_THAT(told_, ElementsAre("+r/a=!", "-r/a=!"));
  EXPECT_THAT(quarantine_.View(), IsEmpty());

  Host("a", "bad").Publish();
  EXPECT_EQ(Delivered("a"), "bad") << "tried again";
  const Quarantine::Totals totals = quarantine_.totals();
  EXPECT_EQ(totals.now, 0U);
  EXPECT_EQ(totals.quarantined, 1U);
  EXPECT_EQ(totals.released, 1U);
}

TEST_F(QuarantineTest, WithoutAGoodContentItIsLeftOut) {
  Host("a", "bad").Host("b", "1").Publish();
  ReportByTwo("a");
  EXPECT_EQ(Delivered("a"), "-");
  EXPECT_EQ(Delivered("b"), "1");
  EXPECT_THAT(told_, ElementsAre("+r/a!"));
}

TEST_F(QuarantineTest, AnotherEnvoyMayKnowAGoodContent) {
  Host("a", "bad").Publish();
  quarantine_.Report(1, Make("a"));
  Opinion opinion;
  opinion.good.part = PartOf("a", "good");
  Answer({}, opinion);
  EXPECT_EQ(Delivered("a", "envoy-1"), "good");
}

TEST_F(QuarantineTest, WhatAnEnvoyRunsIsGood) {
  Host("a", "taken").Publish();
  quarantine_.Report(1, Make("a"));
  Answer({}, {.runs = true});
  EXPECT_EQ(Delivered("a", "envoy-1"), "taken");
  quarantine_.Report(2, Make("a"));
  EXPECT_EQ(tickets_.size(), 1U) << "that is known now";
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(QuarantineTest, EndsWhenAnEnvoyRunsIt) {
  Host("a", "taken").Publish();
  const Culprit culprit = Make("a");
  ReportByTwo("a");
  EXPECT_EQ(Delivered("a"), "-");
  quarantine_.MarkRunning(culprit.key, culprit.version);
  EXPECT_EQ(Delivered("a"), "taken");
  EXPECT_THAT(told_, ElementsAre("+r/a!", "-r/a!"));
}

TEST_F(QuarantineTest, ReportsThatNoLongerCountNarrowItAndThenEndIt) {
  Host("a", "1").Publish();
  ReportByTwo("a");
  EXPECT_EQ(Delivered("a"), "-");
  quarantine_.IgnoreReports(1);
  EXPECT_EQ(Delivered("a"), "1");
  EXPECT_EQ(Delivered("a", "envoy-1"), "1");
  EXPECT_EQ(Delivered("a", "envoy-2"), "-") << "it refused it, too";
  quarantine_.IgnoreReports(2);
  EXPECT_EQ(Delivered("a", "envoy-2"), "1");
}

TEST_F(QuarantineTest, ReportsThatNoLongerCountDuringTheInquiry) {
  Host("a", "1").Publish();
  quarantine_.Report(1, Make("a"));
  quarantine_.IgnoreReports(1);
  Answer();
  EXPECT_EQ(Delivered("a", "envoy-1"), "1");
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(QuarantineTest, WhatChangedMeanwhileIsNotQuarantined) {
  Host("a", "bad").Publish();
  quarantine_.Report(1, Make("a"));
  Host("a", "mended").Publish();
  Answer();
  EXPECT_EQ(Delivered("a", "envoy-1"), "mended");
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(QuarantineTest, BringsBackWhatTheGoodContentNeeds) {
  editor_.Set(kCDS, {.name = "new", .bytes = "new"});
  Host("a", "bad", {"new"}).Publish();
  Culprit culprit = Make("a", PartOf("a", "good", {"old"}));
  const auto resource = [](const std::string& name) {
    return std::make_shared<const Resource>(Resource{.name = name, .bytes = name + "@1"});
  };
  culprit.good.needs = {{kCDS, resource("old")}, {kEDS, resource("old")}, {kCDS, resource("new")}};
  quarantine_.Report(1, std::move(culprit));
  Answer();
  const SnapshotPtr own = delivered_->For("envoy-1");
  ASSERT_NE(own->Find(kCDS, "old"), nullptr);
  EXPECT_NE(own->Find(kEDS, "old"), nullptr);
  EXPECT_EQ(own->Find(kCDS, "new")->bytes, "new") << "what there is stays";
  EXPECT_EQ(own->UsersOfCluster("old"), 1U);
  EXPECT_EQ(own->UsersOfCluster("new"), 0U);
}

TEST_F(QuarantineTest, NamesWhatStandInsNeedWhenThatChanges) {
  Host("a", "bad").Publish();
  Culprit culprit = Make("a", PartOf("a", "good", {"old"}));
  Resource cluster{.name = "old", .bytes = "old"};
  cluster.assignment = "endpoints";
  culprit.good.needs = {{kCDS, std::make_shared<const Resource>(cluster)},
                        {ResourceType::kSecret, MakeBlank("secret")}};
  quarantine_.Report(1, std::move(culprit));
  EXPECT_THAT(needs_, IsEmpty()) << "not before it is in force";
  Answer();
  Host("b", "1").Publish();
  const StandInNeeds needs{.assignments = {"endpoints"}, .secrets = {"secret"}};
  EXPECT_THAT(needs_, ElementsAre(needs));
  Host("a", "mended").Publish();
  EXPECT_THAT(needs_, ElementsAre(needs, StandInNeeds()));
}

TEST_F(QuarantineTest, AWholeListenerIsNeverLeftOut) {
  editor_.SetHead(kLDS, "l", "head");
  editor_.SetPart(kLDS, "l", {.name = "c", .bytes = "bad"});
  editor_.Set(kLDS, {.name = "stats", .bytes = "stats"});
  Publish();
  const auto report = [&](const std::string& name, const std::optional<std::string>& part) {
    for (const std::uint64_t session : {1, 2}) {
      Culprit culprit;
      culprit.key = {kLDS, name, part};
      culprit.version = *ContentVersion(*editor_.Find(kLDS, name), part);
      culprit.node_id = "envoy-" + std::to_string(session);
      quarantine_.Report(session, culprit);
    }
    Answer();
  };
  report("l", "c");
  report("stats", std::nullopt);
  for (const std::string node : {"another", "envoy-1", "envoy-2"}) {
    ASSERT_NE(delivered_->For(node)->Find(kLDS, "l"), nullptr);
    EXPECT_NE(delivered_->For(node)->Find(kLDS, "l")->parts.Find("c"), nullptr);
    EXPECT_NE(delivered_->For(node)->Find(kLDS, "stats"), nullptr);
  }
}

TEST_F(QuarantineTest, AHeadIsReplacedUnderItsParts) {
  Host("a", "1");
  editor_.SetHead(kRDS, "r", "bad");
  Publish();
  Culprit culprit;
  culprit.key = {kRDS, "r", std::nullopt};
  culprit.version = *ContentVersion(*editor_.Find(kRDS, "r"), std::nullopt);
  culprit.node_id = "envoy-1";
  culprit.good.resource =
      std::make_shared<const Resource>(Resource{.name = "r", .bytes = "good head"});
  quarantine_.Report(1, culprit);
  Answer();
  EXPECT_EQ(delivered_->For("envoy-1")->Find(kRDS, "r")->bytes, "good head");
  EXPECT_EQ(Delivered("a", "envoy-1"), "1");
}

TEST_F(QuarantineTest, IsBounded) {
  for (std::size_t i = 0; i < Quarantine::kContents + 10; ++i) Host(std::to_string(i), "bad");
  Publish();
  for (std::size_t i = 0; i < Quarantine::kContents + 10; ++i) {
    const std::size_t asked = tickets_.size();
    quarantine_.Report(1, Make(std::to_string(i)));
    if (tickets_.size() > asked) Answer();
  }
  EXPECT_EQ(quarantine_.totals().now, Quarantine::kContents);
}

TEST_F(QuarantineTest, NodesWithSnapshotsOfTheirOwnAreBounded) {
  Host("a", "bad").Publish();
  for (std::size_t i = 0; i < Quarantine::kNodes + 10; ++i) {
    Culprit culprit = Make("a", nullptr, "node-" + std::to_string(i));
    culprit.error_message = "error " + std::to_string(i);  // so that no two confirm each other
    quarantine_.Report(i, culprit);
    if (i == 0) Answer();
  }
  EXPECT_EQ(delivered_->nodes.size(), Quarantine::kNodes);
  EXPECT_EQ(Delivered("a"), "bad");
}

}  // namespace
}  // namespace contour::xds
