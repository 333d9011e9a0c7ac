// SPDX-License-Identifier: Apache-2.0
#include "envoy/access_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/formatter/req_without_query/v3/req_without_query.pb.h"
#include "envoy/message.h"

namespace contour::envoy {
namespace {

namespace accesslog = ::envoy::config::accesslog::v3;
namespace core = ::envoy::config::core::v3;

struct Alias {
  std::string_view name;
  std::string_view format;
};
constexpr Alias kAliases[] = {
    {"@timestamp", "%START_TIME%"},
    {"ts", "%START_TIME%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"uber_trace_id", "%REQ(UBER-TRACE-ID)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"x_trace_id", "%REQ(X-TRACE-ID)%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
};

// Operators without arguments.
constexpr std::string_view kSimpleOperators[] = {
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
};

// Operators with arguments in brackets.
struct ArgumentsOperator {
  std::string_view name;
  bool optional = false;
  bool truncates = true;
};
constexpr ArgumentsOperator kArgumentsOperators[] = {
    {"ENVIRONMENT"},
    {"METADATA"},
    {"REQ"},
    {"REQ_WITHOUT_QUERY"},
    {"RESP"},
    {"TRAILER"},
    {"START_TIME", true, false},
};

// Envoy implements this operator by an extension, beside the built-in ones.
constexpr std::string_view kWithoutQuery = "REQ_WITHOUT_QUERY";

std::string ToUpper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

bool IsSimpleOperator(std::string_view name) {
  return std::find(std::begin(kSimpleOperators), std::end(kSimpleOperators), name) !=
         std::end(kSimpleOperators);
}

const ArgumentsOperator* FindArgumentsOperator(std::string_view name) {
  for (const ArgumentsOperator& candidate : kArgumentsOperators) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

// `%NAME(arguments):length%` without the percent signs.
struct Operator {
  std::string_view name;
  std::optional<std::string_view> arguments;
  std::optional<std::string_view> length;
};

// Reads an operator at the start of `text` (after the %) and removes it, with its last %. nullopt:
// the text begins with none.
std::optional<Operator> TakeOperator(std::string_view* text) {
  Operator found;
  const std::size_t end_of_name = text->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
  if (end_of_name == 0 || end_of_name == std::string_view::npos) return std::nullopt;
  found.name = text->substr(0, end_of_name);
  text->remove_prefix(end_of_name);
  if (text->front() == '(') {
    const std::size_t close = text->find(')');
    if (close == std::string_view::npos || close == 1) return std::nullopt;
    found.arguments = text->substr(1, close - 1);
    text->remove_prefix(close + 1);
  }
  if (text->starts_with(':')) {
    const std::size_t end = text->find('%');
    if (end == std::string_view::npos) return std::nullopt;
    found.length = text->substr(1, end - 1);
    const bool is_length = !found.length->empty() && found.length->size() <= 9 &&
                           found.length->find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_length) return std::nullopt;
    text->remove_prefix(end);
  }
  if (!text->starts_with('%')) return std::nullopt;
  text->remove_prefix(1);
  return found;
}

// True if Envoy takes the arguments: a header name without forbidden characters, and at most one
// alternative.
bool IsGoodHeader(std::string_view arguments) {
  const std::size_t question = arguments.find('?');
  if (question != std::string_view::npos) {
    const std::string_view other = arguments.substr(question + 1);
    if (other.find('?') != std::string_view::npos) return false;
    return IsGoodHeader(arguments.substr(0, question)) && IsGoodHeader(other);
  }
  if (arguments.starts_with(':')) arguments.remove_prefix(1);
  return !arguments.empty() && std::all_of(arguments.begin(), arguments.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Checks the arguments of METADATA(KIND:namespace:key…).
bool IsGoodMetadata(std::string_view arguments) {
  const std::string_view kind = arguments.substr(0, arguments.find(':'));
  if (kind.size() == arguments.size()) return false;
  for (const std::string_view known :
       {"DYNAMIC", "CLUSTER", "ROUTE", "UPSTREAM_HOST", "LISTENER"}) {
    if (kind == known) return true;
  }
  return false;
}

absl::Status CheckOperator(const std::string& format, const Operator& found) {
  const auto error = [&](std::string_view what) {
    return InvalidArgument("invalid Envoy format: {}, {}", format, what);
  };
  const ArgumentsOperator* with_arguments = FindArgumentsOperator(found.name);
  if (with_arguments == nullptr) {
    if (!IsSimpleOperator(found.name) || found.arguments)
      return error(fmt::format("invalid Envoy operator: {}", found.name));
    if (found.length)
      return error(fmt::format("operator {} cannot have truncation length", found.name));
    return absl::OkStatus();
  }
  if (!found.arguments && !with_arguments->optional)
    return error(fmt::format("arguments required for operator: {}", found.name));
  if (found.length && !with_arguments->truncates)
    return error(fmt::format("operator {} cannot have truncation length", found.name));
  const bool is_header = found.name == "REQ" || found.name == "RESP" || found.name == "TRAILER" ||
                         found.name == kWithoutQuery;
  if ((is_header && !IsGoodHeader(*found.arguments)) ||
      (found.name == "METADATA" && !IsGoodMetadata(*found.arguments))) {
    return error(fmt::format("bad arguments for operator: {}", found.name));
  }
  return absl::OkStatus();
}

// Checks that every operator in a format string is known; %% is a percent sign.
absl::Status CheckFormat(const std::string& format) {
  std::string_view rest = format;
  for (std::size_t at = rest.find('%'); at != std::string_view::npos; at = rest.find('%')) {
    rest.remove_prefix(at + 1);
    if (rest.starts_with('%')) {
      rest.remove_prefix(1);
      continue;
    }
    const std::optional<Operator> found = TakeOperator(&rest);
    if (!found) return InvalidArgument("invalid Envoy format: {}", format);
    CONTOUR_RETURN_IF_ERROR(CheckOperator(format, *found));
  }
  return absl::OkStatus();
}

struct Field {
  std::string name;
  std::string format;
};

absl::StatusOr<Field> ParseField(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals != std::string::npos) {
    Field field{text.substr(0, equals), text.substr(equals + 1)};
    if (field.name.empty() || field.format.empty())
      return InvalidArgument("invalid JSON field: {}", text);
    CONTOUR_RETURN_IF_ERROR(CheckFormat(field.format));
    return field;
  }
  for (const Alias& alias : kAliases) {
    if (alias.name == text) return Field{text, std::string(alias.format)};
  }
  const std::string name = ToUpper(text);
  if (!IsSimpleOperator(name)) return InvalidArgument("invalid JSON log field name {}", text);
  return Field{text, fmt::format("%{}%", name)};
}

std::vector<Field> Fields(const AccessLogOptions& options) {
  std::vector<Field> fields;
  for (const std::string& text :
       options.json_fields.empty() ? DefaultJSONFields() : options.json_fields) {
    absl::StatusOr<Field> field = ParseField(text);
    if (field.ok()) fields.push_back(*std::move(field));
  }
  return fields;
}

void AddFormatters(bool without_query, core::SubstitutionFormatString* format) {
  if (!without_query) return;
  auto* formatter = format->add_formatters();
  formatter->set_name("envoy.formatter.req_without_query");
  Pack(::envoy::extensions::formatter::req_without_query::v3::ReqWithoutQuery(),
       formatter->mutable_typed_config());
}

bool HasWithoutQuery(std::string_view format) {
  return format.find("%REQ_WITHOUT_QUERY(") != std::string_view::npos;
}

void SetFormat(const AccessLogOptions& options,
               ::envoy::extensions::access_loggers::file::v3::FileAccessLog* file) {
  if (options.format == AccessLogOptions::Format::kJSON) {
    core::SubstitutionFormatString* format = file->mutable_log_format();
    auto& object = *format->mutable_json_format()->mutable_fields();
    bool without_query = false;
    for (const Field& field : Fields(options)) {
      object[Text(field.name)].set_string_value(Text(field.format));
      without_query = without_query || HasWithoutQuery(field.format);
    }
    format->set_omit_empty_values(true);
    AddFormatters(without_query, format);
    return;
  }
  if (options.format_string.empty() || !CheckAccessLog(options).ok()) return;
  core::SubstitutionFormatString* format = file->mutable_log_format();
  format->mutable_text_format_source()->set_inline_string(options.format_string);
  AddFormatters(HasWithoutQuery(options.format_string), format);
}

void SetLevel(AccessLogOptions::Level level, accesslog::AccessLog* log) {
  const std::uint32_t from = level == AccessLogOptions::Level::kError      ? 300
                             : level == AccessLogOptions::Level::kCritical ? 500
                                                                           : 0;
  if (from == 0) return;
  auto* either = log->mutable_filter()->mutable_or_filter();
  auto* comparison = either->add_filters()->mutable_status_code_filter()->mutable_comparison();
  comparison->set_op(accesslog::ComparisonFilter::GE);
  comparison->mutable_value()->set_default_value(from);
  comparison->mutable_value()->set_runtime_key("contour.accesslog.filter.status_code");
  either->add_filters()->mutable_response_flag_filter();  // any flag
}

}  // namespace

const std::vector<std::string>& DefaultJSONFields() {
  static const auto* const kFields = new std::vector<std::string>{
      "@timestamp",
      "authority",
      "bytes_received",
      "bytes_sent",
      "downstream_local_address",
      "downstream_remote_address",
      "duration",
      "method",
      "path",
      "protocol",
      "request_id",
      "requested_server_name",
      "response_code",
      "response_flags",
      "uber_trace_id",
      "upstream_cluster",
      "upstream_host",
      "upstream_local_address",
      "upstream_service_time",
      "user_agent",
      "x_forwarded_for",
      "grpc_status",
      "grpc_status_number",
  };
  return *kFields;
}

absl::Status CheckAccessLog(const AccessLogOptions& options) {
  if (!options.format_string.empty()) {
    if (!options.format_string.ends_with('\n'))
      return InvalidArgument("invalid access log format: must end in newline");
    CONTOUR_RETURN_IF_ERROR(CheckFormat(options.format_string));
  }
  std::set<std::string> names;
  for (const std::string& text : options.json_fields) {
    CONTOUR_ASSIGN_OR_RETURN(Field field, ParseField(text));
    if (!names.insert(field.name).second)
      return InvalidArgument("invalid JSON field: {} is there twice", field.name);
  }
  return absl::OkStatus();
}

void AddAccessLog(const std::string& path, const AccessLogOptions& options,
                  google::protobuf::RepeatedPtrField<accesslog::AccessLog>* logs) {
  if (options.level == AccessLogOptions::Level::kDisabled) return;
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(Text(path));
  SetFormat(options, &file);
  accesslog::AccessLog* log = logs->Add();
  log->set_name("envoy.access_loggers.file");
  SetLevel(options.level, log);
  Pack(file, log->mutable_typed_config());
}

}  // namespace contour::envoy
