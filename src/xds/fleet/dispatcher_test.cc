// SPDX-License-Identifier: Apache-2.0
// The threads of the server without gRPC, which the thread sanitizer can check.

#include "xds/fleet/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "base/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace contour::xds {
namespace {

using namespace std::chrono_literals;
using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DeltaDiscoveryResponse;
using ::envoy::service::discovery::v3::DiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryResponse;

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
  // True if the dispatcher waits for a request.
  bool reading() {
    const MutexLock lock(mutex_);
    return reading_;
  }

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

SessionViews Sessions(const Dispatcher& dispatcher,
                      const ViewFilter& filter = ViewFilter::Everything(),
                      std::chrono::milliseconds patience = kPatience) {
  const auto inquiry = dispatcher.Ask([&] { return std::make_unique<ViewQuestion>(filter); });
  return ViewQuestion::Merge(inquiry->Await(std::chrono::steady_clock::now() + patience), filter,
                             dispatcher.workers());
}

FleetFates Fates(const Dispatcher& dispatcher, std::vector<ResourceQuestion> resources) {
  const auto asked = std::make_shared<const std::vector<ResourceQuestion>>(std::move(resources));
  const auto inquiry = dispatcher.Ask([&] { return std::make_unique<FateQuestion>(asked); });
  return FateQuestion::Merge(inquiry->Await(std::chrono::steady_clock::now() + kPatience),
                             asked->size(), dispatcher.workers());
}

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
    const std::vector<SessionView> sessions = Sessions(dispatcher).envoys;
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

// Many streams that have said nothing yet.
class OpeningReads : public testing::Test {
 protected:
  void Open(std::chrono::milliseconds opening_time) {
    Dispatcher::Options options;
    options.opening_reads = 3;
    options.opening_time = opening_time;
    dispatcher_ = std::make_unique<Dispatcher>(std::move(options));
    dispatcher_->Publish(Clusters(3));
    for (int i = 0; i < 10; ++i)
      clients_.push_back(std::make_unique<Client>(*dispatcher_, true, "peer" + std::to_string(i)));
  }
  std::size_t Reading() {
    return static_cast<std::size_t>(
        std::count_if(clients_.begin(), clients_.end(), [](auto& c) { return c->reading(); }));
  }
  // Waits until so many streams are read, and a little longer.
  std::size_t WaitForReading(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (Reading() < count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    return Reading();
  }

  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<std::unique_ptr<Client>> clients_;  // they end first
};

TEST_F(OpeningReads, AFewStreamsAtATimeAreRead) {
  Open(1h);
  EXPECT_EQ(WaitForReading(3), 3U);
  clients_[0]->Subscribe(kCDS);
  EXPECT_EQ(clients_[0]->WaitForResponses(1), 1U);
  EXPECT_EQ(WaitForReading(3), 3U);
  EXPECT_TRUE(clients_[0]->reading()) << "who has begun goes on first";
  clients_[1]->Close();
  clients_[2]->Close();
  EXPECT_EQ(WaitForReading(5), 5U) << "a closed one counts as reading here";
  EXPECT_TRUE(clients_[3]->reading());
  EXPECT_TRUE(clients_[4]->reading());
}

TEST_F(OpeningReads, AStreamThatSaysNothingKeepsTheOthersForAMomentOnly) {
  Open(1ms);
  EXPECT_EQ(WaitForReading(10), 10U);
}

TEST_F(OpeningReads, AllAreAnsweredInTheEnd) {
  Open(5ms);
  for (const auto& client : clients_) client->Subscribe(kCDS);
  for (const auto& client : clients_) EXPECT_EQ(client->WaitForResponses(1), 1U);
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

// ---- A stream that doesn't read, in each mode ----

// A stream of any mode that reads when the test says so, and acks what it read.
class SlowStream : public Sink {
 public:
  SlowStream(Dispatcher& dispatcher, StreamMode mode)
      : dispatcher_(dispatcher),
        delta_(ProtocolOf(mode) == Protocol::kDelta),
        connection_(dispatcher.Open(this, mode, std::nullopt, "slow")) {
    EXPECT_TRUE(dispatcher_.Start(connection_));
  }
  ~SlowStream() override { dispatcher_.Close(connection_); }

  void Subscribe(ResourceType type, std::vector<std::string> names) {
    const MutexLock lock(mutex_);
    Request(std::string(Info(type).url), "", "", names);
    names_[std::string(Info(type).url)] = std::move(names);
  }
  bool WaitForWritten(std::size_t count) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (written_ < count && changed_.WaitUntil(mutex_, deadline)) {
    }
    return written_ >= count;
  }
  // Reads what was written last, and acks it.
  void Take() {
    const MutexLock lock(mutex_);
    dispatcher_.OnWritten(connection_);
    if (delta_) {
      DeltaDiscoveryResponse response;
      ASSERT_TRUE(response.ParseFromString(last_));
      Request(response.type_url(), response.nonce(), "", {});
    } else {
      DiscoveryResponse response;
      ASSERT_TRUE(response.ParseFromString(last_));
      Request(response.type_url(), response.nonce(), response.version_info(),
              names_[response.type_url()]);
    }
  }
  bool LastHas(const std::string& content) {
    const MutexLock lock(mutex_);
    return last_.find(content) != std::string::npos;
  }

  // Sink.
  void Read() override {
    const MutexLock lock(mutex_);
    reading_ = true;
    Deliver();
  }
  void Write(Payload payload) override {
    const MutexLock lock(mutex_);
    last_ = payload.Text();
    ++written_;
    changed_.NotifyAll();
  }
  void Finish(absl::Status) override {}

 private:
  void Request(const std::string& url, const std::string& nonce, const std::string& version,
               const std::vector<std::string>& names) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto fill = [&](auto request) {
      request.mutable_node()->set_id("slow");
      request.set_type_url(url);
      request.set_response_nonce(nonce);
      return request;
    };
    if (delta_) {
      auto request = fill(DeltaDiscoveryRequest());
      for (const std::string& name : names) request.add_resource_names_subscribe(name);
      requests_.push_back(request.SerializeAsString());
    } else {
      auto request = fill(DiscoveryRequest());
      request.set_version_info(version);
      for (const std::string& name : names) request.add_resource_names(name);
      requests_.push_back(request.SerializeAsString());
    }
    Deliver();
  }
  void Deliver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!reading_ || requests_.empty()) return;
    reading_ = false;
    dispatcher_.OnRequest(connection_, std::move(requests_.front()));
    requests_.pop_front();
  }

  Dispatcher& dispatcher_;
  const bool delta_;
  const Dispatcher::ConnectionPtr connection_;
  Mutex mutex_;
  Condition changed_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<std::string>> names_ ABSL_GUARDED_BY(mutex_);  // by type URL
  std::size_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string last_ ABSL_GUARDED_BY(mutex_);
};

