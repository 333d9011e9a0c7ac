// SPDX-License-Identifier: Apache-2.0

#include "kube/watch_event.h"

#include <fmt/core.h>

#include "base/status.h"
#include "base/strings.h"

namespace contour::kube {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;

absl::StatusOr<element> Parse(simdjson::dom::parser& parser, std::string_view text) {
  element document;
  if (const auto code = parser.parse(text.data(), text.size()).get(document); code != SUCCESS) {
    return InvalidArgument("not JSON: {}", simdjson::error_message(code));
  }
  return document;
}

// Returns the text, "" if it is absent, null or no text.
std::string_view Text(simdjson::simdjson_result<element> value) {
  std::string_view text;
  return value.get(text) == SUCCESS ? text : std::string_view();
}

}  // namespace

absl::StatusOr<ItemHead> ReadItemHead(element object) {
  element metadata;
  if (object["metadata"].get(metadata) != SUCCESS) {
    return InvalidArgument("an object without metadata");
  }
  ItemHead head{.api_version = Text(object["apiVersion"]),
                .kind = Text(object["kind"]),
                .ns = Text(metadata["namespace"]),
                .name = Text(metadata["name"]),
                .resource_version = Text(metadata["resourceVersion"]),
                .object = object};
  if (head.resource_version.empty()) {
    return InvalidArgument("metadata.resourceVersion of {}: expected text", Quote(head.name));
  }
  return head;
}

absl::StatusOr<WatchEvent> ParseWatchEvent(simdjson::dom::parser& parser, std::string_view line) {
  CONTOUR_ASSIGN_OR_RETURN(const element document, Parse(parser, line));
  const std::string_view type = Text(document["type"]);
  element object;
  if (document["object"].get(object) != SUCCESS || !object.is_object()) {
    return InvalidArgument("watch event {} without object", Quote(type));
  }
  WatchEvent event;
  if (type == "ERROR") {
    event.type = WatchEvent::Type::kError;
    event.status = ApiStatusOf(object);
    return event;
  }
  CONTOUR_ASSIGN_OR_RETURN(event.item, ReadItemHead(object));
  if (type == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
    event.ends_initial_events =
        Text(object["metadata"]["annotations"].at_key("k8s.io/initial-events-end")) == "true";
    return event;
  }
  if (type == "ADDED") {
    event.type = WatchEvent::Type::kAdded;
  } else if (type == "MODIFIED") {
    event.type = WatchEvent::Type::kModified;
  } else if (type == "DELETED") {
    event.type = WatchEvent::Type::kDeleted;
  } else {
    return InvalidArgument("watch event of unknown type {}", Quote(type.substr(0, 40)));
  }
  if (event.item.name.empty()) return InvalidArgument("watch event with an object without name");
  return event;
}

absl::StatusOr<ListPage> ParseListPage(simdjson::dom::parser& parser, std::string_view body,
                                       std::string_view api_version, std::string_view kind) {
  CONTOUR_ASSIGN_OR_RETURN(const element document, Parse(parser, body));
  const std::string_view list_version = Text(document["apiVersion"]);
  const std::string_view list_kind = Text(document["kind"]);
  if (list_version != api_version || list_kind != fmt::format("{}List", kind)) {
    return InvalidArgument("expected a {}List of {}, got kind {} of {}", kind, api_version,
                           Quote(list_kind.substr(0, 80)), Quote(list_version.substr(0, 80)));
  }
  ListPage page;
  page.resource_version = Text(document["metadata"]["resourceVersion"]);
  page.continue_token = Text(document["metadata"]["continue"]);
  if (page.resource_version.empty()) {
    return InvalidArgument("metadata.resourceVersion of a list: expected text");
  }
  if (document["items"].get(page.items) != SUCCESS) {
    return InvalidArgument("items of a list: expected a list");
  }
  return page;
}

}  // namespace contour::kube
