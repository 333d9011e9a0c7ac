// SPDX-License-Identifier: Apache-2.0
#include "leader/record.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "leader/boot_clock.h"

namespace contour::leader {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// Records that client-go wrote.
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

TEST(RecordTest, ReadsTheRecordThatWasWritten) {
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

std::string LeaseWith(const std::string& members) {
  return R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease",)" + members + "}";
}
std::string ConfigMapWith(const std::string& members) {
  return R"({"apiVersion":"v1","kind":"ConfigMap",)" + members + "}";
}
std::string ConfigMapWithRecord(const std::string& record) {
  const Json annotations = {{"control-plane.alpha.kubernetes.io/leader", record}};
  return ConfigMapWith(fmt::format(R"("metadata":{{"annotations":{}}})", annotations.dump()));
}

TEST(RecordTest, NoRecordIsFree) {
  EXPECT_EQ(Parse(LockKind::kLease, LeaseWith(R"("metadata":{})"))->record, Record());
  EXPECT_EQ(Parse(LockKind::kConfigMap, ConfigMapWith(R"("metadata":{"annotations":{}})"))->record,
            Record());
  const Reading bare =
      *Parse(LockKind::kConfigMap, ConfigMapWith(R"("metadata":{"name":"contour"})"));
  EXPECT_EQ(Parse(LockKind::kConfigMap, WithRecord(LockKind::kConfigMap, bare, kRecord))->record,
            kRecord);
}

TEST(RecordTest, ARecordThatIsNoneIsSomebodys) {
  EXPECT_THAT(Parse(LockKind::kConfigMap, ConfigMapWithRecord("soon"))->record.holder,
              HasSubstr("unknown (soon)"));
}

TEST(RecordTest, NumbersThatDoNotFitAreTheGreatestThatDo) {
  struct Row {
    const char* number;
    std::optional<std::chrono::seconds> duration;
    int transitions;
  };
  for (const Row& row :
       {Row{"15", 15s, 15}, Row{"2147483647", 2147483647s, 2147483646},
        Row{"2147483648", 2147483647s, 2147483646},
        Row{"9223372036854775807", 2147483647s, 2147483646},
        Row{"18446744073709551615", 2147483647s, 2147483646}, Row{"0", std::nullopt, 0},
        Row{"-1", std::nullopt, 0}, Row{"-9223372036854775808", std::nullopt, 0},
        Row{"1e300", std::nullopt, 0}}) {
    const std::string lock = fmt::format(
        R"({{"holderIdentity":"a","leaseDurationSeconds":{0},"leaderTransitions":{0}}})",
        row.number);
    const Record record = Parse(LockKind::kConfigMap, ConfigMapWithRecord(lock))->record;
    EXPECT_EQ(record.lease_duration, row.duration) << row.number;
    EXPECT_EQ(record.transitions, row.transitions) << row.number;
    // It is also in the range of points in time.
    EXPECT_GT(BootNow() + record.lease_duration.value_or(1s), BootNow());
  }
}

TEST(RecordTest, NoObject) {
  for (const char* text : {"", "null", "[]", "{}", "\"text\"", "{\"metadata\":3}",
                           "default backend - 404", "<html>It works!</html>"}) {
    EXPECT_FALSE(Parse(LockKind::kLease, text).ok()) << text;
  }
}

// They have metadata without a record, which would be a lock that is free.
TEST(RecordTest, AnotherObjectIsNoFreeLock) {
  const char* const status =
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})";
  for (const LockKind kind : {LockKind::kLease, LockKind::kConfigMap}) {
    EXPECT_FALSE(Parse(kind, status).ok());
    EXPECT_FALSE(Parse(kind, R"({"metadata":{"resourceVersion":"1"}})").ok());
  }
  EXPECT_FALSE(Parse(LockKind::kLease, kConfigMap).ok());
  EXPECT_FALSE(Parse(LockKind::kConfigMap, kLease).ok());
}

TEST(RecordTest, Times) {
  const std::chrono::system_clock::time_point time{1'567'678'901s + 42us};
  EXPECT_EQ(FormatTime(LockKind::kLease, time), "2019-09-05T10:21:41.000042Z");
  EXPECT_EQ(FormatTime(LockKind::kConfigMap, time), "2019-09-05T10:21:41Z");
}

}  // namespace
}  // namespace contour::leader
