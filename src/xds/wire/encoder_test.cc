// SPDX-License-Identifier: Apache-2.0

#include "xds/wire/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {
namespace {

using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DeltaDiscoveryResponse;
using ::envoy::service::discovery::v3::DiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryResponse;
using ::testing::ElementsAre;

ResourcePtr Make(ResourceType type, Resource resource) {
  const std::string name = resource.name;
  SnapshotEditor editor(nullptr);
  editor.Set(type, std::move(resource));
  return editor.Commit()->Find(type, name);
}

TEST(ParseRequest, Delta) {
  DeltaDiscoveryRequest message;
  message.mutable_node()->set_id("envoy-1");
  message.set_type_url("url");
  message.add_resource_names_subscribe("a");
  message.add_resource_names_unsubscribe("b");
  (*message.mutable_initial_resource_versions())["c"] = "1";
  message.set_response_nonce("7");
  message.mutable_error_detail()->set_message("bad");
  const auto parsed = ParseRequest(message.SerializeAsString(), Protocol::kDelta);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(ReadNodeId(message.SerializeAsString(), Protocol::kDelta).value(), "envoy-1");
  EXPECT_EQ(parsed->type_url, "url");
  EXPECT_THAT(parsed->subscribe, ElementsAre("a"));
  EXPECT_THAT(parsed->unsubscribe, ElementsAre("b"));
  EXPECT_THAT(parsed->initial_versions, ElementsAre(testing::Pair("c", "1")));
  EXPECT_EQ(parsed->nonce, "7");
  EXPECT_EQ(parsed->error, "bad");
}

TEST(ParseRequest, StateOfTheWorld) {
  DiscoveryRequest message;
  message.set_type_url("url");
  message.set_version_info("1");
  message.add_resource_names("a");
  message.set_response_nonce("7");
  const auto parsed = ParseRequest(message.SerializeAsString(), Protocol::kStateOfTheWorld);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->version, "1");
  EXPECT_THAT(parsed->names, ElementsAre("a"));
  EXPECT_FALSE(parsed->error.has_value());
}

