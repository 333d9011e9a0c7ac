// SPDX-License-Identifier: Apache-2.0
// Writes the access log settings of the ingress listeners. An access log is a file with a line per
// request or connection, in Envoy's text format or as JSON.
//
// Example:
//   AccessLogOptions options;
//   options.format = AccessLogOptions::Format::kJSON;
//   options.json_fields = {"@timestamp", "method", "team=%REQ(X-TEAM)%"};
//   CONTOUR_RETURN_IF_ERROR(CheckAccessLog(options));
//
// Fields and operators are those of Contour 1.33 (configuration keys accesslog-format,
// accesslog-format-string, json-fields, accesslog-level). Envoy NACKs a listener whose log it
// doesn't understand, so everything is checked before: Envoy takes the options that CheckAccessLog
// accepts. Pure, any thread.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}  // namespace google::protobuf
namespace envoy::config::accesslog::v3 {
class AccessLog;
}  // namespace envoy::config::accesslog::v3

namespace contour::envoy {

struct AccessLogOptions {
  enum class Format : std::uint8_t { kEnvoy, kJSON };
  // The requests that are logged. kInfo: all. kError: those with a status from 300, or that Envoy
  // flagged. kCritical: those with a status from 500, or that Envoy flagged. kDisabled: none.
  enum class Level : std::uint8_t { kInfo, kError, kCritical, kDisabled };

  Format format = Format::kEnvoy;
  // For kEnvoy: Envoy's format string, ending in a newline. Empty: Envoy's default format.
  std::string format_string;
  // For kJSON: each is a name from the table of Contour (`authority`), an operator of Envoy in
  // upper or lower case (`response_code`), or `name=format string`. Empty: DefaultJSONFields().
  std::vector<std::string> json_fields;
  Level level = Level::kInfo;
};

const std::vector<std::string>& DefaultJSONFields();

// Returns an error for options that Envoy wouldn't take. kInvalidArgument: "invalid access log
// format: …", "invalid Envoy format: …", "invalid JSON log field name …", "invalid JSON field: …".
absl::Status CheckAccessLog(const AccessLogOptions& options);

// Adds the log that writes to `path` in Envoy's container; none at level kDisabled. If
// CheckAccessLog refuses the options, their faulty part is left out.
void AddAccessLog(
    const std::string& path, const AccessLogOptions& options,
    google::protobuf::RepeatedPtrField<::envoy::config::accesslog::v3::AccessLog>* logs);

}  // namespace contour::envoy
