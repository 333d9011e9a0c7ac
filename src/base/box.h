// SPDX-License-Identifier: Apache-2.0
// An optional value like std::optional<T>, for fields that most objects don't have: an absent value
// takes the room of a pointer, not of a T. Copying and comparing copy and compare the values.
//
//   struct Service { Box<HealthCheck> health_check; };   // there are 10,000, and few have a check
//
// It is a plain value: each thread has its own.

#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <utility>

namespace contour {

template <typename T>
class Box {
 public:
  Box() = default;
  // NOLINTBEGIN(google-explicit-constructor): std::optional has the same
  Box(std::nullopt_t) {}
  Box(T value) : value_(std::make_unique<T>(std::move(value))) {}
  Box(std::optional<T> value) {
    if (value) value_ = std::make_unique<T>(*std::move(value));
  }
  // NOLINTEND(google-explicit-constructor)
  Box(const Box& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  Box(Box&&) noexcept = default;
  Box& operator=(const Box& other) {
    if (this != &other) value_ = other ? std::make_unique<T>(*other) : nullptr;
    return *this;
  }
  Box& operator=(Box&&) noexcept = default;
  Box& operator=(T value) {
    value_ = std::make_unique<T>(std::move(value));
    return *this;
  }
  ~Box() = default;

  T& emplace() { return *(value_ = std::make_unique<T>()); }
  void reset() { value_.reset(); }

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  // The following REQUIRE a value.
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  bool operator==(const Box& other) const {
    return has_value() == other.has_value() && (!has_value() || *value_ == *other.value_);
  }
  // Orders as std::optional does: absent values come first.
  auto operator<=>(const Box& other) const
    requires std::three_way_comparable<T>
  {
    using Order = std::compare_three_way_result_t<T>;
    if (has_value() && other.has_value()) return *value_ <=> *other.value_;
    return Order(has_value() <=> other.has_value());
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace contour
