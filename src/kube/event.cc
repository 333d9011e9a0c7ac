// SPDX-License-Identifier: Apache-2.0

#include "kube/event.h"

#include <nlohmann/json.hpp>

#include "kube/resources.h"
#include "kube/url.h"

namespace contour::kube {
namespace {

using Json = nlohmann::json;

// Names and messages may have any bytes; what isn't UTF-8 is replaced.
std::string Text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Request CreateEvent(const Event& event) {
  Json source = {{"component", "contour"}};
  if (!event.host.empty()) source["host"] = event.host;
  const EventObject& object = event.object;
  const Json body = {
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", {{"name", event.name}, {"namespace", object.ns}}},
      {"involvedObject",
       {{"apiVersion", object.api_version},
        {"kind", object.kind},
        {"namespace", object.ns},
        {"name", object.name},
        {"uid", object.uid},
        {"resourceVersion", object.resource_version}}},
      {"reason", event.reason},
      {"message", event.message},
      {"type", event.type == Event::Type::kWarning ? "Warning" : "Normal"},
      {"count", 1},
      {"firstTimestamp", event.time},
      {"lastTimestamp", event.time},
      {"source", std::move(source)},
      {"reportingComponent", "contour"},
      {"reportingInstance", event.instance},
  };
  Request request;
  request.method = "POST";
  request.path = CollectionPath("v1", "events", object.ns);
  request.body = Text(body);
  return request;
}

Request CountEvent(std::string_view ns, std::string_view name, std::uint64_t count,
                   std::string_view time) {
  Request request;
  request.method = "PATCH";
  request.path = CollectionPath("v1", "events", ns) + "/" + UrlEncode(name);
  request.content_type = "application/merge-patch+json";
  request.body = Text({{"count", count}, {"lastTimestamp", time}});
  return request;
}

}  // namespace contour::kube
