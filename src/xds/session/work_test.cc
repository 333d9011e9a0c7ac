// SPDX-License-Identifier: Apache-2.0
// The work for one Envoy follows what changes: for many hosts at once it is so many times that of
// one. Counted in steps (Session::examined), not in seconds.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "xds/session/session.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {
namespace {

using namespace std::chrono_literals;

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kLDS = ResourceType::kListener;
constexpr auto kRDS = ResourceType::kRoutes;
constexpr auto kSDS = ResourceType::kSecret;
constexpr auto kSRDS = ResourceType::kScopedRoutes;

// How routes are delivered: all in one resource, or a resource for each host; with sharded HTTPS
// also a secret for each.
enum class DeliveryMode : std::uint8_t { kClassic, kSharded, kShardedHTTPS };
// How the Envoy connects.
struct Mode {
  bool aggregated = true;
  Protocol protocol = Protocol::kDelta;
};

std::string HostName(int i) { return fmt::format("host-{}", i); }
std::string ClusterName(int i, int generation) { return fmt::format("c{}/{}", i, generation); }
std::string AssignmentName(int i) { return fmt::format("a{}", i); }

class Hosts {
 public:
  explicit Hosts(DeliveryMode delivery_mode) : delivery_mode_(delivery_mode), editor_(nullptr) {
    editor_.Set(kLDS, {.name = "listener", .bytes = "listener"});
    if (delivery_mode == DeliveryMode::kClassic) editor_.SetHead(kRDS, "routes", "head");
    Put(-1, 0);
  }

  // With another generation a host has another cluster, with the same endpoints.
  void Put(int i, int generation) {
    Drop(i);
    Resource cluster{.name = ClusterName(i, generation), .bytes = ClusterName(i, generation)};
    cluster.warm_by = WarmBy::kAssignment;
    cluster.assignment = AssignmentName(i);
    editor_.Set(kCDS, cluster);
    editor_.Set(kEDS, {.name = AssignmentName(i), .bytes = AssignmentName(i)});
    const std::string bytes = fmt::format("{}@{}", HostName(i), generation);
    if (delivery_mode_ == DeliveryMode::kClassic) {
      editor_.SetPart(kRDS, "routes",
                      {.name = HostName(i), .bytes = bytes, .clusters = {cluster.name}});
    } else {
      editor_.Set(kSRDS, {.name = HostName(i), .bytes = bytes, .clusters = {cluster.name}});
    }
    if (delivery_mode_ == DeliveryMode::kShardedHTTPS)
      editor_.Set(kSDS, {.name = HostName(i), .bytes = "secret"});
    generations_[i] = generation;
  }
  void Drop(int i) {
    const auto known = generations_.find(i);
    if (known == generations_.end()) return;
    editor_.Remove(kCDS, ClusterName(i, known->second));
    editor_.Remove(kEDS, AssignmentName(i));
    editor_.RemovePart(kRDS, "routes", HostName(i));
    editor_.Remove(kSRDS, HostName(i));
    editor_.Remove(kSDS, HostName(i));
    generations_.erase(known);
  }
  SnapshotPtr Commit() { return editor_.Commit(); }

 private:
  const DeliveryMode delivery_mode_;
  SnapshotEditor editor_;
  std::map<int, int> generations_;
};

// An Envoy that takes everything. It asks for the endpoints of its clusters, in streams per type
// with a stream for each cluster, and for the secret of each host.
class Envoy {
 public:
  Envoy(Mode mode, DeliveryMode delivery_mode, const SnapshotPtr& snapshot)
      : mode_(mode),
        delivery_mode_(delivery_mode),
        session_({"node", "peer", mode.aggregated}, {}, snapshot) {
    Request(kCDS, {});
    Run();
    Request(kLDS, {});
    Run();
    if (delivery_mode == DeliveryMode::kClassic) {
      routes_ = {"routes"};
      xds::Request routes;
      (delta() ? routes.subscribe : routes.names) = {"routes"};
      Request(kRDS, std::move(routes));
    } else {
      Request(kSRDS, {});
    }
    Run();
  }

