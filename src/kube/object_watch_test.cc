// SPDX-License-Identifier: Apache-2.0
#include "kube/object_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kube/testing_io.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPath = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";

std::string Event(const std::string& type, const std::string& name, const std::string& version) {
  return R"({"type":")" + type + R"(","object":{"kind":"Lease","metadata":{"name":")" + name +
         R"(","resourceVersion":")" + version + "\"}}}\n";
}

class ObjectWatchTest : public testing::Test, public ObjectWatch::Listener {
 protected:
  ObjectWatchTest() {
    ServerConfig config;
    config.server = "http://server";
    session_ = std::make_unique<Session>(*Credentials::Create(config), io_, io_);
    watch_ =
        std::make_unique<ObjectWatch>(*session_, kPath, "contour", ObjectWatch::Options(), *this);
    watch_->Start();
  }
  void OnOpen() override { told_.push_back("open"); }
  void OnObject(std::string_view object, bool deleted) override {
    told_.push_back((deleted ? "deleted " : "object ") + std::string(object));
  }
  void OnClosed(const absl::Status& status) override {
    told_.push_back("closed " + std::string(Message(status)));
  }
  std::vector<std::string> Told() { return std::exchange(told_, {}); }

  FakeIo io_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<ObjectWatch> watch_;
  std::vector<std::string> told_;
};

TEST_F(ObjectWatchTest, ReportsTheChangesOfTheObject) {
  auto& request = io_.Next(kPath);
  EXPECT_THAT(request.path(), HasSubstr("fieldSelector=metadata.name%3Dcontour"));
  EXPECT_THAT(request.path(), HasSubstr("timeoutSeconds=450"));
  request.Head(200).Body(Event("ADDED", "contour", "1"));
  EXPECT_THAT(
      Told(),
      ElementsAre(
          "open",
          R"(object {"kind":"Lease","metadata":{"name":"contour","resourceVersion":"1"}})"));
  request.Body(Event("BOOKMARK", "", "2")).Body(Event("MODIFIED", "another", "3"));
  EXPECT_THAT(Told(), ElementsAre());
  const std::string gone = Event("DELETED", "contour", "4");
  request.Body(gone.substr(0, 30)).Body(gone.substr(30));
  EXPECT_THAT(Told(), ElementsAre(HasSubstr("deleted {")));
}

TEST_F(ObjectWatchTest, GoesOnAtOnceWhenItEndsInTime) {
  io_.Next(kPath).Head(200).End();
  EXPECT_THAT(Told(), ElementsAre("open", "closed "));
  io_.Advance(1ms);
  io_.Next(kPath).Head(200);
  EXPECT_THAT(Told(), ElementsAre("open"));
}

TEST_F(ObjectWatchTest, GoesOnAfterAWaitWhenItFails) {
  io_.Next(kPath).Answer(403, "not you");
  EXPECT_THAT(Told(), ElementsAre(HasSubstr("not you")));
  io_.Advance(500ms);
  EXPECT_EQ(io_.Find(kPath), nullptr);
  io_.Advance(1s);
  io_.Next(kPath).End(absl::UnavailableError("connection refused"));
  EXPECT_THAT(Told(), ElementsAre(HasSubstr("refused")));
}

TEST_F(ObjectWatchTest, AnErrorEventEndsTheRequest) {
  auto& request = io_.Next(kPath);
  request.Head(200).Body(R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"old"}})"
                         "\n");
  EXPECT_TRUE(request.gone());
  EXPECT_THAT(Told(), ElementsAre("open", HasSubstr("old")));
  io_.Advance(2s);
  io_.Next(kPath).Head(200);
}

TEST_F(ObjectWatchTest, SilenceEndsTheRequest) {
  auto& request = io_.Next(kPath);
  request.Head(200);
  io_.Advance(100s);
  request.Body(Event("BOOKMARK", "", "2"));
  io_.Advance(100s);
  EXPECT_FALSE(request.gone());
  io_.Advance(60s);
  EXPECT_TRUE(request.gone());
  EXPECT_THAT(Told(), ElementsAre("open", HasSubstr("silent")));
}

TEST_F(ObjectWatchTest, ReportsNothingAfterItsEnd) {
  auto& request = io_.Next(kPath);
  watch_.reset();
  EXPECT_TRUE(request.gone());
  io_.Advance(10min);
  EXPECT_EQ(io_.Find(kPath), nullptr);
}

}  // namespace
}  // namespace contour::kube
