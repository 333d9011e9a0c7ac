// SPDX-License-Identifier: Apache-2.0

#include "core/name_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace contour::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// A content is a text; its plain name is the first letter, its full name all but a trailing mark.
using Index = NameIndex<std::string>;
std::string Plain(const std::string& content) { return content.substr(0, 1); }
std::string Full(const std::string& content) {
  return "full " + content.substr(0, content.find('!'));
}

std::vector<std::string> NamesOf(const Index::Changes& changes) {
  std::vector<std::string> names;
  for (const auto& [name, change] : changes.names)
    names.push_back(name + " → " + (change.closed ? "closed" : change.now.value_or("nothing")));
  return names;
}

TEST(NameIndex, ANameIsPlainAsLongAsOneContentHasIt) {
  Index index(Plain, Full);
  index.Add("apple");
  index.Add("apple");  // another user
  index.Add("banana");
  EXPECT_THAT(NamesOf(index.TakeChanges()), ElementsAre("a → apple", "b → banana"));
  index.Remove("apple");
  EXPECT_THAT(NamesOf(index.TakeChanges()), IsEmpty());
  index.Remove("apple");
  index.Remove("banana");
  index.Add("blueberry");
  const Index::Changes changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("a → nothing", "b → blueberry"));
  EXPECT_EQ(changes.names.at("b").before, "banana");
  EXPECT_THAT(changes.renamed, IsEmpty());
}

TEST(NameIndex, WhenTwoContentsMeetBothHaveTheirFullNames) {
  Index index(Plain, Full);
  index.Add("apple");
  index.TakeChanges();
  index.Add("apricot");
  Index::Changes changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes),
              ElementsAre("a → nothing", "full apple → apple", "full apricot → apricot"));
  EXPECT_EQ(changes.names.at("a").before, "apple");
  EXPECT_THAT(changes.renamed, ElementsAre("apple"));
  EXPECT_THAT(changes.contested, ElementsAre("a"));
  EXPECT_EQ(index.ContentOf("a"), std::nullopt);
  EXPECT_EQ(index.ContentOf("full apple"), "apple");

  // A third one concerns neither of them.
  index.Add("avocado");
  changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("full avocado → avocado"));
  EXPECT_THAT(changes.renamed, IsEmpty());

  index.Remove("apple");
  EXPECT_THAT(NamesOf(index.TakeChanges()), ElementsAre("full apple → nothing"));
  index.Remove("avocado");
  changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes),
              ElementsAre("a → apricot", "full apricot → nothing", "full avocado → nothing"));
  EXPECT_THAT(changes.renamed, ElementsAre("apricot"));
  EXPECT_THAT(changes.uncontested, ElementsAre("a"));
  EXPECT_THAT(index.contested(), IsEmpty());
}

// Where a Service changes, its hosts go from one content to the next one after the other.
TEST(NameIndex, NamesThatAreEqualOnlyWithinABatchDontCount) {
  Index index(Plain, Full);
  index.Add("apple");
  index.Add("apple");
  index.TakeChanges();
  for (int host = 0; host < 2; ++host) {
    index.Add("apricot");
    index.Remove("apple");
  }
  Index::Changes changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("a → apricot"));
  EXPECT_EQ(changes.names.at("a").before, "apple");
  EXPECT_THAT(changes.renamed, IsEmpty());
  EXPECT_THAT(changes.contested, IsEmpty());
  index.Remove("apricot");
  index.Add("apricot");
  EXPECT_THAT(NamesOf(index.TakeChanges()), IsEmpty());
}

