// SPDX-License-Identifier: Apache-2.0

#include "kube/discovery.h"

#include <fmt/core.h>
#include <simdjson.h>

#include "base/status.h"
#include "base/strings.h"
#include "kube/resources.h"

namespace contour::kube {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;

// A group that every API server has whose objects contour can use.
constexpr std::string_view kGroupOfAll = "discovery.k8s.io";

std::string_view Text(simdjson::simdjson_result<element> value) {
  std::string_view text;
  return value.get(text) == SUCCESS ? text : std::string_view();
}

// Parses a document of this kind.
absl::StatusOr<element> ReadDocument(simdjson::dom::parser& parser, std::string_view body,
                                     std::string_view kind) {
  element document;
  if (const auto code = parser.parse(body.data(), body.size()).get(document); code != SUCCESS) {
    return InvalidArgument("discovery: not JSON: {}", simdjson::error_message(code));
  }
  const std::string_view given = Text(document["kind"]);
  if (given == kind) return document;
  return InvalidArgument("discovery: expected kind {}, got {}", kind, Quote(given.substr(0, 80)));
}

absl::StatusOr<simdjson::dom::array> ReadList(element object, std::string_view key) {
  simdjson::dom::array list;
  if (object[key].get(list) == SUCCESS) return list;
  return InvalidArgument("discovery: {}: expected a list", key);
}

}  // namespace

std::string ResourcesPath(api::Kind kind) {
  return fmt::format("{}/{}", kGroupsPath, api::ApiVersion(kind));
}

absl::StatusOr<bool> HasVersion(std::string_view body, api::Kind kind) {
  simdjson::dom::parser parser;
  CONTOUR_ASSIGN_OR_RETURN(const element document, ReadDocument(parser, body, "APIGroupList"));
  CONTOUR_ASSIGN_OR_RETURN(const simdjson::dom::array groups, ReadList(document, "groups"));
  bool complete = false;
  bool found = false;
  for (const element group : groups) {
    const std::string_view name = Text(group["name"]);
    complete = complete || name == kGroupOfAll;
    if (name != GroupName(kind)) continue;
    CONTOUR_ASSIGN_OR_RETURN(const simdjson::dom::array versions, ReadList(group, "versions"));
    for (const element version : versions)
      found = found || Text(version["groupVersion"]) == api::ApiVersion(kind);
  }
  if (!complete) return InvalidArgument("discovery: group {} is missing", kGroupOfAll);
  return found;
}

absl::StatusOr<bool> HasResource(std::string_view body, api::Kind kind) {
  simdjson::dom::parser parser;
  CONTOUR_ASSIGN_OR_RETURN(const element document, ReadDocument(parser, body, "APIResourceList"));
  const std::string_view version = Text(document["groupVersion"]);
  if (version != api::ApiVersion(kind)) {
    return InvalidArgument("discovery: expected the resources of {}, got those of {}",
                           api::ApiVersion(kind), Quote(version.substr(0, 80)));
  }
  CONTOUR_ASSIGN_OR_RETURN(const simdjson::dom::array resources, ReadList(document, "resources"));
  for (const element resource : resources) {
    if (Text(resource["name"]) == ResourceName(kind)) return true;
  }
  return false;
}

}  // namespace contour::kube
