// SPDX-License-Identifier: Apache-2.0
#include "xds/session/sent_state.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace contour::xds {
namespace {

ResourcePtr Content(const std::string& name, const std::string& bytes) {
  auto resource = std::make_shared<Resource>();
  resource->name = name;
  resource->bytes = bytes;
  resource->version = HashPair(name, bytes);
  return resource;
}

class SentStateTest : public ::testing::Test {
 protected:
  // Sends the contents in one response of this sequence.
  void Send(std::uint64_t sequence, const std::vector<ResourcePtr>& contents) {
    InFlight response{.sequence = sequence};
    for (const ResourcePtr& content : contents) {
      response.changes.push_back({NameOf(content), content});
      sent_.Send(response.changes.back(), sequence, kNoEdit);
    }
    sent_.AddResponse(std::move(response));
  }
  std::vector<std::string> Possible(const std::string& name) const {
    std::vector<std::string> bytes;
    sent_.ForEachPossible(name,
                          [&](const ResourcePtr& content) { bytes.push_back(content->bytes); });
    return bytes;
  }

  std::uint64_t examined_ = 0;
  SentState sent_{examined_};
};

TEST_F(SentStateTest, NothingIsKeptOfWhatWasAckedAsItWasSent) {
  Send(1, {Content("a", "1")});
  EXPECT_EQ(sent_.Acked("a"), nullptr);
  EXPECT_FALSE(sent_.settled());
  const InFlight response = sent_.TakeOldest();
  EXPECT_TRUE(sent_.Ack(response.changes[0], response.sequence));
  EXPECT_EQ(sent_.Acked("a")->bytes, "1");
  EXPECT_TRUE(sent_.settled());
}

TEST_F(SentStateTest, AfterANackTheEnvoyRunsWhatItAckedBefore) {
  Send(1, {Content("a", "1")});
  const InFlight first = sent_.TakeOldest();
  sent_.Ack(first.changes[0], first.sequence);
  Send(2, {Content("a", "2")});
  const InFlight second = sent_.TakeOldest();
  sent_.Nack(second.changes[0], second.sequence);
  EXPECT_TRUE(sent_.IsNacked("a"));
  EXPECT_EQ(sent_.Find("a")->bytes, "2");
  EXPECT_EQ(sent_.Acked("a")->bytes, "1");
}

TEST_F(SentStateTest, EveryContentThatTheEnvoyMayRunIsKnown) {
  Send(1, {Content("a", "1")});
  const InFlight first = sent_.TakeOldest();
  sent_.Ack(first.changes[0], first.sequence);
  Send(2, {Content("a", "2")});
  const InFlight second = sent_.TakeOldest();
  sent_.Nack(second.changes[0], second.sequence);
  sent_.MarkPossiblyApplied(second.changes[0]);
  Send(3, {Content("a", "3")});
  EXPECT_EQ(Possible("a"), (std::vector<std::string>{"3", "1", "2"}));
}

TEST_F(SentStateTest, TooManyPossibleContentsCountAsAny) {
  Send(1, {Content("a", "1")});
  for (int i = 0; i <= 16; ++i) {
    const ResourcePtr content = Content("a", std::to_string(i));
    sent_.MarkPossiblyApplied({NameOf(content), content});
  }
  EXPECT_FALSE(sent_.ForEachPossible("a", [](const ResourcePtr&) {}));
}

TEST_F(SentStateTest, AnOlderAnswerSaysNothingAboutANameThatWasForgotten) {
  Send(1, {Content("a", "1")});
  sent_.Forget("a");
  Send(2, {Content("a", "2")});
  const InFlight first = sent_.TakeOldest();
  EXPECT_FALSE(sent_.Ack(first.changes[0], first.sequence));
  EXPECT_EQ(sent_.Acked("a"), nullptr);
}

TEST_F(SentStateTest, TheFirstContentIsSpelledOutWhenSomethingHappensToIt) {
  auto table = std::make_shared<Table>();
  table->Set(Content("a", "1"));
  table->Set(Content("b", "1"));
  SharedTables shared;
  sent_.SendFirst({1, table, shared.Sorted(*table)});
  sent_.AddResponse({.sequence = 1});
  EXPECT_TRUE(sent_.pending().empty());
  EXPECT_EQ(sent_.Acked("a"), nullptr);
  sent_.Forget("a");
  EXPECT_EQ(sent_.pending().size(), 1U);
  EXPECT_EQ(sent_.in_flight().front().changes.size(), 2U);
}

}  // namespace
}  // namespace contour::xds
