// SPDX-License-Identifier: Apache-2.0
// Parses the JSON of lists and watches, down to single objects, which api/ parses. The header
// includes simdjson, so it is for .cc files only. Everything that is returned borrows from the
// parser, and is valid until its next parse.

#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kube/api_status.h"

namespace contour::kube {

// The identity of an object and its resourceVersion.
struct ItemHead {
  std::string_view api_version;  // empty: not given, as items of a list may omit it
  std::string_view kind;         // likewise
  std::string_view ns;
  std::string_view name;
  std::string_view resource_version;
  simdjson::dom::element object;
};

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark, kError };

  Type type = Type::kBookmark;
  ItemHead item;  // not for kError; for kBookmark only resource_version
  // For kBookmark: it is annotated k8s.io/initial-events-end, and so ends a streaming list.
  bool ends_initial_events = false;
  ApiStatus status;  // for kError
};

struct ListPage {
  std::string_view resource_version;
  std::string_view continue_token;  // empty: the last page
  simdjson::dom::array items;
};

// Parses an event. Errors are kInvalidArgument, and don't have the text.
absl::StatusOr<WatchEvent> ParseWatchEvent(simdjson::dom::parser& parser, std::string_view line);
// Parses a page of a list of `kind`. Anything that isn't certainly such a page is an error, since
// objects that a list lacks are taken for deleted: another kind or version, no resourceVersion, and
// `items` that are absent or null (an API server writes [] for an empty list).
absl::StatusOr<ListPage> ParseListPage(simdjson::dom::parser& parser, std::string_view body,
                                       std::string_view api_version, std::string_view kind);
absl::StatusOr<ItemHead> ReadItemHead(simdjson::dom::element object);

ApiStatus ApiStatusOf(simdjson::dom::element object);

}  // namespace contour::kube
