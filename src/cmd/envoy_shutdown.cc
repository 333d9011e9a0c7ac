// SPDX-License-Identifier: Apache-2.0
#include "cmd/envoy_shutdown.h"

#include <httplib.h>
#include <sys/socket.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "base/status.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "shutdown";
constexpr std::string_view kGauge = "envoy_http_downstream_cx_active{";
constexpr std::string_view kPrefixLabel = "envoy_http_conn_manager_prefix=\"";
constexpr std::string_view kOwnPrefixes[] = {"admin", "envoy-admin", "stats", "health",
                                             "stats-health"};
constexpr int kTries = 4;

bool IsOwnPrefix(std::string_view line) {
  const std::size_t label = line.find(kPrefixLabel);
  if (label == std::string_view::npos) return false;
  line.remove_prefix(label + kPrefixLabel.size());
  const std::string_view prefix = line.substr(0, line.find('"'));
  for (const std::string_view own : kOwnPrefixes) {
    if (prefix == own) return true;
  }
  return false;
}

std::string RequestError(const std::string& what, const httplib::Result& result) {
  return result ? fmt::format("{}: Envoy answers {}", what, result->status)
                : fmt::format("{}: {}", what, httplib::to_string(result.error()));
}

// A client of Envoy's admin interface.
std::unique_ptr<httplib::Client> AdminClient(const ShutdownOptions& options) {
  std::unique_ptr<httplib::Client> client;
  if (options.admin_address.starts_with('/')) {
    client = std::make_unique<httplib::Client>(options.admin_address);
    client->set_address_family(AF_UNIX);
  } else {
    client = std::make_unique<httplib::Client>(options.admin_address, options.admin_port);
  }
  client->set_default_headers({{"Host", "envoy-admin"}});
  client->set_connection_timeout(std::chrono::seconds(5));
  client->set_read_timeout(std::chrono::seconds(5));
  return client;
}

// Writes the file in one step, so that it never exists in part.
absl::Status WriteReadyFile(const std::string& path) {
  const std::string temporary = path + ".new";
  std::ofstream file(temporary, std::ios::trunc);
  file << "OK\n";
  file.close();
  std::error_code error;
  if (!file.fail()) std::filesystem::rename(temporary, path, error);
  if (file.fail() || error) return Unavailable("--ready-file: {} can't be written", path);
  return absl::OkStatus();
}

absl::Status FailHealthCheck(const ShutdownActions& actions) {
  std::chrono::nanoseconds pause = std::chrono::milliseconds(200);
  for (int tried = 1;; ++tried, pause *= 5) {
    absl::Status status = actions.fail_health_check();
    if (status.ok() || tried == kTries) return status;
    log::Warning(kContext, "Envoy can't be told to fail its health check yet",
                 {{"error", Message(status)}});
    actions.sleep(pause);
  }
}

}  // namespace

absl::StatusOr<std::uint64_t> OpenConnections(std::string_view text) {
  std::uint64_t sum = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(kGauge) || IsOwnPrefix(line)) continue;
    const std::size_t close = line.rfind('}');
    if (close == std::string_view::npos)
      return InvalidArgument("no figure of Envoy: {}", std::string(line));
    std::string_view value = line.substr(close + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error != std::errc() || (end != value.data() + value.size() && *end != ' ' && *end != '\r'))
      return InvalidArgument("no figure of Envoy: {}", std::string(line));
    sum += count;
  }
  return sum;
}

absl::Status Drain(const ShutdownOptions& options, const ShutdownActions& actions) {
  actions.sleep(options.drain_delay);
  CONTOUR_RETURN_IF_ERROR(FailHealthCheck(actions));
  const auto deadline = actions.now() + options.drain_timeout;
  log::Info(kContext, "Envoy fails its health check and drains");
  actions.sleep(std::min(options.check_delay, options.drain_timeout));
  while (true) {
    const absl::StatusOr<std::string> stats = actions.connection_stats();
    const absl::StatusOr<std::uint64_t> open =
        stats.ok() ? OpenConnections(*stats) : absl::StatusOr<std::uint64_t>(stats.status());
    if (open.ok() && *open <= options.min_open_connections) {
      log::Info(kContext, "drained", {{"open_connections", *open}});
      return actions.write_ready_file();
    }
    if (open.ok()) {
      log::Info(kContext, "waiting for connections to end", {{"open_connections", *open}});
    } else {
      log::Warning(kContext, "open connections can't be counted",
                   {{"error", Message(open.status())}});
    }
    const auto left = deadline - actions.now();
    if (left <= std::chrono::nanoseconds(0)) {
      log::Warning(kContext, "the time for draining is over, what is still open will break");
      return actions.write_ready_file();
    }
    actions.sleep(std::min<std::chrono::nanoseconds>(options.check_interval, left));
  }
}

ShutdownActions RealShutdownActions(const ShutdownOptions& options) {
  ShutdownActions actions;
  actions.fail_health_check = [options]() -> absl::Status {
    const httplib::Result result = AdminClient(options)->Post("/healthcheck/fail");
    if (result && result->status == 200) return absl::OkStatus();
    return Unavailable("{}", RequestError("/healthcheck/fail", result));
  };
  actions.connection_stats = [options]() -> absl::StatusOr<std::string> {
    const httplib::Result result = AdminClient(options)->Get(
        R"(/stats/prometheus?filter=%5Ehttp%5C..*%5C.downstream_cx_active%24)");
    if (result && result->status == 200) return result->body;
    return Unavailable("{}", RequestError("/stats/prometheus", result));
  };
  actions.sleep = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); };
  actions.now = [] { return std::chrono::steady_clock::now(); };
  actions.write_ready_file = [options] { return WriteReadyFile(options.ready_file); };
  return actions;
}

}  // namespace contour::cmd
