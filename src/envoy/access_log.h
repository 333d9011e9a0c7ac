// SPDX-License-Identifier: Apache-2.0
// Access logs of the ingress listeners: a file with a line per request or connection, in Envoy's
// text format or as JSON.
//
//   AccessLogOptions options;
//   options.format = AccessLogOptions::Format::kJSON;
//   options.json_fields = {"@timestamp", "method", "team=%REQ(X-TEAM)%"};
//   CONTOUR_RETURN_IF_ERROR(CheckAccessLog(options));
//
// Fields and operators are those of Contour 1.33 (configuration keys accesslog-format,
// accesslog-format-string, json-fields, accesslog-level). Envoy refuses a listener whose log it
// doesn't understand, so everything is checked before: options that CheckAccessLog accepts are
// accepted by Envoy. Pure, any thread.

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
  // What is worth a line: all; statuses from 300 or anything that Envoy flagged; statuses from 500
  // or anything flagged; nothing.
  enum class Level : std::uint8_t { kInfo, kError, kCritical, kDisabled };

  Format format = Format::kEnvoy;
  // Of kEnvoy: Envoy's format string, ending in a newline. Empty: Envoy's own format.
  std::string format_string;
  // Of kJSON, each of them a name from the table of Contour (`authority`), an operator of Envoy in
  // any case (`response_code`), or `name=format string`. Empty: DefaultJSONFields().
  std::vector<std::string> json_fields;
  Level level = Level::kInfo;
};

const std::vector<std::string>& DefaultJSONFields();

// kInvalidArgument: "invalid access log format: …", "invalid Envoy format: …", "invalid JSON log
// field name …", "invalid JSON field: …".
absl::Status CheckAccessLog(const AccessLogOptions& options);

// Adds the log that writes to `path` in Envoy's container; none at level kDisabled. Of options that
// CheckAccessLog refuses the faulty part is left out.
void AddAccessLog(
    const std::string& path, const AccessLogOptions& options,
    google::protobuf::RepeatedPtrField<::envoy::config::accesslog::v3::AccessLog>* logs);

}  // namespace contour::envoy