  void Take(const SnapshotPtr& snapshot) {
    session_.Offer(snapshot);
    Run();
  }

  // Everything that is sent is read before anything is acknowledged: so routes have to wait.
  void Run() {
    for (;;) {
      for (Stream* stream : std::exchange(ending_, {})) session_.Detach(*stream, now_);
      const std::vector<Stream*> ready = session_.TakeReady(now_);
      if (ready.empty()) break;
      std::vector<std::pair<Stream*, Response>> responses;
      for (Stream* stream : ready) {
        while (std::optional<Response> response = stream->Next(now_))
          responses.emplace_back(stream, *std::move(response));
      }
      for (const auto& [stream, response] : responses) Handle(*stream, response);
    }
  }

  std::uint64_t examined() const { return session_.examined(); }
  std::size_t held() const { return session_.Held(); }
  std::size_t holds(ResourceType type) const { return has_[Index(type)].size(); }
  void Advance(std::chrono::milliseconds time) {
    now_ += time;
    Run();
  }

 private:
  bool delta() const { return mode_.protocol == Protocol::kDelta; }

  Stream& StreamOf(ResourceType type, const std::string& name) {
    const std::string key = !mode_.aggregated && type == kEDS ? name : "";
    const auto which = mode_.aggregated ? std::pair(kCDS, key) : std::pair(type, key);
    Stream*& stream = streams_[which];
    if (stream == nullptr) stream = &session_.Attach(mode_.protocol);
    return *stream;
  }
  void Request(ResourceType type, xds::Request request, const std::string& name = "") {
    Send(StreamOf(type, name), type, std::move(request));
  }
  void Send(Stream& stream, ResourceType type, xds::Request request) {
    request.type_url = Info(type).url;
    ASSERT_TRUE(stream.OnRequest(request, now_).ok());
  }

  void Handle(Stream& stream, const Response& response) {
    std::set<std::string>& has = has_[Index(response.type)];
    std::vector<std::string> came;
    std::vector<std::string> gone = response.removed;
    if (!delta() && Info(response.type).whole) {
      std::set<std::string> now;
      for (const ResourcePtr& resource : response.resources) now.insert(resource->name);
      for (const std::string& name : has) {
        if (!now.contains(name)) gone.push_back(name);
      }
    }
    for (const ResourcePtr& resource : response.resources) {
      if (has.insert(resource->name).second) came.push_back(resource->name);
    }
    for (const std::string& name : gone) has.erase(name);
    Acknowledge(stream, response);
    if (response.type == kCDS) Follow(response, gone);
    if (response.type == kSRDS && delivery_mode_ == DeliveryMode::kShardedHTTPS && !came.empty()) {
      xds::Request secrets;
      if (delta()) {
        secrets.subscribe = came;
      } else {
        secrets.names = {has.begin(), has.end()};
        secrets.nonce = nonce_[kSDS];
      }
      Request(kSDS, std::move(secrets));
    }
  }

  void Acknowledge(Stream& stream, const Response& response) {
    xds::Request request{.nonce = response.nonce, .version = response.version};
    nonce_[response.type] = response.nonce;
    if (!delta()) {
      if (response.type == kEDS && mode_.aggregated) {
        request.names = Subscribed();
      } else if (response.type == kEDS) {
        for (const ResourcePtr& resource : response.resources)
          request.names.push_back(resource->name);
      } else if (response.type == kRDS) {
        request.names = routes_;
      } else if (response.type == kSDS) {
        request.names = {has_[Index(kSRDS)].begin(), has_[Index(kSRDS)].end()};
      }
    }
    Send(stream, response.type, std::move(request));
  }

