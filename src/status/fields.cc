// SPDX-License-Identifier: Apache-2.0

#include "status/fields.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "api/ingress.h"
#include "graph/kinds/kinds.h"
#include "kube/client.h"

namespace contour::status {
namespace {

using nlohmann::json;

// Returns the JSON text. Bytes that are no UTF-8 can come from a manifest, but not from an API
// server.
std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Returns the text at `pointer`, "" if there is none.
std::string_view StringAt(simdjson::dom::element element, std::string_view pointer) {
  std::string_view text;
  if (element.at_pointer(pointer).get(text) != simdjson::SUCCESS) return {};
  return text;
}

}  // namespace

std::string Fields(api::Kind kind, const graph::Status& status) {
  return Text(graph::Kinds().RowOf(kind).status_fields(status));
}

std::string AddressFields(std::vector<api::LoadBalancerIngress> addresses) {
  const auto key = [](const api::LoadBalancerIngress& address) {
    return std::tie(address.ip, address.hostname);
  };
  std::sort(addresses.begin(), addresses.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  json list;  // null
  for (const api::LoadBalancerIngress& address : addresses) {
    json entry = json::object();
    if (!address.ip.empty()) entry["ip"] = address.ip;
    if (!address.hostname.empty()) entry["hostname"] = address.hostname;
    list.push_back(std::move(entry));
  }
  return Text({{"loadBalancer", {{"ingress", std::move(list)}}}});
}

std::optional<std::string> FieldsOf(const api::Object& object) {
  const graph::KindRow& row = graph::Kinds().RowOf(object.kind);
  if (row.known_status_fields != nullptr) return Text(row.known_status_fields(object));
  if (const auto* ingress = api::As<api::Ingress>(object))
    return AddressFields(ingress->load_balancer);
  return std::nullopt;
}

std::string ResourceVersionOf(std::string_view object_json) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (parser.parse(object_json.data(), object_json.size()).get(element) != simdjson::SUCCESS) {
    return {};
  }
  return std::string(StringAt(element, "/metadata/resourceVersion"));
}

std::string OtherWriterOf(std::string_view object_json) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  simdjson::dom::array fields;
  if (parser.parse(object_json.data(), object_json.size()).get(element) != simdjson::SUCCESS ||
      element.at_pointer("/metadata/managedFields").get(fields) != simdjson::SUCCESS) {
    return {};
  }
  std::string_view writer;
  std::string_view latest;  // RFC 3339 in UTC: the order of the text is that of time
  for (const simdjson::dom::element entry : fields) {
    const std::string_view manager = StringAt(entry, "/manager");
    const std::string_view time = StringAt(entry, "/time");
    const bool status = StringAt(entry, "/subresource") == "status" ||
                        entry.at_pointer("/fieldsV1/f:status").error() == simdjson::SUCCESS;
    if (!status || manager == kube::kFieldManager || time < latest) continue;
    writer = manager;
    latest = time;
  }
  return std::string(writer);
}

}  // namespace contour::status