class StalledStream : public testing::TestWithParam<StreamMode> {
 public:
  StalledStream() : dispatcher_({.warm_timeout = 20ms}) {
    editor_.Set(kCDS, {.name = "a", .bytes = "a"});
    editor_.SetHead(kRDS, "r", "head");
    dispatcher_.Publish(editor_.Commit());
    const auto open = [this] { return std::make_unique<SlowStream>(dispatcher_, GetParam()); };
    clusters_ = open();
    if (!IsAggregated(GetParam())) routes_ = open();
  }
  ~StalledStream() override {
    clusters_.reset();
    routes_.reset();
    dispatcher_.Stop();
  }
  SlowStream& clusters() { return *clusters_; }
  SlowStream& routes() { return routes_ == nullptr ? *clusters_ : *routes_; }
  // Returns how many responses the stream of the routes has been sent with the `number`th about
  // routes, where one about clusters comes before each of them.
  std::size_t RoutesWritten(std::size_t number) const {
    return routes_ == nullptr ? 2 * number : number;
  }

  void Begin() {
    clusters().Subscribe(kCDS, {});
    ASSERT_TRUE(clusters().WaitForWritten(1));
    clusters().Take();
    routes().Subscribe(kRDS, {"r"});
    ASSERT_TRUE(routes().WaitForWritten(RoutesWritten(1)));
    routes().Take();
  }
  // The host i needs a cluster that never warms, as nobody asks for its endpoints.
  void AddHeldHost() {
    Resource slow{.name = "b", .bytes = "b"};
    slow.warm_by = WarmBy::kAssignment;
    slow.assignment = "b";
    editor_.Set(kCDS, slow);
    editor_.SetPart(kRDS, "r", {.name = "i", .bytes = "held-host", .clusters = {"b"}});
  }
  std::size_t held() const { return dispatcher_.GetMetrics().held; }
  std::uint64_t released() const { return dispatcher_.GetMetrics().counters.released; }