  // Subscribes to the endpoints of new clusters, and no longer to those of clusters that went.
  void Follow(const Response& response, const std::vector<std::string>& gone) {
    std::vector<std::string> subscribe;
    std::vector<std::string> unsubscribe;
    for (const ResourcePtr& cluster : response.resources) {
      if (!cluster_assignment_.emplace(cluster->name, cluster->assignment).second) continue;
      if (++users_[cluster->assignment] == 1) subscribe.push_back(cluster->assignment);
      if (mode_.aggregated) continue;
      xds::Request request;
      (delta() ? request.subscribe : request.names) = {cluster->assignment};
      Request(kEDS, std::move(request), cluster->name);
    }
    for (const std::string& name : gone) {
      const auto at = cluster_assignment_.find(name);
      if (at == cluster_assignment_.end()) continue;
      if (--users_[at->second] == 0) {
        users_.erase(at->second);
        unsubscribe.push_back(at->second);
        has_[Index(kEDS)].erase(at->second);
      }
      cluster_assignment_.erase(at);
      if (mode_.aggregated) continue;
      const auto stream = streams_.find({kEDS, name});
      ending_.push_back(stream->second);
      streams_.erase(stream);
    }
    if (!mode_.aggregated || (subscribe.empty() && unsubscribe.empty())) return;
    xds::Request request;
    if (delta()) {
      request.subscribe = std::move(subscribe);
      request.unsubscribe = std::move(unsubscribe);
    } else {
      request.names = Subscribed();
      request.nonce = nonce_[kEDS];
    }
    Request(kEDS, std::move(request));
  }

  std::vector<std::string> Subscribed() const {
    std::vector<std::string> names;
    for (const auto& [name, users] : users_) names.push_back(name);
    return names;
  }

  const Mode mode_;
  const DeliveryMode delivery_mode_;
  Time now_{};
  Session session_;
  std::map<std::pair<ResourceType, std::string>, Stream*> streams_;
  std::vector<Stream*> ending_;
  std::map<ResourceType, std::string> nonce_;
  std::array<std::set<std::string>, kResourceTypes> has_;
  std::vector<std::string> routes_;
  std::map<std::string, std::string> cluster_assignment_;
  std::map<std::string, int> users_;  // of an assignment
};

struct Steps {
  std::uint64_t come = 0;
  std::uint64_t change = 0;
  std::uint64_t go = 0;
};

// Counts the steps for `count` hosts, so many at a time.
Steps Measure(Mode mode, DeliveryMode delivery_mode, int count, int at_once) {
  Hosts hosts(delivery_mode);
  Envoy envoy(mode, delivery_mode, hosts.Commit());
  Steps steps;
  const auto phase = [&](std::uint64_t& measured, auto&& change) {
    const std::uint64_t before = envoy.examined();
    for (int i = 0; i < count; ++i) {
      change(i);
      if ((i + 1) % at_once == 0 || i + 1 == count) envoy.Take(hosts.Commit());
    }
    measured = envoy.examined() - before;
  };
  phase(steps.come, [&](int i) { hosts.Put(i, 0); });
  EXPECT_EQ(envoy.holds(kCDS), static_cast<std::size_t>(count + 1));
  EXPECT_EQ(envoy.held(), 0U) << "every cluster is warm";
  phase(steps.change, [&](int i) { hosts.Put(i, 1); });
  EXPECT_EQ(envoy.holds(kCDS), static_cast<std::size_t>(count + 1)) << "the old clusters are gone";
  phase(steps.go, [&](int i) { hosts.Drop(i); });
  EXPECT_EQ(envoy.holds(kCDS), 1U);
  return steps;
}

// All Envoys that come are sent the same: what one of them costs doesn't follow the hosts.
TEST(FirstContent, CostsNoStepForEachResource) {
  const auto steps = [](Protocol protocol, DeliveryMode delivery_mode, int count) {
    Hosts hosts(delivery_mode);
    for (int i = 0; i < count; ++i) hosts.Put(i, 0);
    const Envoy envoy({true, protocol}, delivery_mode, hosts.Commit());
    EXPECT_EQ(envoy.holds(kCDS), static_cast<std::size_t>(count + 1));
    EXPECT_EQ(envoy.holds(kEDS), static_cast<std::size_t>(count + 1));
    EXPECT_EQ(envoy.holds(delivery_mode == DeliveryMode::kClassic ? kRDS : kSRDS),
              static_cast<std::size_t>(delivery_mode == DeliveryMode::kClassic ? 1 : count + 1));
    return envoy.examined();
  };
  for (const Protocol protocol : {Protocol::kDelta, Protocol::kStateOfTheWorld}) {
    for (const DeliveryMode delivery_mode : {DeliveryMode::kClassic, DeliveryMode::kSharded}) {
      EXPECT_LE(steps(protocol, delivery_mode, 2000), steps(protocol, delivery_mode, 200) + 10);
    }
  }
}

// Nor does what it costs when it comes back with all of it.
TEST(FirstContent, CostsNoStepForEachResourceOfAnEnvoyThatComesBack) {
  const auto steps = [](int count) {
    Hosts hosts(DeliveryMode::kSharded);
    for (int i = 0; i < count; ++i) hosts.Put(i, 0);
    const SnapshotPtr snapshot = hosts.Commit();
    Session session({"node", "peer", true}, {}, snapshot);
    Stream& stream = session.Attach(Protocol::kDelta);
    for (const ResourceType type : {kCDS, kEDS, kLDS, kSRDS}) {
      Request request{.type_url = std::string(Info(type).url)};
      snapshot->table(type).ForEach([&](const ResourcePtr& resource) {
        request.initial_versions.emplace_back(resource->name, resource->version.Hex());
        if (type == kEDS) request.subscribe.push_back(resource->name);
      });
      EXPECT_TRUE(stream.OnRequest(request, Time{}).ok());
    }
    for (const ResourceType type : {kCDS, kLDS, kSRDS}) {
      const std::optional<Response> response = stream.Next(Time{});
      EXPECT_TRUE(response.has_value() && response->type == type && response->resources.empty());
    }
    EXPECT_FALSE(stream.Next(Time{}).has_value()) << "of the endpoints nothing is sent";
    return session.examined();
  };
  EXPECT_LE(steps(2000), steps(200) + 10);
}

class WorkTest : public testing::TestWithParam<std::tuple<bool, Protocol, DeliveryMode>> {};

// Eight times the hosts are at most so many times the steps; quadratic work would be 64 times.
constexpr double kMost = 8 * 1.3;

void ExpectLinear(const Steps& few, const Steps& many) {
  const auto ratio = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<double>(b) / static_cast<double>(a);
  };
  EXPECT_LT(ratio(few.come, many.come), kMost) << few.come << " → " << many.come;
  EXPECT_LT(ratio(few.change, many.change), kMost) << few.change << " → " << many.change;
  EXPECT_LT(ratio(few.go, many.go), kMost) << few.go << " → " << many.go;
}

