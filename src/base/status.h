// SPDX-License-Identifier: Apache-2.0
// Helpers for errors as values, which absl::Status lacks in the packaged version.
//
// Example, given `const std::function<absl::StatusOr<int>()>& read_port`:
//   CONTOUR_ASSIGN_OR_RETURN(const int port, read_port());
//   if (port <= 0) return InvalidArgument("port: expected a number above 0, got {}", port);
//   CONTOUR_RETURN_IF_ERROR(read_port().status());
//
// A message begins with its subject (object, field path or file) and says what was expected.

#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace contour {

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return absl::NotFoundError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return absl::UnavailableError(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Args>(args)...));
}

// Returns the message as a std::string_view. (The packaged Abseil has a type of its own.)
inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace contour

#define CONTOUR_CONCAT_INNER(a, b) a##b
#define CONTOUR_CONCAT(a, b) CONTOUR_CONCAT_INNER(a, b)

#define CONTOUR_RETURN_IF_ERROR(expression)                                 \
  do {                                                                      \
    if (absl::Status contour_status_ = (expression); !contour_status_.ok()) \
      return contour_status_;                                               \
  } while (false)

#define CONTOUR_ASSIGN_OR_RETURN(declaration, expression) \
  CONTOUR_ASSIGN_OR_RETURN_INNER(CONTOUR_CONCAT(contour_result_, __LINE__), declaration, expression)
#define CONTOUR_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                           \
  if (!result.ok()) return result.status();                             \
  declaration = *std::move(result)
