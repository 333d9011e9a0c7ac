// SPDX-License-Identifier: Apache-2.0

#include "file/manifest_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "api/ingress_route.h"
#include "api/service.h"

namespace contour::file {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Returns a Service. Its versions differ by `type`.
api::ObjectPtr Service(const std::string& name, const std::string& type = "ClusterIP") {
  auto service = std::make_shared<api::Service>();
  service->meta.ns = "default";
  service->meta.name = name;
  service->spec.type = type;
  return service;
}

// Returns "+name type" or "-name" for each change, in order.
std::vector<std::string> Take(ManifestSet& set) {
  std::vector<std::string> changes;
  for (const api::Change& change : set.TakeChanges()) {
    const auto* service = api::As<api::Service>(change.object.get());
    changes.push_back(service == nullptr ? "-" + change.ref.name
                                         : "+" + change.ref.name + " " + service->spec.type);
  }
  return changes;
}

// Collects the changes of shadowed objects that a set reports, which gives those shadowed now.
class Shadows {
 public:
  // Takes the changes of the set.
  const std::multiset<Shadowed>& Of(ManifestSet& set) {
    for (const auto& [shadowed, now] : set.TakeShadowedChanges()) {
      if (now) {
        all_.insert(shadowed);
      } else {
        const auto known = all_.find(shadowed);
        if (known == all_.end()) {
          ADD_FAILURE() << shadowed.ref.name << " was not shadowed";
        } else {
          all_.erase(known);
        }
      }
    }
    return all_;
  }
  std::vector<std::string> Texts(ManifestSet& set) {
    std::vector<std::string> texts;
    for (const Shadowed& s : Of(set))
      texts.push_back(s.ref.name + ": " + s.winner + " over " + s.loser);
    return texts;
  }

 private:
  std::multiset<Shadowed> all_;
};

TEST(ManifestSet, OnlyWhatChanged) {
  ManifestSet set;
  set.Put("a", {Service("y", "1"), Service("x", "1")});
  EXPECT_THAT(Take(set), ElementsAre("+x 1", "+y 1"));
  EXPECT_THAT(Take(set), IsEmpty());
  set.Put("a", {Service("x", "1"), Service("y", "1")});
  EXPECT_THAT(Take(set), IsEmpty()) << "another order, the same objects";
  set.Put("a", {Service("x", "2"), Service("z", "1")});
  EXPECT_THAT(Take(set), ElementsAre("+x 2", "-y", "+z 1"));
  EXPECT_EQ(set.object_count(), 2u);
  set.Remove("a");
  EXPECT_THAT(Take(set), ElementsAre("-x", "-z"));
  set.Remove("a");
  EXPECT_THAT(Take(set), IsEmpty());
  set.Put("a", {Service("x")});
  set.Remove("a");
  EXPECT_THAT(Take(set), IsEmpty()) << "came and went between";
}

TEST(ManifestSet, AChangeOfStatusIsAChange) {
  const auto route = [](const char* status) {
    auto made = std::make_shared<api::IngressRoute>();
    made->meta.name = "r";
    made->status.current_status = status;
    return made;
  };
  ManifestSet set;
  set.Put("a", {route("valid")});
  EXPECT_EQ(set.TakeChanges().size(), 1u);
  set.Put("a", {route("invalid")});
  EXPECT_EQ(set.TakeChanges().size(), 1u);
  set.Put("a", {route("invalid")});
  EXPECT_EQ(set.TakeChanges().size(), 0u);
}

TEST(ManifestSet, TheFirstPathWins) {
  ManifestSet set;
  Shadows shadows;
  set.Put("m/b", {Service("x", "b")});
  EXPECT_THAT(Take(set), ElementsAre("+x b"));
  set.Put("m/a", {Service("x", "a")});
  set.Put("m/c", {Service("x", "c")});
  EXPECT_THAT(Take(set), ElementsAre("+x a"));
  EXPECT_THAT(shadows.Texts(set), ElementsAre("x: m/a over m/b", "x: m/a over m/c"));
  set.Remove("m/a");
  EXPECT_THAT(Take(set), ElementsAre("+x b")) << "in its place, not gone between";
  EXPECT_THAT(shadows.Texts(set), ElementsAre("x: m/b over m/c"));
  set.Put("m/b", {});
  EXPECT_THAT(Take(set), ElementsAre("+x c"));
  EXPECT_THAT(shadows.Texts(set), IsEmpty());
  set.Put("m/\xc3\xa9", {Service("x", "e")});
  EXPECT_THAT(Take(set), IsEmpty()) << "bytes above 127 come last";
}

TEST(ManifestSet, TwiceInOneFile) {
  ManifestSet set;
  Shadows shadows;
  set.Put("a", {Service("x", "1"), Service("x", "2")});
  EXPECT_THAT(Take(set), ElementsAre("+x 1"));
  EXPECT_THAT(shadows.Texts(set), ElementsAre("x: a over a"));
  set.Put("a", {Service("x", "2")});
  EXPECT_THAT(Take(set), ElementsAre("+x 2"));
  EXPECT_THAT(shadows.Texts(set), IsEmpty());
}

TEST(ManifestSet, AVanishedFileYields) {
  ManifestSet set;
  Shadows shadows;
  set.Put("a", {Service("x", "a"), Service("y", "a")});
  Take(set);
  set.Yield("a");
  EXPECT_THAT(Take(set), IsEmpty()) << "in force while nobody else has them";
  set.Put("b", {Service("x", "b")});
  EXPECT_THAT(Take(set), ElementsAre("+x b"));
  EXPECT_THAT(shadows.Texts(set), IsEmpty());
  set.Unyield("a");
  EXPECT_THAT(Take(set), ElementsAre("+x a"));
  EXPECT_THAT(shadows.Texts(set), ElementsAre("x: a over b"));
  set.Yield("a");
  set.Put("a", {Service("x", "a2")});
  EXPECT_THAT(Take(set), ElementsAre("+x a2", "-y")) << "it has come back";
  set.Yield("never there");
}

// After any history the objects in force are those that a fresh set of the final files has.
TEST(ManifestSet, AnyHistoryEndsAlike) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 200; ++round) {
    ManifestSet set;
    Shadows shadows;
    std::map<std::string, std::vector<api::ObjectPtr>> files;
    std::map<std::string, std::string> in_force;
    for (int step = 0; step < 30; ++step) {
      const std::string path(1, static_cast<char>('a' + pick(4)));
      if (pick(4) == 0) {
        set.Remove(path);
        files.erase(path);
      } else {
        std::vector<api::ObjectPtr> objects;
        for (int i = pick(4); i > 0; --i) {
          objects.push_back(Service(std::to_string(pick(5)), std::to_string(pick(3))));
        }
        set.Put(path, objects);
        files[path] = objects;
      }
      if (pick(2) != 0) continue;
      for (const std::string& change : Take(set)) {
        const std::string name = change.substr(1, change.find(' ') - 1);
        if (change[0] == '-') {
          ASSERT_EQ(in_force.erase(name), 1u);
        } else {
          ASSERT_NE(std::exchange(in_force[name], change), change);
        }
      }
      ManifestSet fresh;
      for (const auto& [file, objects] : files) fresh.Put(file, objects);
      std::vector<std::string> expected;
      for (const auto& [name, change] : in_force) expected.push_back(change);
      ASSERT_EQ(Take(fresh), expected);
      Shadows expected_shadows;
      ASSERT_EQ(shadows.Of(set), expected_shadows.Of(fresh));
      ASSERT_EQ(set.object_count(), in_force.size());
    }
  }
}

}  // namespace
}  // namespace contour::file
