// SPDX-License-Identifier: Apache-2.0
// The threads of the server without gRPC: what the thread sanitizer can judge.

#include "xds/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace contour::xds {
namespace {

using namespace std::chrono_literals;
using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DeltaDiscoveryResponse;

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kRDS = ResourceType::kRoutes;
constexpr auto kSRDS = ResourceType::kScopedRoutes;
constexpr std::chrono::seconds kPatience{20};

SnapshotPtr Clusters(int count, int content = 0) {
  SnapshotEditor editor(nullptr);
  for (int i = 0; i < count; ++i) {
    const std::string name = "c" + std::to_string(i);
    editor.Set(kCDS, {.name = name, .bytes = name + "@" + std::to_string(content)});
  }
  return editor.Commit();
}

// A stream whose other end is the test. `automatic`: reads and acknowledges at once, as an Envoy
// does.
class Client : public Sink {
 public:
  Client(Dispatcher& dispatcher, bool automatic, std::string peer = "peer",
         StreamMode mode = StreamMode::kAggregatedDelta)
      : dispatcher_(dispatcher),
        automatic_(automatic),
        connection_(dispatcher.Open(this, mode, kCDS, std::move(peer))) {
    started_ = dispatcher_.Start(connection_);
  }
  ~Client() override { Close(); }

  void Close() {
    if (!closed_) dispatcher_.Close(connection_);
    closed_ = true;
  }

  // Delivered when the dispatcher reads.
  void Send(const DeltaDiscoveryRequest& request) {
    const MutexLock lock(mutex_);
    requests_.push_back(request.SerializeAsString());
    Deliver();
  }
  void Subscribe(ResourceType type, const std::string& node_id = "node",
                 const std::string& name = "*") {
    DeltaDiscoveryRequest request;
    request.mutable_node()->set_id(node_id);
    request.set_type_url(std::string(Info(type).url));
    request.add_resource_names_subscribe(name);
    Send(request);
  }

  // Sink.
  void Read() override {
    const MutexLock lock(mutex_);
    reading_ = true;
    Deliver();
  }
  void Write(Payload payload) override {
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(response.ParseFromString(payload.Text()));
    const MutexLock lock(mutex_);
    EXPECT_FALSE(writing_) << "one at a time";
    EXPECT_FALSE(status_.has_value()) << "after the end";
    writing_ = true;
    responses_.push_back(response);
    written_at_.push_back(std::chrono::steady_clock::now());
    changes_[response.type_url()] +=
        static_cast<std::size_t>(response.resources_size() + response.removed_resources_size());
    changed_.NotifyAll();
    if (automatic_) Take(response);
  }
  void Finish(absl::Status status) override {
    const MutexLock lock(mutex_);
    EXPECT_FALSE(status_.has_value()) << "once";
    status_ = status;
    changed_.NotifyAll();
  }

  // From now on it subscribes to the assignments of its clusters, which have their names.
  void FollowClusters() { follows_ = true; }

  // Of a client that isn't automatic: reads what is written.
  void TakeWritten() {
    const MutexLock lock(mutex_);
    if (writing_) Take(responses_.back());
  }

