// SPDX-License-Identifier: Apache-2.0
#include "envoy/access_log.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/formatter/req_without_query/v3/req_without_query.pb.h"
#include "envoy/testing.h"

namespace contour::envoy {
namespace {

using ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using Format = AccessLogOptions::Format;
using Level = AccessLogOptions::Level;

// The field access_log of some message.
std::string Log(const AccessLogOptions& options) {
  TcpProxy message;
  AddAccessLog("/logs/a", options, message.mutable_access_log());
  return message.SerializeAsString();
}

std::string Want(const std::string& format, const std::string& filter = "") {
  return fmt::format(R"(access_log {{
    name: "envoy.access_loggers.file" {}
    typed_config {{ [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] {{
      path: "/logs/a" {} }} }} }})",
                     filter, format);
}

constexpr const char* kWithoutQuery = R"(formatters {
    name: "envoy.formatter.req_without_query"
    typed_config { [type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery] {} }
  })";

TEST(AccessLogTest, EnvoysFormat) {
  EXPECT_EQ(Difference<TcpProxy>(Log({}), Want("")), "");
  EXPECT_EQ(
      Difference<TcpProxy>(
          Log({.format_string = "%REQ(:PATH):9% %% %DURATION%\n"}),
          Want(
              R"(log_format { text_format_source { inline_string: "%REQ(:PATH):9% %% %DURATION%\n" } })")),
      "");
  EXPECT_EQ(
      Difference<TcpProxy>(
          Log({.format_string = "%REQ_WITHOUT_QUERY(:PATH)%\n"}),
          Want(fmt::format(
              R"(log_format {{ text_format_source {{ inline_string: "%REQ_WITHOUT_QUERY(:PATH)%\n" }} {} }})",
              kWithoutQuery))),
      "");
}

TEST(AccessLogTest, JSON) {
  const auto field = [](const std::string& name, const std::string& format) {
    return fmt::format(R"(fields {{ key: "{}" value {{ string_value: "{}" }} }})", name, format);
  };
  const std::vector<std::string> names = {"@timestamp", "path", "Response_Code", "x=%REQ(X)% y"};
  EXPECT_EQ(Difference<TcpProxy>(
                Log({.format = Format::kJSON, .json_fields = names}),
                Want(fmt::format("log_format {{ omit_empty_values: true json_format {{ {} }} }}",
                                 field("@timestamp", "%START_TIME%") +
                                     field("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%") +
                                     field("Response_Code", "%RESPONSE_CODE%") +
                                     field("x", "%REQ(X)% y")))),
            "");
  EXPECT_EQ(Difference<TcpProxy>(
                Log({.format = Format::kJSON, .json_fields = {"p=%REQ_WITHOUT_QUERY(:PATH)%"}}),
                Want(fmt::format("log_format {{ omit_empty_values: true json_format {{ {} }} {} }}",
                                 field("p", "%REQ_WITHOUT_QUERY(:PATH)%"), kWithoutQuery))),
            "");
  // All default fields exist.
  TcpProxy message;
  ASSERT_TRUE(message.ParseFromString(Log({.format = Format::kJSON})));
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  ASSERT_TRUE(message.access_log(0).typed_config().UnpackTo(&file));
  EXPECT_EQ(file.log_format().json_format().fields_size(), 23);
  EXPECT_EQ(file.log_format().json_format().fields().at("authority").string_value(),
            "%REQ(:AUTHORITY)%");
}

TEST(AccessLogTest, Levels) {
  const auto filter = [](int from) {
    return fmt::format(R"(filter {{ or_filter {{
        filters {{ status_code_filter {{ comparison {{ op: GE value {{
          default_value: {} runtime_key: "contour.accesslog.filter.status_code" }} }} }} }}
        filters {{ response_flag_filter {{}} }} }} }})",
                       from);
  };
  EXPECT_EQ(Difference<TcpProxy>(Log({.level = Level::kError}), Want("", filter(300))), "");
  EXPECT_EQ(Difference<TcpProxy>(Log({.level = Level::kCritical}), Want("", filter(500))), "");
  EXPECT_EQ(Log({.level = Level::kDisabled}), "");
}

TEST(AccessLogTest, DefaultFieldsAreGood) {
  AccessLogOptions options;
  options.json_fields = DefaultJSONFields();
  EXPECT_EQ(CheckAccessLog(options), absl::OkStatus());
}

TEST(AccessLogTest, FormatStrings) {
  const struct {
    const char* format;
    const char* error;  // after "invalid Envoy format: <format>"; nullptr: none
  } cases[] = {
      {"plain\n", nullptr},
      {"100%%\n", nullptr},
      {"%START_TIME% %START_TIME(%s.%3f)%\n", nullptr},
      {"%START_TIME(Y)%\n", nullptr},
      {"%REQ(A?:B):3%%RESP(a-b)%%TRAILER(x)%%ENVIRONMENT(HOME)%\n", nullptr},
      {"%METADATA(ROUTE:a:b)%\n", nullptr},
      {"%METADATA(ROUTES:a:b)%\n", ", bad arguments for operator: METADATA"},
      {"%METADATA(ROUTE)%\n", ", bad arguments for operator: METADATA"},
      {"%REQ(a b)%\n", ", bad arguments for operator: REQ"},
      {"%REQ(a?b?c)%\n", ", bad arguments for operator: REQ"},
      {"%REQ()%\n", ""},
      {"%REQ%\n", ", arguments required for operator: REQ"},
      {"%NOTHING%\n", ", invalid Envoy operator: NOTHING"},
      {"%DURATION(1)%\n", ", invalid Envoy operator: DURATION"},
      {"%DURATION:3%\n", ", operator DURATION cannot have truncation length"},
      {"%START_TIME(Y):3%\n", ", operator START_TIME cannot have truncation length"},
      {"%REQ(a):%\n", ""},
      {"%REQ(a):x%\n", ""},
      {"%REQ(a):9999999999%\n", ""},
      {"%duration%\n", ""},
      {"50%\n", ""},
      {"%\n", ""},
      {"%REQ(a\n", ""},
  };
  for (const auto& c : cases) {
    const absl::Status got = CheckAccessLog({.format_string = c.format});
    if (c.error == nullptr) {
      EXPECT_EQ(got, absl::OkStatus()) << c.format;
    } else {
      EXPECT_EQ(Message(got), fmt::format("invalid Envoy format: {}{}", c.format, c.error));
      // The listener works all the same.
      EXPECT_EQ(Difference<TcpProxy>(Log({.format_string = c.format}), Want("")), "");
    }
  }
  EXPECT_EQ(Message(CheckAccessLog({.format_string = "a"})),
            "invalid access log format: must end in newline");
}

TEST(AccessLogTest, Fields) {
  const struct {
    std::vector<std::string> fields;
    const char* error;
  } cases[] = {
      {{"ts", "TLS_JA3_FINGERPRINT", "grpc_Status"}, ""},
      {{"a=%DURATION%", "b=constant"}, ""},
      {{"nothing"}, "invalid JSON log field name nothing"},
      {{"req"}, "invalid JSON log field name req"},
      {{""}, "invalid JSON log field name "},
      {{"a="}, "invalid JSON field: a="},
      {{"=a"}, "invalid JSON field: =a"},
      {{"a=%X%"}, "invalid Envoy format: %X%, invalid Envoy operator: X"},
      {{"ts", "ts=1"}, "invalid JSON field: ts is there twice"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Message(CheckAccessLog({.json_fields = c.fields})), c.error);
  }
}

}  // namespace
}  // namespace contour::envoy