  SnapshotEditor editor_{nullptr};
  Dispatcher dispatcher_;
  std::unique_ptr<SlowStream> clusters_;
  std::unique_ptr<SlowStream> routes_;  // nullptr: on the same stream
};

TEST_P(StalledStream, WhatItHoldsStaysHeldBeyondTheTimeOutUntilItReads) {
  Begin();
  AddHeldHost();
  editor_.SetPart(kRDS, "r", {.name = "j", .bytes = "other-host"});
  dispatcher_.Publish(editor_.Commit());
  ASSERT_TRUE(clusters().WaitForWritten(IsAggregated(GetParam()) ? 3 : 2));
  clusters().Take();
  ASSERT_TRUE(routes().WaitForWritten(RoutesWritten(2)));  // which it doesn't read
  EXPECT_TRUE(routes().LastHas("other-host"));
  EXPECT_FALSE(routes().LastHas("held-host"));
  EXPECT_EQ(held(), 1U) << "noted before the response was written";
  std::this_thread::sleep_for(60ms);
  EXPECT_EQ(held(), 1U) << "its time is over, but nothing can be written";
  EXPECT_EQ(released(), 0U);
  routes().Take();
  ASSERT_TRUE(routes().WaitForWritten(RoutesWritten(2) + 1));
  EXPECT_TRUE(routes().LastHas("held-host"));
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(released(), 1U);
}

