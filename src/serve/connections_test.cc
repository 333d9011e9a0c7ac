// SPDX-License-Identifier: Apache-2.0

#include "serve/connections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace contour::serve {
namespace {

using ::testing::HasSubstr;

// Keeps the objects that a source delivers.
class Objects : public api::Sink {
 public:
  void Apply(std::vector<api::Change> changes) override {
    const MutexLock lock(mutex_);
    for (const api::Change& change : changes) names_.push_back(change.ref.name);
  }
  void Synced() override { synced_.Notify(); }
  std::vector<std::string> WaitUntilSynced() {
    synced_.Wait();
    const MutexLock lock(mutex_);
    return names_;
  }

 private:
  Notification synced_;
  Mutex mutex_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
};

class ConnectionsTest : public ::testing::Test {
 protected:
  ConnectionsTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ConnectionsTest() override { std::filesystem::remove_all(folder_); }

  const std::string folder_ = ::testing::TempDir() + "connections_test";
};

TEST_F(ConnectionsTest, ObjectsOfAFolderNeedNoApiServer) {
  std::ofstream(folder_ + "/a.yaml") << "{apiVersion: v1, kind: Service, metadata: {name: a}}\n";
  config::Serve config;
  config.manifests = folder_;
  absl::StatusOr<Connections> connections = MakeConnections(config);
  ASSERT_TRUE(connections.ok()) << Message(connections.status());
  EXPECT_EQ(connections->client, nullptr);
  EXPECT_EQ(connections->writer, nullptr);
  EXPECT_FALSE(connections->ApiServerIsAway());
  EXPECT_FALSE(connections->IsUnsure());
  Objects objects;
  ASSERT_TRUE(connections->Start(objects).ok());
  EXPECT_THAT(objects.WaitUntilSynced(), ::testing::ElementsAre("a"));
  EXPECT_EQ(connections->NeverKnown(), "");
  EXPECT_EQ(connections->Remark(), "");
  connections->StopSources();
  connections->StopWrites(std::chrono::milliseconds(1));
}

TEST_F(ConnectionsTest, ABadKubeconfigIsAnError) {
  config::Serve config;
  config.kubeconfig = folder_ + "/nowhere";
  const absl::Status status = MakeConnections(config).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(Message(status)), HasSubstr("nowhere"));
}

TEST_F(ConnectionsTest, KindsCannotBeLeftOutOfAFolder) {
  config::Serve config;
  config.manifests = folder_;
  config.without = {"Ingress"};
  EXPECT_THAT(std::string(Message(MakeConnections(config).status())), HasSubstr("--without"));
}

TEST_F(ConnectionsTest, UntilTheApiServerAnswersItIsAway) {
  std::ofstream(folder_ + "/config") << R"(
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
)";
  config::Serve config;
  config.kubeconfig = folder_ + "/config";
  absl::StatusOr<Connections> connections = MakeConnections(config);
  ASSERT_TRUE(connections.ok()) << Message(connections.status());
  ASSERT_NE(connections->cluster, nullptr);
  Objects objects;
  ASSERT_TRUE(connections->Start(objects).ok());
  for (int i = 0; i < 1000 && !connections->ApiServerIsAway(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(connections->ApiServerIsAway());
  connections->StopSources();
  connections->StopWrites(std::chrono::milliseconds(1));
  EXPECT_EQ(connections->client, nullptr);
}

}  // namespace
}  // namespace contour::serve
