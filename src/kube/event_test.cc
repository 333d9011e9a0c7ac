// SPDX-License-Identifier: Apache-2.0

#include "kube/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace contour::kube {
namespace {

using Json = nlohmann::json;

Event TestEvent() {
  Event event;
  event.name = "root.1";
  event.object = {"contour.heptio.com/v1beta1", "IngressRoute", "default", "root", "u", "7"};
  event.type = Event::Type::kWarning;
  event.reason = "EnvoyRejected";
  event.message = "no";
  event.time = "2026-11-24T12:00:00Z";
  event.host = "node-1";
  event.instance = "contour-abc";
  return event;
}

TEST(Event, IsCreatedInTheNamespaceOfItsObject) {
  const Request request = CreateEvent(TestEvent());
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/api/v1/namespaces/default/events");
  EXPECT_EQ(Json::parse(request.body), Json::parse(R"({
    "apiVersion": "v1", "kind": "Event", "metadata": {"name": "root.1", "namespace": "default"},
    "involvedObject": {"apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
                       "namespace": "default", "name": "root", "uid": "u", "resourceVersion": "7"},
    "reason": "EnvoyRejected", "message": "no", "type": "Warning", "count": 1,
    "firstTimestamp": "2026-11-24T12:00:00Z", "lastTimestamp": "2026-11-24T12:00:00Z",
    "source": {"component": "contour", "host": "node-1"},
    "reportingComponent": "contour", "reportingInstance": "contour-abc"})"));
}

TEST(Event, SaysNothingOfAHostThatIsNotKnown) {
  Event event = TestEvent();
  event.host.clear();
  event.type = Event::Type::kNormal;
  const Json body = Json::parse(CreateEvent(event).body);
  EXPECT_EQ(body["source"], Json::parse(R"({"component": "contour"})"));
  EXPECT_EQ(body["type"], "Normal");
}

TEST(Event, TextThatIsNotUTF8IsReplaced) {
  Event event = TestEvent();
  event.message = "a\xff";
  EXPECT_EQ(Json::parse(CreateEvent(event).body)["message"], "a\xef\xbf\xbd");
}

TEST(Event, IsCounted) {
  const Request request = CountEvent("default", "root.1", 3, "2026-11-24T12:05:00Z");
  EXPECT_EQ(request.method, "PATCH");
  EXPECT_EQ(request.path, "/api/v1/namespaces/default/events/root.1");
  EXPECT_EQ(request.content_type, "application/merge-patch+json");
  EXPECT_EQ(Json::parse(request.body),
            Json::parse(R"({"count": 3, "lastTimestamp": "2026-11-24T12:05:00Z"})"));
}

}  // namespace
}  // namespace contour::kube
