// SPDX-License-Identifier: Apache-2.0
// An optional value like std::optional<T>, for fields that most objects don't have: an absent value
// takes the room of a pointer, not of a T. Copying and comparing copy and compare the values.
//
// Example:
//   struct HealthCheck {
//     std::string path = "/";
//   };
//   struct Service {
//     IndirectOptional<HealthCheck> health_check;  // 10,000 of them, few are checked
//   };
//
// It is a plain value: each thread has its own.

#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <utility>

namespace contour {

template <typename T>
class IndirectOptional {
 public:
  IndirectOptional() = default;
  // NOLINTBEGIN(google-explicit-constructor): std::optional has the same
  IndirectOptional(std::nullopt_t) {}
  IndirectOptional(T value) : value_(std::make_unique<T>(std::move(value))) {}
  IndirectOptional(std::optional<T> value) {
    if (value) value_ = std::make_unique<T>(*std::move(value));
  }
  // NOLINTEND(google-explicit-constructor)
  IndirectOptional(const IndirectOptional& other)
      : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  IndirectOptional(IndirectOptional&&) noexcept = default;
  IndirectOptional& operator=(const IndirectOptional& other) {
    if (this != &other) value_ = other ? std::make_unique<T>(*other) : nullptr;
    return *this;
  }
  IndirectOptional& operator=(IndirectOptional&&) noexcept = default;
  IndirectOptional& operator=(T value) {
    value_ = std::make_unique<T>(std::move(value));
    return *this;
  }
  ~IndirectOptional() = default;

  T& emplace() { return *(value_ = std::make_unique<T>()); }
  void reset() { value_.reset(); }

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  // The following REQUIRE a value.
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  bool operator==(const IndirectOptional& other) const {
    return has_value() == other.has_value() && (!has_value() || *value_ == *other.value_);
  }
  // Orders as std::optional does: absent values come first.
  auto operator<=>(const IndirectOptional& other) const
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