  std::size_t WaitForResponses(std::size_t count) {
    const MutexLock lock(mutex_);
    Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return responses_.size() >= count; });
    return responses_.size();
  }
  // Resources that were sent or removed so far.
  std::size_t changes(ResourceType type) {
    const MutexLock lock(mutex_);
    return changes_[std::string(Info(type).url)];
  }
  bool WaitForChanges(ResourceType type, std::size_t count) {
    const MutexLock lock(mutex_);
    return Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return changes_[std::string(Info(type).url)] >= count;
    });
  }
  std::chrono::steady_clock::time_point written_at(std::size_t response) {
    const MutexLock lock(mutex_);
    return written_at_.at(response);
  }
  DeltaDiscoveryResponse last() {
    const MutexLock lock(mutex_);
    return responses_.back();
  }
  bool WaitForContent(const std::string& content) {
    const MutexLock lock(mutex_);
    return Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasContent(content); });
  }
  absl::Status WaitForStatus() {
    const MutexLock lock(mutex_);
    Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return status_.has_value(); });
    return status_.value_or(absl::OkStatus());
  }
  bool started() const { return started_; }

 private:
  void Deliver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!reading_ || requests_.empty()) return;
    reading_ = false;
    dispatcher_.OnRequest(connection_, std::move(requests_.front()));
    requests_.pop_front();
  }
  void Take(const DeltaDiscoveryResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = false;
    dispatcher_.OnWritten(connection_);
    DeltaDiscoveryRequest request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    requests_.push_back(request.SerializeAsString());
    if (follows_ && response.type_url() == Info(kCDS).url) {
      DeltaDiscoveryRequest endpoints;
      endpoints.set_type_url(std::string(Info(kEDS).url));
      for (const auto& resource : response.resources()) {
        if (clusters_.insert(resource.name()).second)
          endpoints.add_resource_names_subscribe(resource.name());
      }
      for (const std::string& name : response.removed_resources()) {
        clusters_.erase(name);
        endpoints.add_resource_names_unsubscribe(name);
      }
      requests_.push_back(endpoints.SerializeAsString());
    }
    Deliver();
  }
  bool HasContent(const std::string& content) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !responses_.empty() && responses_.back().resources_size() > 0 &&
           responses_.back().resources(0).resource().value().find(content) != std::string::npos;
  }
  template <typename Predicate>
  bool Await(const Predicate& predicate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!predicate()) {
      if (!changed_.WaitUntil(mutex_, deadline)) return predicate();
    }
    return true;
  }

  Dispatcher& dispatcher_;
  const bool automatic_;
  const Dispatcher::ConnectionPtr connection_;
  bool started_ = false;
  bool closed_ = false;
  Mutex mutex_;
  Condition changed_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<DeltaDiscoveryResponse> responses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::chrono::steady_clock::time_point> written_at_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> changes_ ABSL_GUARDED_BY(mutex_);  // by type URL
  bool follows_ = false;
  std::set<std::string> clusters_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

TEST(Dispatcher, AnswersAfterTheFirstSnapshotOnly) {
  Dispatcher dispatcher({});
  Client client(dispatcher, true);
  client.Subscribe(kCDS);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(dispatcher.GetMetrics().counters.responses[Index(kCDS)], 0U);
  dispatcher.Publish(Clusters(3));
  ASSERT_EQ(client.WaitForResponses(1), 1U);
  EXPECT_EQ(client.last().resources_size(), 3);
  dispatcher.Stop();
}

TEST(Dispatcher, CountsAndShowsItsEnvoys) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(1));
  {
    Client one(dispatcher, true, "a");
    Client two(dispatcher, true, "b");
    one.Subscribe(kCDS, "node-1");
    two.Subscribe(kCDS, "node-2");
    ASSERT_EQ(one.WaitForResponses(1), 1U);
    ASSERT_EQ(two.WaitForResponses(1), 1U);
    const Metrics metrics = dispatcher.GetMetrics();
    EXPECT_EQ(metrics.streams, 2U);
    EXPECT_EQ(metrics.sessions, 2U);
    EXPECT_EQ(metrics.counters.responses[Index(kCDS)], 2U);
    EXPECT_GT(metrics.bytes, 0U);
    const std::vector<SessionView> sessions = dispatcher.Sessions();
    ASSERT_EQ(sessions.size(), 2U);
    EXPECT_EQ(sessions[0].node_id, "node-1");
    EXPECT_EQ(sessions[1].peer, "b");
  }
  for (int i = 0; i < 2000 && dispatcher.GetMetrics().streams > 0; ++i)
    std::this_thread::sleep_for(5ms);
  const Metrics metrics = dispatcher.GetMetrics();
  EXPECT_EQ(metrics.streams, 0U);
  EXPECT_EQ(metrics.sessions, 0U);
  EXPECT_EQ(metrics.streams_opened, 2U);
  EXPECT_EQ(metrics.counters.responses[Index(kCDS)], 2U) << "what is gone stays counted";
  dispatcher.Stop();
}

