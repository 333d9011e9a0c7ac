// SPDX-License-Identifier: Apache-2.0
// What std::optional<T> is, for values that most have not: an absent one takes a pointer's room and
// not that of a T. Copies and comparisons are of the values.
//
//   struct Service { Box<HealthCheck> health_check; };   // 10,000 of them, few are checked
//
// As a value: any thread, none is shared.

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
  // NOLINTBEGIN(google-explicit-constructor): as std::optional has them
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
  // REQUIRES of the others: there is one.
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  bool operator==(const Box& other) const {
    return has_value() == other.has_value() && (!has_value() || *value_ == *other.value_);
  }
  // As std::optional orders: absent ones come first.
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
