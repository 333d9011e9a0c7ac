// SPDX-License-Identifier: Apache-2.0

#include "kube/watch_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

using testing::HasSubstr;

TEST(WatchEventTest, Kinds) {
  simdjson::dom::parser parser;
  auto event = ParseWatchEvent(parser, Event("MODIFIED", ServiceJson("a", 5)));
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->type, WatchEvent::Type::kModified);
  EXPECT_EQ(event->item.ns, "default");
  EXPECT_EQ(event->item.name, "a");
  EXPECT_EQ(event->item.resource_version, "5");
  EXPECT_EQ(ParseWatchEvent(parser, Event("ADDED", ServiceJson("a", 5)))->type,
            WatchEvent::Type::kAdded);
  EXPECT_EQ(ParseWatchEvent(parser, Event("DELETED", ServiceJson("a", 5)))->type,
            WatchEvent::Type::kDeleted);
  EXPECT_FALSE(ParseWatchEvent(parser, Bookmark(7))->ends_initial_events);
  event = ParseWatchEvent(parser, Bookmark(8, true));
  EXPECT_EQ(event->type, WatchEvent::Type::kBookmark);
  EXPECT_TRUE(event->ends_initial_events);
  EXPECT_EQ(event->item.resource_version, "8");
  event = ParseWatchEvent(parser, Event("ERROR", StatusJson(410, "Expired")));
  EXPECT_EQ(event->type, WatchEvent::Type::kError);
  EXPECT_EQ(event->status.code, 410);
  EXPECT_EQ(event->status.reason, "Expired");
}

TEST(WatchEventTest, RefusesTextThatIsNoEvent) {
  simdjson::dom::parser parser;
  for (const char* text :
       {"", "x", "[]", "null", "{}", R"({"type":"ADDED"})", R"({"type":"ADDED","object":1})",
        R"({"type":"ADDED","object":{}})", R"({"type":"ADDED","object":{"metadata":[]}})",
        R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})",
        R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}})",
        R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":1}}})",
        R"({"type":"NEWS","object":{"metadata":{"name":"a","resourceVersion":"1"}}})",
        R"({"object":{"metadata":{"name":"a","resourceVersion":"1"}}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseWatchEvent(parser, text).status())) << text;
  }
}

TEST(WatchEventTest, Pages) {
  simdjson::dom::parser parser;
  const auto parse = [&](std::string_view text) {
    return ParseListPage(parser, text, "v1", "Service");
  };
  auto page = parse(ListJson(12, "more", {ServiceJson("a", 1), ServiceJson("b", 2)}));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->resource_version, "12");
  EXPECT_EQ(page->continue_token, "more");
  EXPECT_EQ(page->items.size(), 2u);
  EXPECT_EQ(parse(ListJson(12, "", {}))->items.size(), 0u);
}

// An object that a list lacks is taken for deleted, so only an answer that is certainly a list
// counts.
TEST(WatchEventTest, RefusesTextThatIsNoPage) {
  simdjson::dom::parser parser;
  const std::string head = R"({"apiVersion":"v1","kind":"ServiceList")";
  for (
      const std::string& text : {
          std::string(),
          std::string("[]"),
          std::string("<html><body>It works!</body></html>"),
          std::string("default backend - 404"),
          std::string(R"({"items":[]})"),
          std::string(R"({"metadata":{"resourceVersion":"1"},"items":[]})"),
          std::string(R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})"),
          // These are lists of another kind, or of another version.
          std::string(
              R"({"apiVersion":"v1","kind":"SecretList","metadata":{"resourceVersion":"1"},"items":[]})"),
          std::string(
              R"({"apiVersion":"v2","kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[]})"),
          std::string(
              R"({"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":[]})"),
          head + R"(,"metadata":{},"items":[]})",
          head + R"(,"metadata":{"resourceVersion":1},"items":[]})",
          head + R"(,"metadata":{"resourceVersion":"1"}})",
          head + R"(,"metadata":{"resourceVersion":"1"},"items":null})",
          head + R"(,"metadata":{"resourceVersion":"1"},"items":{}})",
          // Cut off.
          head + R"(,"metadata":{"resourceVersion":"1"},"items":[)",
          head + R"(,"metadata":{"resour)",
      }) {
    EXPECT_FALSE(ParseListPage(parser, text, "v1", "Service").ok()) << text;
  }
}

TEST(ApiStatusTest, FromTheBody) {
  const ApiStatus status = ParseApiStatus(
      429,
      StatusJson(
          0, "TooManyRequests",
          R"(,"details":{"retryAfterSeconds":3,"causes":[{"reason":"ResourceVersionTooLarge"}]})"));
  EXPECT_EQ(status.code, 429);
  EXPECT_EQ(status.reason, "TooManyRequests");
  EXPECT_EQ(status.message, "words");
  EXPECT_EQ(status.retry_after, std::chrono::seconds(3));
  EXPECT_TRUE(status.resource_version_too_large);
}

TEST(ApiStatusTest, AWaitOfAgesIsADay) {
  for (const char* wait : {"9223372036854775807", "99999999999"}) {
    const std::string details = fmt::format(R"(,"details":{{"retryAfterSeconds":{}}})", wait);
    EXPECT_EQ(ParseApiStatus(429, StatusJson(429, "TooManyRequests", details)).retry_after,
              std::chrono::hours(24));
  }
}

TEST(ApiStatusTest, PlainText) {
  EXPECT_EQ(ParseApiStatus(502, " <html>\nBad gateway").message, "<html>");
  EXPECT_EQ(ParseApiStatus(502, "").message, "");
  EXPECT_EQ(ParseApiStatus(502, R"({"kind":"Service"})").code, 502);
  EXPECT_LE(ParseApiStatus(502, std::string(1'000'000, 'x')).message.size(), 2000u);
}

TEST(ApiStatusTest, Codes) {
  using absl::StatusCode;
  for (const auto& [http, want] :
       {std::pair{200, StatusCode::kOk}, std::pair{201, StatusCode::kOk},
        std::pair{400, StatusCode::kInvalidArgument}, std::pair{401, StatusCode::kUnauthenticated},
        std::pair{403, StatusCode::kPermissionDenied}, std::pair{404, StatusCode::kNotFound},
        std::pair{409, StatusCode::kAborted}, std::pair{410, StatusCode::kOutOfRange},
        std::pair{422, StatusCode::kInvalidArgument},
        std::pair{429, StatusCode::kResourceExhausted}, std::pair{500, StatusCode::kUnavailable},
        std::pair{503, StatusCode::kUnavailable}, std::pair{418, StatusCode::kUnknown}}) {
    EXPECT_EQ(ToStatus(ParseApiStatus(http, "")).code(), want) << http;
  }
  EXPECT_TRUE(
      absl::IsAlreadyExists(ToStatus(ParseApiStatus(409, StatusJson(409, "AlreadyExists")))));
  EXPECT_EQ(Message(ToStatus(ParseApiStatus(409, StatusJson(409, "Conflict")))),
            "HTTP 409 Conflict: words");
}

}  // namespace
}  // namespace contour::kube
