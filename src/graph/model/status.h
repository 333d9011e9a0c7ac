// SPDX-License-Identifier: Apache-2.0
// The statuses of objects, and their problems where no status says so.

#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "api/object.h"

namespace contour::graph {

// A text of static storage, in half the room of a string_view: there is a status for each root.
class StaticText {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is one
  StaticText(const char* text) : text_(text) {}

  std::string_view view() const { return text_; }
  bool operator==(const StaticText& other) const { return view() == other.view(); }

 private:
  const char* text_;
};

// One statement about an object, as Kubernetes' conditions are.
struct Condition {
  enum class Truth : std::uint8_t { kTrue, kFalse, kUnknown };

  StaticText type = "";
  StaticText reason = "";
  std::string message;
  Truth truth = Truth::kUnknown;

  bool operator==(const Condition&) const = default;
};

// The conditions of an object, or of an object as a child of one of its parents.
struct StatusEntry {
  // The place of the parent among those that the object names, from 0; nullopt: the object as such.
  std::optional<std::uint16_t> parent;
  // True if the cause is an object that isn't there, which may only be late: while kinds arrive one
  // after the other, such a status is better not shown at once.
  bool missing = false;
  absl::InlinedVector<Condition, 1> conditions;  // not empty; the first one sums up
  std::string vhost;                             // label of the metrics; may be empty

  bool operator==(const StatusEntry&) const = default;
};
using StatusEntryPtr = std::shared_ptr<const StatusEntry>;

// The whole status of an object. The kind knows which fields it becomes (KindRow::status_fields).
struct Status {
  absl::InlinedVector<StatusEntryPtr, 1> entries;  // not empty, none null; by parent, each once

  // Returns the condition that sums up the first entry.
  const Condition& Summary() const { return entries.front()->conditions.front(); }
  bool IsMissing() const {
    return std::any_of(entries.begin(), entries.end(),
                       [](const StatusEntryPtr& entry) { return entry->missing; });
  }

  bool operator==(const Status& other) const {
    return std::equal(entries.begin(), entries.end(), other.entries.begin(), other.entries.end(),
                      [](const auto& a, const auto& b) { return a == b || *a == *b; });
  }
};

// A problem names something that an object asks for and doesn't get, where no status says so.
struct Problem {
  api::ObjectRef object;
  std::string text;  // begins with the field's path where there is one

  auto operator<=>(const Problem&) const = default;
};

}  // namespace contour::graph