TEST(Dispatcher, StreamsPerTypeOfOneConnectionShareASession) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(1));
  Client one(dispatcher, true, "a", StreamMode::kDelta);
  Client two(dispatcher, true, "a", StreamMode::kDelta);
  Client elsewhere(dispatcher, true, "b", StreamMode::kDelta);
  Client nameless(dispatcher, true, "a", StreamMode::kDelta);
  one.Subscribe(kCDS);
  two.Subscribe(kRDS);
  elsewhere.Subscribe(kCDS);
  nameless.Subscribe(kCDS, "");
  for (Client* client : {&one, &two, &elsewhere, &nameless})
    ASSERT_EQ(client->WaitForResponses(1), 1U);
  EXPECT_EQ(dispatcher.GetMetrics().sessions, 3U);
  dispatcher.Stop();
}

TEST(Dispatcher, ARequestWithoutATypeMeansTheServices) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(1));
  Client client(dispatcher, true, "a", StreamMode::kDelta);
  client.Send({});
  ASSERT_EQ(client.WaitForResponses(1), 1U);
  EXPECT_EQ(client.last().type_url(), Info(kCDS).url);
  dispatcher.Stop();
}

TEST(Dispatcher, AnUnknownTypeEndsAStreamPerType) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(1));
  Client unknown(dispatcher, true, "a", StreamMode::kDelta);
  DeltaDiscoveryRequest request;
  request.set_type_url("type.googleapis.com/x");
  unknown.Send(request);
  EXPECT_EQ(unknown.WaitForStatus().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(unknown.WaitForStatus()),
            "no resource registered for typeURL \"type.googleapis.com/x\"");
  dispatcher.Stop();
}

TEST(Dispatcher, TimeOutsComeByThemselves) {
  Dispatcher dispatcher({.warm_timeout = 100ms});
  SnapshotEditor editor(nullptr);
  editor.Set(kCDS, {.name = "a", .bytes = "a"});
  editor.SetPart(kRDS, "r", {.name = "h", .bytes = "hhh", .clusters = {"a"}});
  dispatcher.Publish(editor.Commit());
  Client client(dispatcher, false);
  client.Subscribe(kCDS);
  ASSERT_EQ(client.WaitForResponses(1), 1U);
  client.TakeWritten();  // acknowledged: warm
  client.Subscribe(kRDS, "node", "r");
  ASSERT_EQ(client.WaitForResponses(2), 2U);
  client.TakeWritten();
  Resource slow{.name = "b", .bytes = "b"};
  slow.warm_by = WarmBy::kAssignment;  // whose endpoints nobody asks for
  slow.assignment = "b";
  editor.Set(kCDS, slow);
  editor.SetPart(kRDS, "r", {.name = "i", .bytes = "iii", .clusters = {"b"}});
  dispatcher.Publish(editor.Commit());
  ASSERT_EQ(client.WaitForResponses(3), 3U);
  client.TakeWritten();
  ASSERT_EQ(client.WaitForResponses(4), 4U);
  EXPECT_NE(client.last().resources(0).resource().value().find("iii"), std::string::npos);
  EXPECT_EQ(dispatcher.GetMetrics().counters.released, 1U);
  dispatcher.Stop();
}

TEST(Dispatcher, AStalledClientSkipsAndCostsOthersNothing) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(1));
  Client stalled(dispatcher, false, "a");
  Client lively(dispatcher, true, "a");
  stalled.Subscribe(kCDS);
  lively.Subscribe(kCDS);
  ASSERT_EQ(stalled.WaitForResponses(1), 1U);
  ASSERT_EQ(lively.WaitForResponses(1), 1U);
  for (int i = 1; i <= 500; ++i) dispatcher.Publish(Clusters(1, i));
  EXPECT_TRUE(lively.WaitForContent("@500"));
  EXPECT_EQ(stalled.WaitForResponses(1), 1U);
  stalled.TakeWritten();
  EXPECT_TRUE(stalled.WaitForContent("@500"));
  EXPECT_EQ(stalled.WaitForResponses(2), 2U) << "only the newest";
  dispatcher.Stop();
}

