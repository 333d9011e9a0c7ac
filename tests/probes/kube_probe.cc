// SPDX-License-Identifier: Apache-2.0
// kube_probe: a ClusterSource without the rest of the controller, for tests. It writes one line for
// each change to standard output, at once:
//
//   TIME changed KIND NAMESPACE/NAME RESOURCE_VERSION
//   TIME gone KIND NAMESPACE/NAME
//   TIME synced
//
// TIME is in seconds since 1970 with microseconds. On SIGUSR1 it writes its statistics (`stat …`),
// on SIGTERM or SIGINT it stops. Usage: kube_probe [--kubeconfig FILE | --in-cluster] [--NAME VALUE
// …], see Options below.

#include <fmt/core.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "kube/cluster_source.h"
#include "kube/credentials.h"
#include "kube/kubeconfig.h"

namespace contour::kube {
namespace {

// Prints lines with one write, so that a reader sees whole lines.
void Print(const std::string& lines) {
  std::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string Time() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("{:.6f}", std::chrono::duration<double>(since).count());
}

class PrintingSink final : public api::Sink {
 public:
  void Apply(std::vector<api::Change> changes) override {
    const std::string time = Time();
    std::string lines;
    for (const api::Change& change : changes) {
      const std::string name =
          fmt::format("{} {}/{}", api::KindName(change.ref.kind), change.ref.ns, change.ref.name);
      if (change.object == nullptr) {
        kept_.erase(change.ref);
        lines += fmt::format("{} gone {}\n", time, name);
      } else {
        lines +=
            fmt::format("{} changed {} {}\n", time, name, change.object->meta.resource_version);
        kept_[change.ref] = change.object;
      }
    }
    Print(lines);
  }
  void Synced() override { Print(Time() + " synced\n"); }

 private:
  std::map<api::ObjectRef, api::ObjectPtr>
      kept_;  // as a store would hold them: for the measurement of memory
};

void PrintStats(const ClusterSource& source) {
  const ClusterSourceStats stats = source.GetStats();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::string lines;
  for (const KindStats& kind : stats.kinds) {
    lines += fmt::format(
        "stat kind={} objects={} events={} lists={} watches={} failures={} bad={} synced={} "
        "forbidden={} absent={} unknown={} right={} "
        "since_ms={} error={}\n",
        api::KindName(kind.kind), kind.objects, kind.events, kind.lists, kind.watches,
        kind.failures, kind.bad_objects, kind.synced, kind.forbidden, kind.absent,
        kind.unknown_for.has_value(), Quote(kind.missing_right),
        kind.since_last_received ? fmt::format("{}", kind.since_last_received->count()) : "never",
        Quote(kind.last_error));
  }
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  lines += fmt::format("stat synced={} max_rss_kib={} cpu_s={:.3f}\n", stats.synced,
                       usage.ru_maxrss, cpu);
  lines += "stat end\n";
  Print(lines);
}

struct Options {
  ServerConfigOptions config;
  ClusterSourceOptions source;
};

// Parses the options. Each has a value, except for --in-cluster and --pages.
bool ParseOptions(int argc, char** argv, Options* options) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  WatchOptions& watch = options->source.watch;
  const auto number = [](const std::string& text) {
    return std::strtoll(text.c_str(), nullptr, 10);
  };
  const std::map<std::string, std::function<void(const std::string&)>> rows = {
      {"--kubeconfig", [&](const std::string& value) { options->config.kubeconfig = value; }},
      {"--service-account-dir",
       [&](const std::string& value) { options->config.service_account_dir = value; }},
      {"--watch-namespaces",
       [&](const std::string& value) { options->source.watch_namespaces = SplitList(value); }},
      {"--secret-namespaces",
       [&](const std::string& value) { options->source.secret_namespaces = SplitList(value); }},
      {"--shortest-watch-s",
       [&](const std::string& value) { watch.shortest_watch = seconds(number(value)); }},
      {"--longest-watch-s",
       [&](const std::string& value) { watch.longest_watch = seconds(number(value)); }},
      {"--silence-ms",
       [&](const std::string& value) { watch.silence_limit = milliseconds(number(value)); }},
      {"--absent-recheck-ms",
       [&](const std::string& value) { watch.absent_recheck = milliseconds(number(value)); }},
      {"--page-size",
       [&](const std::string& value) { watch.page_size = static_cast<int>(number(value)); }},
      {"--user-timeout-ms",
       [&](const std::string& value) {
         options->source.io.user_timeout = milliseconds(number(value));
       }},
      {"--keepalive-s",
       [&](const std::string& value) {
         options->source.io.keepalive_idle = seconds(number(value));
       }},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--in-cluster") {
      options->config.in_cluster = true;
    } else if (name == "--pages") {
      watch.streaming_lists = false;
    } else if (name == "--debug") {
      log::SetLevel(log::Level::kDebug);
    } else if (const auto row = rows.find(name); row != rows.end() && i + 1 < argc) {
      row->second(argv[++i]);
    } else {
      log::Error("kube_probe", "unknown option, or one without its value", {{"option", name}});
      return false;
    }
  }
  return true;
}

int Main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Options options;
  if (!ParseOptions(argc, argv, &options)) return 1;
  const auto config = LoadServerConfig(options.config);
  if (!config.ok()) {
    log::Error("kube_probe", "no configuration", {{"error", Message(config.status())}});
    return 1;
  }
  const auto credentials = Credentials::Create(*config);
  if (!credentials.ok()) {
    log::Error("kube_probe", "no credentials", {{"error", Message(credentials.status())}});
    return 1;
  }
  PrintingSink sink;
  ClusterSource source(*credentials, options.source);
  source.Start(sink);
  int received = 0;
  while (sigwait(&signals, &received) == 0 && received == SIGUSR1) PrintStats(source);
  source.Stop();
  return 0;
}

}  // namespace
}  // namespace contour::kube

int main(int argc, char** argv) { return contour::kube::Main(argc, argv); }
