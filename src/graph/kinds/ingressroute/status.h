// SPDX-License-Identifier: Apache-2.0
// The status of an IngressRoute: one entry with the condition `Valid`, whose reason is the
// `currentStatus` and whose message is the `description` of the object.

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "api/object.h"
#include "graph/model/status.h"

namespace contour::graph::ingressroute {

// `current` is valid, invalid, orphaned or unknown (it depends on what isn't read), of static
// storage.
StatusEntryPtr MakeEntry(std::string_view current, std::string description, std::string vhost,
                         bool missing = false);

// The same as a whole status.
Status MakeStatus(std::string_view current, std::string description, std::string vhost,
                  bool missing = false);

// See KindRow.
const Status& Orphaned();
nlohmann::json StatusFields(const Status& status);
nlohmann::json KnownStatusFields(const api::Object& object);

}  // namespace contour::graph::ingressroute
