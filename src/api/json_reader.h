// SPDX-License-Identifier: Apache-2.0
// Reads the fields of one JSON object into a struct. The reader knows the path of the field that it
// reads, so that an error can name it.
//
// Example, given `JsonReader& reader`:
//   struct Port {
//     std::int32_t number = 0;
//   };
//   std::string type;
//   std::vector<Port> ports;
//   reader.Object("spec", [&] {
//     reader.String("type", &type);
//     reader.Each("ports", &ports, [&](Port& port) { reader.Port("port", &port.number); });
//   });
//   if (reader.failed()) return InvalidArgument("{}", reader.error().String());
//
// A field that is absent or null leaves its target as it is. The first error is kept; after it
// nothing more is read. Unknown fields are ignored. The reader borrows the document. It is for one
// thread, and private to api/.

#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/parse.h"

namespace contour::api {

class JsonReader {
 public:
  explicit JsonReader(simdjson::dom::object document) : object_(document) {}

  void String(std::string_view key, std::string* out);
  void String(std::string_view key, std::optional<std::string>* out);
  void Bool(std::string_view key, bool* out);
  void Bool(std::string_view key, std::optional<bool>* out);
  // Reads any integer that the target can hold. 80.0 is not an integer.
  void Int(std::string_view key, std::int32_t* out) { BoundedInt(key, INT32_MIN, INT32_MAX, out); }
  void Int(std::string_view key, std::int64_t* out) { BoundedInt(key, INT64_MIN, INT64_MAX, out); }
  // Reads a port number, 0 to 65535. Kubernetes takes 0 for "not given".
  void Port(std::string_view key, std::int32_t* out) { BoundedInt(key, 0, 65535, out); }
  // Reads a list of strings.
  void Strings(std::string_view key, std::vector<std::string>* out);
  // Returns the text of a string in the document, without a copy; it is valid as long as the
  // document. nullopt: absent, null, or an error.
  std::optional<std::string_view> Text(std::string_view key);

  // Calls `read()` with the reader inside the object `key`, if that field is given.
  template <typename Read>
  void Object(std::string_view key, Read&& read) {
    simdjson::dom::element element;
    if (!Find(key, &element)) return;
    path_.push_back({key, kNoIndex});
    Enter(element, read);
    path_.pop_back();
  }

  // Appends a T for each object of the list `key`, and calls `read(T&)` with the reader inside the
  // object.
  template <typename T, typename Read>
  void Each(std::string_view key, std::vector<T>* out, Read&& read) {
    const std::optional<simdjson::dom::array> array = FindArray(key);
    if (!array) return;
    out->reserve(array->size());
    path_.push_back({key, 0});
    for (const simdjson::dom::element element : *array) {
      T& item = out->emplace_back();
      Enter(element, [&] { read(item); });
      if (failed()) break;
      ++path_.back().index;
    }
    path_.pop_back();
  }

  // Does the same, and leaves nullopt if there is no list, which differs from an empty list.
  template <typename T, typename Read>
  void Each(std::string_view key, std::optional<std::vector<T>>* out, Read&& read) {
    simdjson::dom::element element;
    if (Find(key, &element)) Each(key, &out->emplace(), read);
  }
  // Calls `read(key)` for each key of the object `key`, with the reader inside it.
  template <typename Read>
  void EachKey(std::string_view key, Read&& read) {
    Object(key, [&] {
      for (const simdjson::dom::key_value_pair field : object_) read(field.key);
    });
  }

  // Reports that the field `key` of the current object can't be used.
  void Fail(std::string_view key, std::string problem);
  bool failed() const { return error_.has_value(); }
  // Returns the first error, without `object`, which the caller fills in. REQUIRES: failed().
  const FieldError& error() const { return *error_; }

 private:
  static constexpr std::size_t kNoIndex = SIZE_MAX;
  struct Step {
    std::string_view key;
    std::size_t index = kNoIndex;
  };

  // Returns false if the field is absent or null, or after an error.
  bool Find(std::string_view key, simdjson::dom::element* element);
  std::optional<simdjson::dom::array> FindArray(std::string_view key);
  template <typename Integer>
  void BoundedInt(std::string_view key, std::int64_t low, std::int64_t high, Integer* out);
  void FailType(std::string_view key, std::string_view expected, simdjson::dom::element got);
  // Reports that the value at `path_` isn't an object.
  void FailNoObject(simdjson::dom::element got);
  std::string Path() const;

  template <typename Read>
  void Enter(simdjson::dom::element element, Read&& read) {
    simdjson::dom::object inner;
    if (element.get(inner) != simdjson::SUCCESS) return FailNoObject(element);
    const simdjson::dom::object outer = std::exchange(object_, inner);
    read();
    object_ = outer;
  }

  simdjson::dom::object object_;  // the object whose fields are read now
  std::vector<Step> path_;        // its path in the document
  std::optional<FieldError> error_;
};

}  // namespace contour::api