TEST_P(WorkTest, FollowsTheHostsThatChangeAtOnce) {
  const auto& [aggregated, protocol, delivery_mode] = GetParam();
  const Mode mode{aggregated, protocol};
  ExpectLinear(Measure(mode, delivery_mode, 280, 280), Measure(mode, delivery_mode, 2240, 2240));
}

// One after the other, the Envoy keeps pace.
TEST_P(WorkTest, FollowsTheHostsThatChangeOneByOne) {
  const auto& [aggregated, protocol, delivery_mode] = GetParam();
  const Mode mode{aggregated, protocol};
  ExpectLinear(Measure(mode, delivery_mode, 30, 1), Measure(mode, delivery_mode, 240, 1));
}

std::string NameOf(const testing::TestParamInfo<WorkTest::ParamType>& parameter) {
  const auto& [aggregated, protocol, delivery_mode] = parameter.param;
  std::string name = aggregated ? "Aggregated" : "PerType";
  name += protocol == Protocol::kDelta ? "Delta" : "StateOfTheWorld";
  if (delivery_mode == DeliveryMode::kClassic) return name + "Classic";
  return name + (delivery_mode == DeliveryMode::kSharded ? "Sharded" : "ShardedHTTPS");
}

INSTANTIATE_TEST_SUITE_P(
    Modes, WorkTest,
    testing::Combine(testing::Bool(), testing::Values(Protocol::kDelta, Protocol::kStateOfTheWorld),
                     testing::Values(DeliveryMode::kClassic, DeliveryMode::kSharded,
                                     DeliveryMode::kShardedHTTPS)),
    NameOf);

}  // namespace
}  // namespace contour::xds
