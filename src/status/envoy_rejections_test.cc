// SPDX-License-Identifier: Apache-2.0

#include "status/envoy_rejections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace contour::status {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Json = nlohmann::json;

const api::ObjectRef kRoot{api::Kind::kIngressRoute, "default", "root"};

class EnvoyRejectionsTest : public ::testing::Test {
 protected:
  EnvoyRejections::Send Keep() {
    return [this](kube::Request request, const api::ObjectRef&) {
      const MutexLock lock(mutex_);
      sent_.push_back(std::move(request));
    };
  }
  EnvoyRejection Rejection(std::vector<SourceObject> sources = {{kRoot, "u", "7"}}) {
    EnvoyRejection rejection;
    rejection.resource = "virtual host a.example.com of RDS ingress_http";
    rejection.node_id = "edge-1";
    rejection.error_message = "Invalid host";
    rejection.all_envoys = true;
    rejection.sources = [this, sources = std::move(sources)](std::size_t) {
      const MutexLock lock(mutex_);
      ++asked_;
      changed_.NotifyAll();
      return sources;
    };
    return rejection;
  }
  // Returns the requests when all of `count` rejections have been reported.
  std::vector<kube::Request> Sent(EnvoyRejections& rejections, int count) {
    {
      const MutexLock lock(mutex_);
      while (asked_ < count) changed_.Wait(mutex_);
    }
    rejections.Stop();
    const MutexLock lock(mutex_);
    return sent_;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<kube::Request> sent_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(EnvoyRejectionsTest, WritesAnEventOnEachSource) {
  EnvoyRejections rejections(Keep());
  rejections.Start();
  rejections.Add(Rejection());
  const auto sent = Sent(rejections, 1);
  ASSERT_THAT(sent, SizeIs(1));
  const Json event = Json::parse(sent[0].body);
  EXPECT_EQ(event["reason"], "EnvoyRejected");
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["involvedObject"]["uid"], "u");
  EXPECT_THAT(event["metadata"]["name"].get<std::string>(), StartsWith("root."));
  EXPECT_EQ(
      event["message"],
      "Envoy edge-1 rejects the virtual host a.example.com of RDS ingress_http: Invalid host. "
      "All Envoys are given nothing of it until the object changes.");
}

TEST_F(EnvoyRejectionsTest, ARejectionThatComesAgainIsCounted) {
  EnvoyRejections rejections(Keep());
  rejections.Start();
  rejections.Add(Rejection());
  rejections.Add(Rejection());
  EnvoyRejection other = Rejection();
  other.error_message = "another";
  rejections.Add(std::move(other));
  const auto sent = Sent(rejections, 3);
  ASSERT_THAT(sent, SizeIs(3));
  EXPECT_EQ(sent[1].method, "PATCH");
  EXPECT_THAT(sent[1].path, HasSubstr(Json::parse(sent[0].body)["metadata"]["name"]));
  EXPECT_THAT(sent[1].body, HasSubstr("\"count\":2"));
  EXPECT_EQ(sent[2].method, "POST");
}

TEST_F(EnvoyRejectionsTest, WritesNoMoreEventsAMinuteThanItMay) {
  EnvoyRejections rejections(Keep());
  rejections.Start();
  constexpr int kMany = 2 * EnvoyRejections::kPerMinute;
  for (int i = 0; i < kMany; ++i) {
    EnvoyRejection rejection = Rejection();
    rejection.version = std::to_string(i);
    rejections.Add(std::move(rejection));
  }
  EXPECT_THAT(Sent(rejections, kMany), SizeIs(EnvoyRejections::kPerMinute));
}

TEST_F(EnvoyRejectionsTest, WritesNothingForObjectsOfFilesNorWhenItEnds) {
  EnvoyRejections rejections(Keep());
  rejections.Start();
  rejections.Add(Rejection({{kRoot, "", ""}}));
  EnvoyRejection ended = Rejection();
  ended.ended = true;
  rejections.Add(std::move(ended));
  EnvoyRejection unknown = Rejection();
  unknown.sources = [sources = std::move(unknown.sources)](std::size_t most) {
    sources(most);
    return std::optional<std::vector<SourceObject>>();
  };
  rejections.Add(std::move(unknown));
  EXPECT_THAT(Sent(rejections, 3), SizeIs(0));
}

TEST_F(EnvoyRejectionsTest, ALongErrorMessageIsCut) {
  EnvoyRejections rejections(Keep());
  rejections.Start();
  EnvoyRejection rejection = Rejection();
  rejection.error_message = std::string(5000, 'a');
  rejections.Add(std::move(rejection));
  const auto sent = Sent(rejections, 1);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(Json::parse(sent[0].body)["message"].get<std::string>().size(), 1000U);
}

}  // namespace
}  // namespace contour::status
