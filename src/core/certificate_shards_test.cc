// SPDX-License-Identifier: Apache-2.0
#include "core/certificate_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace contour::core {
namespace {

using Lists = std::map<std::string, std::vector<std::string>>;

// Applies the changes in the way in which listeners are set or removed.
std::size_t Take(CertificateShards& shards, Lists& lists) {
  const Lists changes = shards.TakeChanges();
  for (const auto& [name, hosts] : changes) {
    if (hosts.empty()) {
      EXPECT_TRUE(lists.erase(name) > 0) << name;
    } else {
      lists[name] = hosts;
    }
  }
  return changes.size();
}

std::string Host(int number) { return "host-" + std::to_string(number) + ".example"; }

TEST(CertificateShards, OneListForFewHosts) {
  CertificateShards shards;
  EXPECT_TRUE(shards.TakeChanges().empty());
  shards.Add("b.example");
  shards.Add("a.example");
  const Lists want = {{"certificates/", {"a.example", "b.example"}}};
  EXPECT_EQ(shards.TakeChanges(), want);
  EXPECT_TRUE(shards.TakeChanges().empty());
  shards.Add("a.example");
  EXPECT_TRUE(shards.TakeChanges().empty());
  shards.Remove("a.example");
  shards.Remove("b.example");
  const Lists gone = {{"certificates/", {}}};
  EXPECT_EQ(shards.TakeChanges(), gone);
}

TEST(CertificateShards, AHostChangesOneList) {
  CertificateShards shards;
  Lists lists;
  for (int i = 0; i < 5000; ++i) shards.Add(Host(i));
  Take(shards, lists);
  EXPECT_GT(lists.size(), 5000 / CertificateShards::kHosts);
  std::size_t changed = 0;
  for (int i = 5000; i < 5100; ++i) {
    shards.Add(Host(i));
    changed += Take(shards, lists);
  }
  EXPECT_LT(changed, 120U);  // some of them split one
}

TEST(CertificateShards, FollowFromTheHostsAlone) {
  std::mt19937 random(5);
  CertificateShards shards;
  Lists lists;
  std::set<std::string> hosts;
  for (int step = 0; step < 300; ++step) {
    const bool growing = step < 150;
    for (unsigned i = 0; i < random() % 20; ++i) {
      const std::string host = Host(static_cast<int>(random() % 2000));
      if (random() % 5 == 0 ? !growing : growing) {
        shards.Add(host);
        hosts.insert(host);
      } else {
        shards.Remove(host);
        hosts.erase(host);
      }
    }
    Take(shards, lists);
    if (step % 10 != 0) continue;
    CertificateShards fresh;
    for (const std::string& host : hosts) fresh.Add(host);
    Lists want;
    Take(fresh, want);
    ASSERT_EQ(lists, want) << step;
    std::size_t total = 0;
    for (const auto& [name, list] : lists) {
      EXPECT_LE(list.size(), CertificateShards::kHosts);
      EXPECT_EQ(shards.ListenerOf(list.front()), name);
      total += list.size();
    }
    EXPECT_EQ(total, hosts.size());
  }
}

}  // namespace
}  // namespace contour::core