// A host counts as held from the moment in which the stream comes to it.
TEST_P(StalledStream, WhatItHasNotComeToIsNotHeldYet) {
  Begin();
  editor_.SetPart(kRDS, "r", {.name = "j", .bytes = "other-host"});
  dispatcher_.Publish(editor_.Commit());
  ASSERT_TRUE(routes().WaitForWritten(RoutesWritten(1) + 1));  // which it doesn't read
  AddHeldHost();
  dispatcher_.Publish(editor_.Commit());
  if (!IsAggregated(GetParam())) {
    ASSERT_TRUE(clusters().WaitForWritten(2));
  }
  std::this_thread::sleep_for(60ms);
  EXPECT_EQ(held(), 0U);
  routes().Take();
  if (IsAggregated(GetParam())) {
    ASSERT_TRUE(clusters().WaitForWritten(4));  // the cluster, which it doesn't read either
    std::this_thread::sleep_for(60ms);
    EXPECT_EQ(held(), 0U);
    clusters().Take();
  }
  ASSERT_TRUE(routes().WaitForWritten(IsAggregated(GetParam()) ? 5 : 3));
  EXPECT_TRUE(routes().LastHas("held-host")) << "the time-out begins when it is looked at";
  EXPECT_EQ(released(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Modes, StalledStream,
                         testing::Values(StreamMode::kAggregatedDelta,
                                         StreamMode::kAggregatedStateOfTheWorld, StreamMode::kDelta,
                                         StreamMode::kStateOfTheWorld),
                         [](const auto& mode) {
                           const bool delta = ProtocolOf(mode.param) == Protocol::kDelta;
                           return std::string(delta ? "Delta" : "World") +
                                  (IsAggregated(mode.param) ? "Ads" : "PerType");
                         });

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

// ---- Looking ----

// Two workers, of which one is busy until the end of the test; an Envoy on each.
class BusyWorker : public ::testing::Test {
 protected:
  BusyWorker()
      : dispatcher_({.workers = 2, .on_rejection = [this](const Rejection&) {
                       blocked_ = true;
                       release_.Wait();
                     }}) {
    dispatcher_.Publish(Clusters(3));
    // Peers go to workers by their hash.
    const auto worker = [](const std::string& peer) { return HashBytes(peer).low % 2; };
    std::string other = "b";
    while (worker(other) == worker("a")) other += 'b';
    busy_ = std::make_unique<Client>(dispatcher_, false, "a");
    idle_ = std::make_unique<Client>(dispatcher_, true, other);
    busy_->Subscribe(kCDS, "busy");
    idle_->Subscribe(kCDS, "idle");
    EXPECT_EQ(busy_->WaitForResponses(1), 1U);
    EXPECT_EQ(idle_->WaitForResponses(1), 1U);
    DeltaDiscoveryRequest rejection;
    rejection.set_type_url(std::string(Info(kCDS).url));
    rejection.set_response_nonce(busy_->last().nonce());
    rejection.mutable_error_detail()->set_message("no");
    busy_->Send(rejection);
    while (!blocked_) std::this_thread::sleep_for(1ms);
  }
  ~BusyWorker() override {
    release_.Notify();
    busy_.reset();
    idle_.reset();
    dispatcher_.Stop();
  }

  std::atomic<bool> blocked_ = false;
  Notification release_;
  Dispatcher dispatcher_;
  std::unique_ptr<Client> busy_;
  std::unique_ptr<Client> idle_;
};

template <typename Function>
std::chrono::milliseconds Took(Function&& f) {
  const auto began = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               began);
}

TEST_F(BusyWorker, DelaysNeitherAScrapeNorThePublishingToOthers) {
  std::atomic<bool> done = false;
  std::thread scraper([&] {
    while (!done) {
      EXPECT_LT(Took([&] { EXPECT_EQ(dispatcher_.GetMetrics().sessions, 2U); }), 500ms);
      std::this_thread::sleep_for(1ms);
    }
  });
  std::thread viewer([&] { Sessions(dispatcher_, {}, 2s); });
  for (int i = 0; i < 20; ++i) {
    EXPECT_LT(Took([&] {
                dispatcher_.Publish(Clusters(3, 10'000 + i));
                EXPECT_TRUE(idle_->WaitForContent("@" + std::to_string(10'000 + i)));
              }),
              500ms);
  }
  done = true;
  scraper.join();
  viewer.join();
}

TEST_F(BusyWorker, IsSaidByAPageThatShowsTheOthers) {
  SessionViews views;
  EXPECT_LT(Took([&] { views = Sessions(dispatcher_, {}, 100ms); }), 1s);
  EXPECT_EQ(views.workers, 2U);
  EXPECT_EQ(views.busy_workers, 1U);
  ASSERT_EQ(views.envoys.size(), 1U);
  EXPECT_EQ(views.envoys[0].node_id, "idle");
}

TEST(Looking, APageShowsEnvoysInTheirOrderAndSaysThatThereAreMore) {
  Dispatcher dispatcher({.workers = 3});
  dispatcher.Publish(Clusters(5));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<Client>(dispatcher, true, "peer-" + std::to_string(i)));
    clients.back()->Subscribe(kCDS, "node-" + std::to_string(i));
    ASSERT_EQ(clients.back()->WaitForResponses(1), 1U);
  }
  const SessionViews first = Sessions(dispatcher, {.all = true, .most_envoys = 4});
  ASSERT_EQ(first.envoys.size(), 4U);
  EXPECT_EQ(first.envoys[3].node_id, "node-3");
  EXPECT_TRUE(first.more_envoys);
  const SessionViews last =
      Sessions(dispatcher, {.all = true, .after_envoy = {"node-7", "peer-7"}, .most_entries = 7});
  ASSERT_EQ(last.envoys.size(), 2U);
  EXPECT_FALSE(last.more_envoys);
  EXPECT_EQ(last.envoys[0].entries.size(), 5U);
  EXPECT_FALSE(last.envoys[0].more);
  EXPECT_EQ(last.envoys[1].entries.size(), 2U) << "seven in all";
  EXPECT_TRUE(last.envoys[1].more);
  EXPECT_EQ(last.envoys[1].types[Index(kCDS)].sent, 5U) << "counted all the same";

  const SessionViews one = Sessions(dispatcher, {.node = "node-5", .resource = "c3"});
  ASSERT_EQ(one.envoys.size(), 1U);
  ASSERT_EQ(one.envoys[0].entries.size(), 1U);
  EXPECT_EQ(one.envoys[0].entries[0].name, "c3");
  dispatcher.Stop();
}

TEST(Looking, ResourcesOfAnEnvoyArePaged) {
  Dispatcher dispatcher({});
  dispatcher.Publish(Clusters(25));
  Client client(dispatcher, true);
  client.Subscribe(kCDS);
  ASSERT_EQ(client.WaitForResponses(1), 1U);
  std::vector<std::string> seen;
  ViewFilter filter{.all = true, .most_entries = 10};
  for (int page = 0; page < 3; ++page) {
    const SessionViews views = Sessions(dispatcher, filter);
    ASSERT_EQ(views.envoys.size(), 1U);
    for (const LedgerEntry& entry : views.envoys[0].entries) seen.push_back(entry.name);
    EXPECT_EQ(views.envoys[0].more, page < 2);
    filter.after_resource = seen.back();
  }
  EXPECT_EQ(seen.size(), 25U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  dispatcher.Stop();
}

// The memory of a page follows from what it shows, not from what there is.
TEST(Looking, MemoryIsBoundedByWhatIsShown) {
  constexpr int kResources = 3000;
  Dispatcher dispatcher({.workers = 2});
  dispatcher.Publish(Clusters(kResources));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(dispatcher, true, std::to_string(i)));
    clients.back()->Subscribe(kCDS, "node-" + std::to_string(i));
    ASSERT_EQ(clients.back()->WaitForResponses(1), 1U);
  }
  const auto lines = [](const SessionViews& views) {
    std::size_t count = 0;
    for (const SessionView& view : views.envoys) count += view.entries.size();
    return count;
  };
  EXPECT_EQ(lines(Sessions(dispatcher)), 20U * kResources);
  EXPECT_EQ(lines(Sessions(dispatcher, {.all = true, .most_entries = 100})), 100U);
  // Each worker makes no more than that either.
  const auto question = [] {
    return std::make_unique<ViewQuestion>(ViewFilter{.all = true, .most_entries = 100});
  };
  const auto answers =
      dispatcher.Ask(question)->Await(std::chrono::steady_clock::now() + kPatience);
  EXPECT_EQ(answers.size(), 2U);
  std::vector<ResourceQuestion> resources;
  for (int i = 0; i < kResources; ++i) resources.push_back({kCDS, "c" + std::to_string(i), ""});
  resources.push_back({kCDS, "none", ""});
  const FleetFates fates = Fates(dispatcher, std::move(resources));
  EXPECT_EQ(fates.envoys, 20U);
  EXPECT_EQ(fates.resources.back().counts[static_cast<std::size_t>(Fate::kNotSubscribed)], 20U);
  dispatcher.Stop();
}

TEST(Looking, FatesCountEnvoysAndNameTheFirstOnes) {
  Dispatcher dispatcher({.workers = 2});
  dispatcher.Publish(Clusters(2));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 30; ++i) {
    // Those that aren't automatic acknowledge nothing.
    clients.push_back(std::make_unique<Client>(dispatcher, i < 5, std::to_string(100 + i)));
    clients.back()->Subscribe(kCDS, "node-" + std::to_string(100 + i));
    ASSERT_EQ(clients.back()->WaitForResponses(1), 1U);
  }
  const auto count = [](const FleetFates& fates, Fate fate) {
    return fates.resources[0].counts[static_cast<std::size_t>(fate)];
  };
  FleetFates fates;
  for (int i = 0; i < 1000; ++i) {
    fates = Fates(dispatcher, {{kCDS, "c1", ""}});
    if (count(fates, Fate::kAcknowledged) == 5) break;
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(count(fates, Fate::kAcknowledged), 5U);
  EXPECT_EQ(count(fates, Fate::kWarming) + count(fates, Fate::kSent), 25U);
  ASSERT_EQ(fates.resources[0].others.size(), ResourceFates::kMostOthers);
  EXPECT_EQ(fates.resources[0].others[0].node_id, "node-105");
  dispatcher.Stop();
}

TEST(Looking, WhoAsksADispatcherThatEndsIsAnsweredAtOnce) {
  std::shared_ptr<SessionInquiry> inquiry;
  Notification release;
  {
    std::atomic<bool> blocked = false;
    Dispatcher dispatcher({.on_rejection = [&](const Rejection&) {
      blocked = true;
      release.Wait();
    }});
    dispatcher.Publish(Clusters(1));
    {
      Client client(dispatcher, false);
      client.Subscribe(kCDS);
      ASSERT_EQ(client.WaitForResponses(1), 1U);
      DeltaDiscoveryRequest rejection;
      rejection.set_type_url(std::string(Info(kCDS).url));
      rejection.set_response_nonce(client.last().nonce());
      rejection.mutable_error_detail()->set_message("no");
      client.Send(rejection);
      while (!blocked) std::this_thread::sleep_for(1ms);
    }
    inquiry = dispatcher.Ask([] { return std::make_unique<ViewQuestion>(ViewFilter()); });
    release.Notify();
  }
  EXPECT_LT(Took([&] { inquiry->Await(std::chrono::steady_clock::now() + kPatience); }), 5s);
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
      Sessions(dispatcher);
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