TEST(ParseRequest, GarbageIsAnError) {
  for (const Protocol protocol : {Protocol::kDelta, Protocol::kStateOfTheWorld}) {
    EXPECT_EQ(ParseRequest("\xff\xff\xff", protocol).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(Encoder, DeltaIsAMessage) {
  Encoder encoder(nullptr);
  Response response;
  response.protocol = Protocol::kDelta;
  response.type = ResourceType::kSecret;
  response.version = "v";
  response.nonce = "3";
  const std::string big(100000, 'x');
  response.resources = {Make(ResourceType::kSecret, {.name = "a", .bytes = "bytes"}),
                        Make(ResourceType::kSecret, {.name = "b", .bytes = big}),
                        Make(ResourceType::kSecret, {.name = "c", .bytes = ""})};
  response.removed = {"d", "e"};
  const Payload payload = encoder.Encode(response, StreamMode::kAggregatedDelta);
  EXPECT_EQ(payload.Text().size(), payload.size);
  DeltaDiscoveryResponse message;
  ASSERT_TRUE(message.ParseFromString(payload.Text()));
  EXPECT_EQ(message.system_version_info(), "v");
  EXPECT_EQ(message.nonce(), "3");
  EXPECT_EQ(message.type_url(), Info(ResourceType::kSecret).url);
  EXPECT_THAT(message.removed_resources(), ElementsAre("d", "e"));
  ASSERT_EQ(message.resources_size(), 3);
  EXPECT_EQ(message.resources(0).name(), "a");
  EXPECT_EQ(message.resources(0).version(), response.resources[0]->version.Hex());
  EXPECT_EQ(message.resources(0).resource().type_url(), Info(ResourceType::kSecret).url);
  EXPECT_EQ(message.resources(0).resource().value(), "bytes");
  EXPECT_EQ(message.resources(1).resource().value(), big);
  EXPECT_EQ(message.resources(2).resource().value(), "");
}

TEST(Encoder, StateOfTheWorldIsAMessage) {
  Encoder encoder(nullptr);
  Response response;
  response.protocol = Protocol::kStateOfTheWorld;
  response.type = ResourceType::kCluster;
  response.version = "v";
  response.nonce = "3";
  response.resources = {Make(ResourceType::kCluster, {.name = "a", .bytes = "bytes"})};
  DiscoveryResponse message;
  ASSERT_TRUE(message.ParseFromString(
      encoder.Encode(response, StreamMode::kAggregatedStateOfTheWorld).Text()));
  EXPECT_EQ(message.version_info(), "v");
  EXPECT_EQ(message.nonce(), "3");
  EXPECT_EQ(message.type_url(), Info(ResourceType::kCluster).url);
  ASSERT_EQ(message.resources_size(), 1);
  EXPECT_EQ(message.resources(0).type_url(), Info(ResourceType::kCluster).url);
  EXPECT_EQ(message.resources(0).value(), "bytes");
}

TEST(Encoder, BigResourcesAreSharedBetweenEnvoys) {
  SnapshotEditor editor(nullptr);
  for (int i = 0; i < 100; ++i) {
    editor.SetPart(ResourceType::kRoutes, "r",
                   {.name = std::to_string(i), .bytes = std::string(1000, 'x')});
  }
  Response response;
  response.protocol = Protocol::kDelta;
  response.type = ResourceType::kRoutes;
  response.resources = {editor.Commit()->Find(ResourceType::kRoutes, "r")};
  Encoder encoder(nullptr);
  const Payload one = encoder.Encode(response, StreamMode::kAggregatedDelta);
  const Payload other = encoder.Encode(response, StreamMode::kAggregatedDelta);
  ASSERT_EQ(one.slices.size(), 3U);
  ASSERT_EQ(other.slices.size(), 3U);
  EXPECT_EQ(one.slices[1].bytes.data(), other.slices[1].bytes.data());
  EXPECT_EQ(one.slices[1].bytes, Assemble(ResourceType::kRoutes, *response.resources[0]));
}

TEST(Encoder, ABigResponseOfSmallResourcesIsEncodedOnceForAllWhoAreSentIt) {
  Response response;
  for (int i = 0; i < 100; ++i) {
    response.resources.push_back(Make(ResourceType::kEndpoints, {.name = "a" + std::to_string(i),
                                                                 .bytes = std::string(1000, 'x')}));
  }
  response.removed = {"gone"};
  response.type = ResourceType::kEndpoints;
  const auto biggest = [](const Payload& payload) {
    return *std::max_element(
        payload.slices.begin(), payload.slices.end(),
        [](const Slice& a, const Slice& b) { return a.bytes.size() < b.bytes.size(); });
  };
  Encoder encoder(nullptr);
  response.nonce = "1";
  const Payload one = encoder.Encode(response, StreamMode::kAggregatedDelta);
  response.nonce = "2";
  const Payload two = encoder.Encode(response, StreamMode::kAggregatedDelta);
  EXPECT_EQ(biggest(one).bytes.data(), biggest(two).bytes.data());
  EXPECT_GT(biggest(one).bytes.size(), 100'000U);
  DeltaDiscoveryResponse message;
  ASSERT_TRUE(message.ParseFromString(two.Text()));
  EXPECT_EQ(message.nonce(), "2");
  EXPECT_EQ(message.resources_size(), 100);
  EXPECT_THAT(message.removed_resources(), ElementsAre("gone"));

  response.resources.pop_back();
  const Payload other = encoder.Encode(response, StreamMode::kAggregatedDelta);
  ASSERT_TRUE(message.ParseFromString(other.Text()));
  EXPECT_EQ(message.resources_size(), 99) << "another response is another one";
  response.removed = {};
  ASSERT_TRUE(
      message.ParseFromString(encoder.Encode(response, StreamMode::kAggregatedDelta).Text()));
  EXPECT_THAT(message.removed_resources(), ElementsAre());
  DiscoveryResponse whole;
  response.protocol = Protocol::kStateOfTheWorld;
  ASSERT_TRUE(whole.ParseFromString(
      encoder.Encode(response, StreamMode::kAggregatedStateOfTheWorld).Text()));
  EXPECT_EQ(whole.resources_size(), 99);
}

TEST(WeakCache, DropsWhatNobodyHoldsAndLooksAtFew) {
  WeakCache<int, int> cache;
  const auto held = std::make_shared<const int>(-1);
  cache.Put(-1, held);
  for (int i = 0; i < 1000; ++i) cache.Put(i, std::make_shared<const int>(i));
  EXPECT_LE(cache.size(), 5U);
  EXPECT_EQ(cache.Find(-1), held);
  EXPECT_EQ(cache.Find(5), nullptr);
  cache.Put(5, held);
  EXPECT_EQ(cache.Find(5), held) << "again";
}

TEST(Encoder, AdaptsForStreamsPerTypeOncePerContent) {
  int calls = 0;
  Encoder encoder([&](ResourceType type, std::string_view bytes, StreamMode mode) {
    ++calls;
    EXPECT_EQ(type, ResourceType::kCluster);
    return std::string(mode == StreamMode::kDelta ? "delta " : "sotw ") + std::string(bytes);
  });
  Response response;
  response.protocol = Protocol::kDelta;
  response.type = ResourceType::kCluster;
  response.resources = {Make(ResourceType::kCluster, {.name = "a", .bytes = "bytes"})};
  const auto sent = [&](StreamMode mode) {
    response.protocol = ProtocolOf(mode);
    const std::string text = encoder.Encode(response, mode).Text();
    if (response.protocol == Protocol::kDelta) {
      DeltaDiscoveryResponse message;
      EXPECT_TRUE(message.ParseFromString(text));
      return message.resources(0).resource().value();
    }
    DiscoveryResponse message;
    EXPECT_TRUE(message.ParseFromString(text));
    return message.resources(0).value();
  };
  EXPECT_EQ(sent(StreamMode::kAggregatedDelta), "bytes");
  EXPECT_EQ(sent(StreamMode::kAggregatedStateOfTheWorld), "bytes");
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(sent(StreamMode::kDelta), "delta bytes");
  EXPECT_EQ(sent(StreamMode::kDelta), "delta bytes");
  EXPECT_EQ(sent(StreamMode::kStateOfTheWorld), "sotw bytes");
  EXPECT_EQ(calls, 2);
}

TEST(Encoder, AdaptedMessagesAreForgottenBeyondTheBound) {
  int calls = 0;
  Encoder encoder([&](ResourceType, std::string_view, StreamMode) {
    ++calls;
    return std::string(Encoder::kAdaptedBytes / 4, 'x');
  });
  Response response;
  response.protocol = Protocol::kDelta;
  response.type = ResourceType::kCluster;
  const auto encode = [&](const std::string& name) {
    response.resources = {Make(ResourceType::kCluster, {.name = name, .bytes = name})};
    encoder.Encode(response, StreamMode::kDelta);
  };
  for (const char* name : {"a", "b", "c", "d", "a", "e"}) encode(name);
  EXPECT_EQ(calls, 5);
  encode("a");
  EXPECT_EQ(calls, 5);
  encode("b");  // driven out by e, since a was used after it
  EXPECT_EQ(calls, 6);
}

TEST(Encoder, AdaptedMessagesAreForgottenWhenNobodyIsSentThem) {
  int calls = 0;
  Encoder::Time now{};
  Encoder encoder(
      [&](ResourceType, std::string_view bytes, StreamMode) {
        ++calls;
        return std::string(bytes);
      },
      [&] { return now; });
  const auto encode = [&](const std::string& name, StreamMode mode) {
    Response response;
    response.protocol = ProtocolOf(mode);
    response.type = ResourceType::kCluster;
    response.resources = {Make(ResourceType::kCluster, {.name = name, .bytes = name})};
    encoder.Encode(response, mode);
  };
  encode("a", StreamMode::kDelta);
  encode("b", StreamMode::kDelta);
  now += Encoder::kAdaptedTime;
  encode("a", StreamMode::kDelta);
  EXPECT_EQ(calls, 2);
  now += std::chrono::seconds(1);
  encode("c", StreamMode::kAggregatedDelta);  // any response sees to it
  encode("a", StreamMode::kDelta);
  EXPECT_EQ(calls, 2);
  encode("b", StreamMode::kDelta);
  EXPECT_EQ(calls, 3);
}

// Routes name nobody, and the largest of them, which changes with every host, is not to be kept.
TEST(Encoder, OnlyClustersAndListenersAreAdapted) {
  int calls = 0;
  Encoder encoder([&](ResourceType, std::string_view bytes, StreamMode) {
    ++calls;
    return std::string(bytes);
  });
  for (const ResourceType type : {ResourceType::kEndpoints, ResourceType::kRoutes,
                                  ResourceType::kScopedRoutes, ResourceType::kSecret}) {
    Response response;
    response.protocol = Protocol::kDelta;
    response.type = type;
    response.resources = {Make(type, {.name = "a", .bytes = "bytes"})};
    encoder.Encode(response, StreamMode::kDelta);
  }
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace contour::xds
