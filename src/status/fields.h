// SPDX-License-Identifier: Apache-2.0
// The fields of a status that contour owns, as JSON. They are patched into an object, and two
// statuses are compared by them. The form is canonical (fixed order of keys, lists sorted), so
// equal text means an equal status. Times and fields of other writers are left out.
//
// Example, given `const graph::Status& status`:
//   // {"currentStatus":"valid","description":"valid IngressRoute"}
//   const std::string of_route = Fields(api::Kind::kIngressRoute, status);
//   // {"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}
//   const std::string of_ingress = AddressFields({{.ip = "192.0.2.1"}});
//
// Pure, any thread.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/service.h"
#include "graph/model/status.h"

namespace contour::status {

// Returns the fields of a status that derivations gave to an object of the kind.
std::string Fields(api::Kind kind, const graph::Status& status);

// Returns the fields of an Ingress' status. Without addresses the field is removed (null, as in a
// merge patch).
std::string AddressFields(std::vector<api::LoadBalancerIngress> addresses);

// Returns the fields that an object has now, nullopt if contour doesn't write statuses of its kind.
std::optional<std::string> FieldsOf(const api::Object& object);

// Returns the resourceVersion of an object, "" if there is none. The answer to a write is the
// object with its new resourceVersion.
std::string ResourceVersionOf(std::string_view object_json);

// Returns the latest writer of the object's status other than contour, from metadata.managedFields;
// "" if there is none.
std::string OtherWriterOf(std::string_view object_json);

}  // namespace contour::status
