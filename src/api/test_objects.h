// SPDX-License-Identifier: Apache-2.0
// Functions that the tests of the kinds share: they make an object from JSON in one line, and run
// tables of errors and of edits.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/parse.h"
#include "base/status.h"

namespace contour::api {

// Returns the object that `json` describes. If `json` is refused or of another kind, it fails the
// test and returns a default object.
template <typename T>
T ParseAs(std::string_view json) {
  Parser parser;
  const absl::StatusOr<ParsedObject> parsed = parser.Parse(json);
  if (!parsed.ok()) {
    ADD_FAILURE() << Message(parsed.status()) << "\n" << json;
    return T();
  }
  const T* object = As<T>(parsed->object.get());
  if (object == nullptr) {
    ADD_FAILURE() << "not read: " << json;
    return T();
  }
  return *object;
}

// Returns the error message with which `json` is refused. It fails the test if `json` is accepted.
inline std::string ErrorOf(std::string_view json) {
  Parser parser;
  const absl::StatusOr<ParsedObject> parsed = parser.Parse(json);
  if (parsed.ok()) {
    ADD_FAILURE() << "accepted: " << json;
    return "";
  }
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(Message(parsed.status()));
}

struct Edit {
  std::string from;  // occurs once in the object
  std::string to;
};

inline std::string Edited(std::string json, const Edit& edit) {
  const std::size_t at = json.find(edit.from);
  if (at == std::string::npos || json.find(edit.from, at + 1) != std::string::npos) {
    ADD_FAILURE() << "must occur once: " << edit.from;
    return json;
  }
  return json.replace(at, edit.from.size(), edit.to);
}

// Expects that each edit of `meaning` changes the meaning of the object, each of `status` only its
// status, and each of `none` nothing.
template <typename T>
void ExpectMeanings(const std::string& json, const std::vector<Edit>& meaning,
                    const std::vector<Edit>& status, const std::vector<Edit>& none) {
  const T object = ParseAs<T>(json);
  EXPECT_TRUE(SameMeaning(object, ParseAs<T>(json)));
  EXPECT_TRUE(SameStatus(object, ParseAs<T>(json)));
  for (const Edit& edit : meaning) {
    EXPECT_FALSE(SameMeaning(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
    EXPECT_TRUE(SameStatus(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
  }
  for (const Edit& edit : status) {
    EXPECT_TRUE(SameMeaning(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
    EXPECT_FALSE(SameStatus(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
  }
  for (const Edit& edit : none) {
    EXPECT_TRUE(SameMeaning(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
    EXPECT_TRUE(SameStatus(object, ParseAs<T>(Edited(json, edit)))) << edit.to;
  }
}

struct Refusal {
  Edit edit;
  std::string error;  // the whole message
};

inline void ExpectRefusals(const std::string& json, const std::vector<Refusal>& cases) {
  for (const Refusal& c : cases) EXPECT_EQ(ErrorOf(Edited(json, c.edit)), c.error) << c.edit.to;
}

}  // namespace contour::api
