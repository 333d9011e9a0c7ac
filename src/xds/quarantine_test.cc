// SPDX-License-Identifier: Apache-2.0
#include "xds/quarantine.h"

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
            [this](std::uint64_t ticket, const Item&, const Hash128&) {
              tickets_.push_back(ticket);
              return std::size_t{2};
            },
            [this](const SnapshotPtr& snapshot) { delivered_ = snapshot; }) {}

  void Note(const std::string& sign, const QuarantineView& view) {
    told_.push_back(sign + view.item.resource + "/" + view.item.part.value_or("") +
                    (view.replaced ? "=" : ""));
  }

  QuarantineTest& Host(const std::string& host, const std::string& content,
                       std::vector<std::string> clusters = {}) {
    editor_.SetHead(kRDS, "r", "head");
    editor_.SetPart(kRDS, "r", {.name = host, .bytes = content, .clusters = std::move(clusters)});
    return *this;
  }
  void Publish() { quarantine_.Publish(editor_.Commit()); }

  std::string Delivered(const std::string& host) const {
    const PartPtr part = delivered_->Find(kRDS, "r")->parts.Find(host);
    return part == nullptr ? "-" : part->bytes;
  }
  Culprit Make(const std::string& host, const PartPtr& good = nullptr) const {
    Culprit culprit;
    culprit.item = {kRDS, "r", host};
    culprit.version = *ContentVersion(*editor_.Find(kRDS, "r"), host);
    culprit.good.part = good;
    culprit.words = "no good";
    culprit.node_id = "envoy-1";
    return culprit;
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
  SnapshotPtr delivered_;
  std::vector<std::uint64_t> tickets_;
  std::vector<std::string> told_;
  Quarantine quarantine_;
};

TEST_F(QuarantineTest, NothingRefusedIsPassedOnAsItIs) {
  Host("a", "1").Publish();
  EXPECT_EQ(delivered_, editor_.Commit());
}

TEST_F(QuarantineTest, TheLastGoodContentTakesItsPlaceUntilItChanges) {
  Host("a", "bad").Host("b", "1").Publish();
  quarantine_.Accuse(1, Make("a", PartOf("a", "good")));
  EXPECT_EQ(Delivered("a"), "bad") << "not before all were asked";
  Answer();
  EXPECT_EQ(Delivered("a"), "good");
  EXPECT_EQ(Delivered("b"), "1");
  EXPECT_THAT(told_, ElementsAre("+r/a="));
  ASSERT_EQ(quarantine_.View().size(), 1U);
  EXPECT_EQ(quarantine_.View()[0].words, "no good");
  EXPECT_EQ(quarantine_.View()[0].node_id, "envoy-1");
  EXPECT_EQ(delivered_->exclusions().size(), 1U);

  Host("b", "2").Publish();
  EXPECT_EQ(Delivered("a"), "good") << "as long as the content is the same";
  EXPECT_EQ(Delivered("b"), "2");

  Host("a", "mended").Publish();
  EXPECT_EQ(Delivered("a"), "mended");
  EXPECT_THAT(told_, ElementsAre("+r/a=", "-r/a="));
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
  quarantine_.Accuse(1, Make("a"));
  Answer();
  EXPECT_EQ(Delivered("a"), "-");
  EXPECT_EQ(Delivered("b"), "1");
  EXPECT_THAT(told_, ElementsAre("+r/a"));
}

TEST_F(QuarantineTest, AnotherEnvoyMayKnowAGoodContent) {
  Host("a", "bad").Publish();
  quarantine_.Accuse(1, Make("a"));
  Opinion opinion;
  opinion.good.part = PartOf("a", "good");
  Answer({}, opinion);
  EXPECT_EQ(Delivered("a"), "good");
}

