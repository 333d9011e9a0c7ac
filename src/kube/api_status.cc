// SPDX-License-Identifier: Apache-2.0

#include "kube/api_status.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>

#include "base/strings.h"
#include "kube/watch_event.h"

namespace contour::kube {
namespace {

constexpr std::size_t kMostMessage = 1024;
constexpr std::chrono::hours kMostWait{24};

}  // namespace

ApiStatus ApiStatusOf(simdjson::dom::element object) {
  ApiStatus status;
  std::string_view text;
  std::int64_t number = 0;
  if (object["code"].get(number) == simdjson::SUCCESS && number >= 0 && number < 1000) {
    status.code = static_cast<int>(number);
  }
  if (object["reason"].get(text) == simdjson::SUCCESS) status.reason = text;
  if (object["message"].get(text) == simdjson::SUCCESS)
    status.message = text.substr(0, kMostMessage);
  if (object["details"]["retryAfterSeconds"].get(number) == simdjson::SUCCESS && number > 0) {
    // A longer wait is useless, and could overflow a clock.
    status.retry_after = std::min<std::chrono::seconds>(std::chrono::seconds(number), kMostWait);
  }
  simdjson::dom::array causes;
  if (object["details"]["causes"].get(causes) == simdjson::SUCCESS) {
    for (const simdjson::dom::element cause : causes) {
      if (cause["reason"].get(text) == simdjson::SUCCESS && text == "ResourceVersionTooLarge") {
        status.resource_version_too_large = true;
      }
    }
  }
  return status;
}

ApiStatus ParseApiStatus(int http_status, std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  std::string_view kind;
  ApiStatus status;
  if (parser.parse(body.data(), body.size()).get(document) == simdjson::SUCCESS &&
      document["kind"].get(kind) == simdjson::SUCCESS && kind == "Status") {
    status = ApiStatusOf(document);
  } else if (http_status < 200 || http_status >= 300) {
    const std::string_view text = Trim(body);
    status.message = text.substr(0, std::min(text.find('\n'), kMostMessage));
  }
  status.code = http_status;
  return status;
}

absl::Status ToStatus(const ApiStatus& status) {
  if (status.code >= 200 && status.code < 300) return absl::OkStatus();
  std::string message = fmt::format("HTTP {}", status.code);
  if (!status.reason.empty()) message += " " + status.reason;
  if (!status.message.empty()) message += ": " + status.message;
  switch (status.code) {
    case 400:
    case 422:
      return absl::InvalidArgumentError(message);
    case 401:
      return absl::UnauthenticatedError(message);
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      return absl::NotFoundError(message);
    case 409:
      return status.reason == "AlreadyExists" ? absl::AlreadyExistsError(message)
                                              : absl::AbortedError(message);
    case 410:
      return absl::OutOfRangeError(message);
    case 429:
      return absl::ResourceExhaustedError(message);
    default:
      break;
  }
  return status.code >= 500 ? absl::UnavailableError(message) : absl::UnknownError(message);
}

}  // namespace contour::kube
