// SPDX-License-Identifier: Apache-2.0
// The fields of a status that are ours, as JSON: what is patched into an object, and what two
// statuses are compared by. The form is canonical (fixed order of keys, lists sorted), so equal
// text is equal meaning; times and fields of other writers take no part.
//
//   Fields(graph::Status{"valid", "valid IngressRoute"})
//     → {"currentStatus":"valid","description":"valid IngressRoute"}
//   AddressFields({{.ip = "192.0.2.1"}})
//     → {"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}
//
// Pure, any thread.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "graph/model/model.h"

namespace contour::status {

// Of an IngressRoute.
std::string Fields(const graph::Status& status);

// Of an Ingress. No addresses: the field is taken away (null, as a merge patch says it).
std::string AddressFields(std::vector<api::LoadBalancerIngress> addresses);

// What an object has now. nullopt: of a kind whose status isn't ours.
std::optional<std::string> FieldsOf(const api::Object& object);

// From the answer to a write, which is the object: its new resourceVersion ("" if there is none),
// and who else writes its status by what the server says (metadata.managedFields; the latest, "" if
// nobody but us).
std::string ResourceVersionOf(std::string_view object_json);
std::string OtherWriterOf(std::string_view object_json);

}  // namespace contour::status
