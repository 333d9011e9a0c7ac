// SPDX-License-Identifier: Apache-2.0
// What is said of the objects: their statuses, and problems where no status says so.

#pragma once

#include <compare>
#include <memory>
#include <string>

#include "api/object.h"

namespace contour::graph {

// What became of an IngressRoute.
struct Status {
  std::string current_status;  // valid, invalid, orphaned, unknown (it depends on what isn't read)
  std::string description;
  std::string vhost;  // label of the metrics; may be empty
  // Caused by an object that isn't there, which may only be late: while kinds arrive one after the
  // other, such a status is better not shown at once.
  bool missing = false;

  bool operator==(const Status&) const = default;
};
using StatusPtr = std::shared_ptr<const Status>;

// Something that an object asks for and doesn't get, where no status says so.
struct Problem {
  api::ObjectRef object;
  std::string text;  // begins with the field's path where there is one

  auto operator<=>(const Problem&) const = default;
};

}  // namespace contour::graph