TEST(NameIndex, WhereEvenFullNamesMeetNobodyIsServed) {
  Index index(Plain, Full);
  index.Add("apple!1");
  index.Add("apple!2");
  index.Add("apricot");
  Index::Changes changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes),
              ElementsAre("a → nothing", "full apple → closed", "full apricot → apricot"));
  EXPECT_EQ(index.ContentOf("full apple"), std::nullopt);
  EXPECT_THAT(index.closed(), ElementsAre("full apple"));
  index.Remove("apple!1");
  changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("full apple → apple!2"));
  EXPECT_TRUE(changes.names.at("full apple").was_closed);
  EXPECT_EQ(changes.names.at("full apple").before, std::nullopt);
  EXPECT_THAT(index.closed(), IsEmpty());
}

TEST(NameIndex, WithoutFullNamesAContestedOneIsClosed) {
  Index index(Plain, Plain);
  index.Add("apple");
  index.TakeChanges();
  index.Add("apricot");
  Index::Changes changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("a → closed"));
  EXPECT_EQ(changes.names.at("a").before, "apple");
  EXPECT_THAT(changes.renamed, ElementsAre("apple"));
  index.Add("avocado");
  index.Remove("apple");
  EXPECT_THAT(NamesOf(index.TakeChanges()), ElementsAre("a → closed"));
  index.Remove("apricot");
  changes = index.TakeChanges();
  EXPECT_THAT(NamesOf(changes), ElementsAre("a → avocado"));
  EXPECT_THAT(changes.renamed, ElementsAre("avocado"));
}

TEST(NameIndex, FindsNamesByTheirBeginning) {
  NameIndex<std::string> index([](const std::string& text) { return text; },
                               [](const std::string& text) { return text; });
  for (const char* name : {"a/b", "a/b/c", "a/b/d", "a/bc", "b"}) index.Add(name);
  std::set<std::string> names;
  index.InsertNames("a/b/", names);
  EXPECT_THAT(names, ElementsAre("a/b/c", "a/b/d"));
}

// Returns for each name the content for which it must stand.
std::map<std::string, std::string> Model(const std::multiset<std::string>& users) {
  std::map<std::string, std::set<std::string>> plain;
  std::map<std::string, std::set<std::string>> names;
  for (const std::string& content : users) plain[Plain(content)].insert(content);
  for (const std::string& content : users)
    names[plain[Plain(content)].size() == 1 ? Plain(content) : Full(content)].insert(content);
  std::map<std::string, std::string> model;
  for (const auto& [name, contents] : names)
    model[name] = contents.size() == 1 ? *contents.begin() : "closed";
  return model;
}

TEST(NameIndex, AnyHistoryEndsInTheNamesOfWhatIsInUse) {
  const std::vector<std::string> contents = {"a1", "a2", "a3", "a3!x", "b1", "b2", "b2!x", "c"};
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Index index(Plain, Full);
    std::multiset<std::string> users;
    std::map<std::string, std::string> names;
    for (int step = 0; step < 100; ++step) {
      const std::multiset<std::string> before = users;
      for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
        const std::string& content = contents[random() % contents.size()];
        if (const auto user = users.find(content); user != users.end() && random() % 2 == 0) {
          users.erase(user);
          index.Remove(content);
        } else {
          users.insert(content);
          index.Add(content);
        }
      }
      const Index::Changes changes = index.TakeChanges();
      std::set<std::string> renamed(changes.renamed.begin(), changes.renamed.end());
      for (const auto& [name, change] : changes.names) {
        const auto known = names.find(name);
        const std::string was = known == names.end() ? "nothing" : known->second;
        EXPECT_EQ(change.was_closed ? "closed" : change.before.value_or("nothing"), was) << name;
        names.erase(name);
        if (change.closed) names[name] = "closed";
        if (change.now) names[name] = *change.now;
      }
      EXPECT_EQ(names, Model(users));
      // The contents with another name now are reported.
      const std::map<std::string, std::string> then = Model(before);
      const std::map<std::string, std::string> now = Model(users);
      for (const std::string& content : contents) {
        const bool stays = before.contains(content) && users.contains(content);
        EXPECT_EQ(renamed.contains(content),
                  stays && then.contains(Full(content)) != now.contains(Full(content)))
            << content;
      }
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace contour::core
