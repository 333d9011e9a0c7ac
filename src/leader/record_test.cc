// SPDX-License-Identifier: Apache-2.0
#include "leader/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace contour::leader {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// As client-go wrote them.
constexpr const char* kLease = R"({
  "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
  "metadata": {"name": "contour", "namespace": "leader-elect", "uid": "u-1", "resourceVersion": "42",
               "labels": {"keep": "me"}},
  "spec": {"holderIdentity": "contour-a", "leaseDurationSeconds": 15,
           "acquireTime": "2019-09-05T10:21:41.123456Z", "renewTime": "2019-09-05T10:22:41.000001Z",
           "leaseTransitions": 7, "strategy": "OldestEmulationVersion"}})";
constexpr const char* kConfigMap = R"({
  "apiVersion": "v1", "kind": "ConfigMap", "data": {"other": "content"},
  "metadata": {"name": "contour", "namespace": "leader-elect", "uid": "u-2", "resourceVersion": "43",
    "annotations": {"mine": "yes", "control-plane.alpha.kubernetes.io/leader":
      "{\"holderIdentity\":\"contour-b\",\"leaseDurationSeconds\":15,\"acquireTime\":\"2019-09-05T10:21:41Z\",\"renewTime\":\"2019-09-05T10:22:41Z\",\"leaderTransitions\":2}"}}})";

const Record kRecord{"me", 30s, "2020-01-01T00:00:00Z", "2020-01-01T00:00:09Z", 8};

TEST(RecordTest, LeaseOfClientGo) {
  const absl::StatusOr<Reading> reading = Parse(LockKind::kLease, kLease);
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->resource_version, "42");
  EXPECT_EQ(reading->uid, "u-1");
  EXPECT_EQ(reading->record, (Record{"contour-a", 15s, "2019-09-05T10:21:41.123456Z",
                                     "2019-09-05T10:22:41.000001Z", 7}));
}

TEST(RecordTest, ConfigMapOfClientGo) {
  const absl::StatusOr<Reading> reading = Parse(LockKind::kConfigMap, kConfigMap);
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->record,
            (Record{"contour-b", 15s, "2019-09-05T10:21:41Z", "2019-09-05T10:22:41Z", 2}));
}

TEST(RecordTest, WritingTouchesNothingElse) {
  const Json lease =
      Json::parse(WithRecord(LockKind::kLease, *Parse(LockKind::kLease, kLease), kRecord));
  EXPECT_EQ(lease["metadata"], Json::parse(kLease)["metadata"]);
  EXPECT_EQ(lease["spec"], (Json{{"holderIdentity", "me"},
                                 {"leaseDurationSeconds", 30},
                                 {"acquireTime", "2020-01-01T00:00:00Z"},
                                 {"renewTime", "2020-01-01T00:00:09Z"},
                                 {"leaseTransitions", 8},
                                 {"strategy", "OldestEmulationVersion"}}));

  const Json map = Json::parse(
      WithRecord(LockKind::kConfigMap, *Parse(LockKind::kConfigMap, kConfigMap), kRecord));
  EXPECT_EQ(map["data"], Json::parse(kConfigMap)["data"]);
  EXPECT_EQ(map["metadata"]["annotations"]["mine"], "yes");
  EXPECT_EQ(map["metadata"]["resourceVersion"], "43");
}

TEST(RecordTest, WhatIsWrittenIsRead) {
  for (const LockKind kind : {LockKind::kLease, LockKind::kConfigMap}) {
    Options options;
    options.kind = kind;
    Json object = Json::parse(NewObject(options, kRecord));
    EXPECT_EQ(object["metadata"]["name"], "contour");
    EXPECT_EQ(object["metadata"]["namespace"], "leader-elect");
    EXPECT_EQ(Parse(kind, object.dump())->record, kRecord);
    Record released = kRecord;
    released.holder.clear();
    const Reading base = *Parse(kind, object.dump());
    EXPECT_EQ(Parse(kind, WithRecord(kind, base, released))->record, released);
  }
}

TEST(RecordTest, NoRecordIsFree) {
  EXPECT_EQ(Parse(LockKind::kLease, R"({"metadata":{}})")->record, Record());
  EXPECT_EQ(Parse(LockKind::kConfigMap, R"({"metadata":{"annotations":{}}})")->record, Record());
  const Reading bare = *Parse(LockKind::kConfigMap, R"({"metadata":{"name":"contour"}})");
  EXPECT_EQ(Parse(LockKind::kConfigMap, WithRecord(LockKind::kConfigMap, bare, kRecord))->record,
            kRecord);
}

TEST(RecordTest, ARecordThatIsNoneIsSomebodys) {
  const char* const object =
      R"({"metadata":{"annotations":{"control-plane.alpha.kubernetes.io/leader":"soon"}}})";
  EXPECT_THAT(Parse(LockKind::kConfigMap, object)->record.holder, HasSubstr("unknown (soon)"));
}

TEST(RecordTest, NoObject) {
  for (const char* text : {"", "null", "[]", "{}", "\"text\"", "{\"metadata\":3}"}) {
    EXPECT_FALSE(Parse(LockKind::kLease, text).ok()) << text;
  }
}

TEST(RecordTest, Times) {
  const std::chrono::system_clock::time_point time{1'567'678'901s + 42us};
  EXPECT_EQ(FormatTime(LockKind::kLease, time), "2019-09-05T10:21:41.000042Z");
  EXPECT_EQ(FormatTime(LockKind::kConfigMap, time), "2019-09-05T10:21:41Z");
}

}  // namespace
}  // namespace contour::leader
