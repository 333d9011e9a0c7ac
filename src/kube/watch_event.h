// SPDX-License-Identifier: Apache-2.0
// The JSON of lists and watches, down to single objects (which api/ parses). Includes simdjson: for
// .cc files only. Everything returned borrows from the parser and dies with its next parse.

#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kube/api_status.h"

namespace contour::kube {

// What identifies an object and its state.
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
  ItemHead item;  // not of kError; of kBookmark only resource_version
  // Of kBookmark: annotated k8s.io/initial-events-end, the end of a streaming list.
  bool ends_initial_events = false;
  ApiStatus status;  // of kError
};

struct ListPage {
  std::string_view resource_version;
  std::string_view continue_token;  // empty: the last page
  simdjson::dom::array items;
};

// Errors: kInvalidArgument, without the text.
absl::StatusOr<WatchEvent> ParseWatchEvent(simdjson::dom::parser& parser, std::string_view line);
// A page of a list of `kind`. Anything that isn't certainly one is an error, since what a list
// lacks is taken for deleted: another kind or version, no resourceVersion, and `items` that are
// absent or null (an API server writes [] for an empty list).
absl::StatusOr<ListPage> ParseListPage(simdjson::dom::parser& parser, std::string_view body,
                                       std::string_view api_version, std::string_view kind);
absl::StatusOr<ItemHead> ReadItemHead(simdjson::dom::element object);

ApiStatus ApiStatusOf(simdjson::dom::element object);

}  // namespace contour::kube