TEST_F(QuarantineTest, WhatAnEnvoyRunsIsGood) {
  Host("a", "taken").Publish();
  quarantine_.Accuse(1, Make("a"));
  Answer({}, {.runs = true});
  EXPECT_EQ(Delivered("a"), "taken");
  quarantine_.Accuse(2, Make("a"));
  EXPECT_EQ(tickets_.size(), 1U) << "that is known now";
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(QuarantineTest, EndsWhenAnEnvoyRunsIt) {
  Host("a", "taken").Publish();
  const Culprit culprit = Make("a");
  quarantine_.Accuse(1, culprit);
  Answer();
  EXPECT_EQ(Delivered("a"), "-");
  quarantine_.Dispute(culprit.item, culprit.version);
  EXPECT_EQ(Delivered("a"), "taken");
  EXPECT_THAT(told_, ElementsAre("+r/a", "-r/a"));
}

TEST_F(QuarantineTest, EndsWhenItsOnlyAccuserIsNotBelieved) {
  Host("a", "1").Host("b", "1").Publish();
  quarantine_.Accuse(1, Make("a"));
  Answer();
  quarantine_.Accuse(1, Make("b"));
  Answer();
  quarantine_.Accuse(2, Make("b"));
  quarantine_.Distrust(1);
  EXPECT_EQ(Delivered("a"), "1");
  EXPECT_EQ(Delivered("b"), "-") << "another refused it too";
}

TEST_F(QuarantineTest, AnAccuserThatIsNotBelievedMeanwhile) {
  Host("a", "1").Publish();
  quarantine_.Accuse(1, Make("a"));
  quarantine_.Distrust(1);
  Answer();
  EXPECT_EQ(Delivered("a"), "1");
}

TEST_F(QuarantineTest, WhatChangedMeanwhileIsNotQuarantined) {
  Host("a", "bad").Publish();
  quarantine_.Accuse(1, Make("a"));
  Host("a", "mended").Publish();
  Answer();
  EXPECT_EQ(Delivered("a"), "mended");
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
  quarantine_.Accuse(1, std::move(culprit));
  Answer();
  ASSERT_NE(delivered_->Find(kCDS, "old"), nullptr);
  EXPECT_NE(delivered_->Find(kEDS, "old"), nullptr);
  EXPECT_EQ(delivered_->Find(kCDS, "new")->bytes, "new") << "what there is stays";
  EXPECT_EQ(delivered_->UsersOfCluster("old"), 1U);
  EXPECT_EQ(delivered_->UsersOfCluster("new"), 0U);
}

TEST_F(QuarantineTest, AListenerWithoutItsLastChainIsLeftOut) {
  editor_.SetHead(kLDS, "l", "head");
  editor_.SetPart(kLDS, "l", {.name = "c", .bytes = "bad"});
  Publish();
  Culprit culprit;
  culprit.item = {kLDS, "l", "c"};
  culprit.version = *ContentVersion(*editor_.Find(kLDS, "l"), "c");
  quarantine_.Accuse(1, culprit);
  Answer();
  EXPECT_EQ(delivered_->Find(kLDS, "l"), nullptr);
}

TEST_F(QuarantineTest, AHeadIsReplacedUnderItsParts) {
  Host("a", "1");
  editor_.SetHead(kRDS, "r", "bad");
  Publish();
  Culprit culprit;
  culprit.item = {kRDS, "r", std::nullopt};
  culprit.version = *ContentVersion(*editor_.Find(kRDS, "r"), std::nullopt);
  culprit.good.resource =
      std::make_shared<const Resource>(Resource{.name = "r", .bytes = "good head"});
  quarantine_.Accuse(1, culprit);
  Answer();
  EXPECT_EQ(delivered_->Find(kRDS, "r")->bytes, "good head");
  EXPECT_EQ(Delivered("a"), "1");
}

TEST_F(QuarantineTest, IsBounded) {
  for (std::size_t i = 0; i < Quarantine::kContents + 10; ++i) Host(std::to_string(i), "bad");
  Publish();
  for (std::size_t i = 0; i < Quarantine::kContents + 10; ++i) {
    const std::size_t asked = tickets_.size();
    quarantine_.Accuse(1, Make(std::to_string(i)));
    if (tickets_.size() > asked) Answer();
  }
  EXPECT_EQ(quarantine_.totals().now, Quarantine::kContents);
}

}  // namespace
}  // namespace contour::xds
