// SPDX-License-Identifier: Apache-2.0
// The status of an IngressRoute: one entry with the condition `Valid`, whose reason is the
// `currentStatus` and whose message is the `description` of the object.

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/object.h"
#include "graph/model/status.h"

namespace contour::graph::ingressroute {

// Makes an entry. `current` is of static storage: valid, invalid, orphaned, or unknown if the
// status depends on a kind that isn't read.
StatusEntryPtr MakeEntry(StaticText current, std::string description, std::string vhost,
                         bool missing = false);

// Makes a status of one entry.
Status MakeStatus(StaticText current, std::string description, std::string vhost,
                  bool missing = false);

// See KindRow for these.
const Status& Orphaned();
nlohmann::json StatusFields(const Status& status);
nlohmann::json KnownStatusFields(const api::Object& object);

}  // namespace contour::graph::ingressroute