// Hosts with a cluster, an assignment and routes each, and the assignment of one more host.
class Hosts {
 public:
  Hosts() : editor_(nullptr) {}
  void Put(int count, int content) {
    for (int i = 0; i < std::max(count, count_); ++i) {
      const std::string name = "c" + std::to_string(i);
      if (i >= count) {
        for (const ResourceType type : {kCDS, kEDS, kSRDS}) editor_.Remove(type, name);
        continue;
      }
      Resource cluster{.name = name, .bytes = name + "@" + std::to_string(content)};
      cluster.warm_by = WarmBy::kAssignment;
      cluster.assignment = name;
      editor_.Set(kCDS, cluster);
      editor_.Set(kEDS, {.name = name, .bytes = name});
      editor_.Set(kSRDS, {.name = name, .bytes = cluster.bytes, .clusters = {name}});
    }
    count_ = count;
  }
  void PutOther(int content) {
    editor_.Set(kEDS, {.name = "other", .bytes = "other@" + std::to_string(content)});
  }
  SnapshotPtr Commit() { return editor_.Commit(); }

 private:
  SnapshotEditor editor_;
  int count_ = 0;
};

// With slices of no time every session is left after one step.
TEST(Dispatcher, AChangeReachesOtherEnvoysBeforeTenThousandChangesOfOneAreLookedAt) {
  constexpr int kOthers = 8;
  Dispatcher dispatcher({.slice = 0ms});
  Hosts hosts;
  hosts.Put(10'000, 0);
  hosts.PutOther(0);
  dispatcher.Publish(hosts.Commit());
  Client busy(dispatcher, true, "busy");
  std::vector<std::unique_ptr<Client>> others;  // some came before it, some after it
  for (int i = 0; i < kOthers; ++i) {
    if (i == kOthers / 2) {
      busy.Subscribe(kCDS);
      ASSERT_EQ(busy.WaitForResponses(1), 1U);
      ASSERT_EQ(busy.last().resources_size(), 10'000) << "the first answer is whole";
    }
    others.push_back(std::make_unique<Client>(dispatcher, true, "other-" + std::to_string(i)));
    others.back()->Subscribe(kEDS, "node", "other");
    ASSERT_EQ(others.back()->WaitForResponses(1), 1U);
  }

  hosts.Put(10'000, 1);
  hosts.PutOther(1);
  dispatcher.Publish(hosts.Commit());
  ASSERT_GE(busy.WaitForResponses(2), 2U);
  for (const auto& other : others) {
    ASSERT_TRUE(other->WaitForContent("other@1"));
    EXPECT_LT(other->written_at(1), busy.written_at(1))
        << "before the first response with some of the changes was made";
  }
  EXPECT_TRUE(busy.WaitForChanges(kCDS, 20'000)) << "nothing is left out";
  dispatcher.Stop();
}

// Ten thousand hosts come, change and go at one Envoy: clusters are sent, endpoints asked for and
// sent, routes follow, all is acknowledged. Another host changes all the time at another Envoy.
TEST(Dispatcher, AChangeReachesAnotherEnvoyWithinABoundWhileOneDigestsTenThousandHosts) {
  Dispatcher dispatcher({});
  Hosts hosts;
  hosts.Put(1, 0);
  hosts.PutOther(0);
  dispatcher.Publish(hosts.Commit());
  Client busy(dispatcher, true, "busy");
  busy.FollowClusters();
  busy.Subscribe(kCDS);
  ASSERT_TRUE(busy.WaitForChanges(kEDS, 1));
  busy.Subscribe(kSRDS);
  ASSERT_TRUE(busy.WaitForChanges(kSRDS, 1));
  Client other(dispatcher, true, "other");
  other.Subscribe(kEDS, "node", "other");
  ASSERT_EQ(other.WaitForResponses(1), 1U);

  int content = 0;
  std::chrono::nanoseconds longest{0};
  std::chrono::nanoseconds all{0};
  const std::vector<std::pair<int, int>> phases = {{10'000, 1}, {10'000, 2}, {1, 2}};
  for (const auto& [count, generation] : phases) {
    const std::size_t wanted = busy.changes(kSRDS) + 9'999;
    hosts.Put(count, generation);
    const auto begin = std::chrono::steady_clock::now();
    while (busy.changes(kSRDS) < wanted || busy.changes(kCDS) < wanted) {
      hosts.PutOther(++content);
      const SnapshotPtr snapshot = hosts.Commit();
      const auto published = std::chrono::steady_clock::now();
      dispatcher.Publish(snapshot);
      ASSERT_TRUE(other.WaitForContent("other@" + std::to_string(content)));
      longest =
          std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - published);
      ASSERT_LT(std::chrono::steady_clock::now() - begin, 6 * kPatience);
    }
    all += std::chrono::steady_clock::now() - begin;
  }
  EXPECT_LT(longest, all / 5);
  dispatcher.Stop();
}

TEST(Dispatcher, StopEndsEveryStreamAndRefusesNewOnes) {
  Dispatcher dispatcher({.workers = 3});
  dispatcher.Publish(Clusters(10));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<Client>(dispatcher, i % 2 == 0, std::to_string(i)));
    clients.back()->Subscribe(kCDS);
  }
  dispatcher.Stop();
  for (const auto& client : clients)
    EXPECT_EQ(client->WaitForStatus().code(), absl::StatusCode::kUnavailable);
  Client late(dispatcher, true);
  EXPECT_FALSE(late.started());
  dispatcher.Stop();
}

TEST(Dispatcher, StopWithoutASnapshot) {
  Dispatcher dispatcher({});
  Client client(dispatcher, true);
  client.Subscribe(kCDS);
  dispatcher.Stop();
  EXPECT_EQ(client.WaitForStatus().code(), absl::StatusCode::kUnavailable);
}

// Everybody does everything at once.
TEST(Dispatcher, Storm) {
  std::atomic<int> rejections = 0;
  Dispatcher dispatcher({.workers = 2, .on_rejection = [&](const Rejection&) { ++rejections; }});
  dispatcher.Publish(Clusters(20));
  std::atomic<bool> done = false;
  std::thread publisher([&] {
    for (int i = 0; !done; ++i) {
      dispatcher.Publish(Clusters(20 + i % 5, i));
      std::this_thread::sleep_for(200us);
    }
  });
  std::thread viewer([&] {
    while (!done) {
      dispatcher.GetMetrics();
      dispatcher.Sessions();
      std::this_thread::sleep_for(1ms);
    }
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (int round = 0; round < 40; ++round) {
        const StreamMode mode =
            random() % 2 == 0 ? StreamMode::kAggregatedDelta : StreamMode::kDelta;
        Client client(dispatcher, random() % 4 != 0, std::to_string(random() % 4), mode);
        client.Subscribe(kCDS, "node-" + std::to_string(random() % 3));
        if (random() % 2 == 0) client.Subscribe(kRDS, "", "r");
        if (random() % 3 == 0) {
          DeltaDiscoveryRequest rejected;
          rejected.set_type_url(std::string(Info(kCDS).url));
          rejected.set_response_nonce("1");
          rejected.mutable_error_detail()->set_message("no");
          client.Send(rejected);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        client.Close();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  Client last(dispatcher, true, "last");
  last.Subscribe(kCDS);
  EXPECT_GE(last.WaitForResponses(1), 1U);
  done = true;
  publisher.join();
  viewer.join();
  dispatcher.Publish(Clusters(1, 1 << 30));
  EXPECT_TRUE(last.WaitForContent("@" + std::to_string(1 << 30)));
  dispatcher.Stop();
}

}  // namespace
}  // namespace contour::xds
