// SPDX-License-Identifier: Apache-2.0
// leader_probe: an Election without the rest of the controller, for tests with other electors. It
// leads for a while, gives the lock back, waits until somebody else has led, and so on. It writes
// to standard output, in nanoseconds since 1970:
//
//   leading TIME
//   stopped TIME      before the lock is given back
//
// Usage: leader_probe KUBECONFIG NAMESPACE LEASE IDENTITY TURNS HOLD LEASE_DURATION RENEW_DEADLINE
// RETRY_PERIOD (times in milliseconds).

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/status.h"
#include "kube/kubeconfig.h"
#include "leader/election.h"

namespace contour::leader {
namespace {

using std::chrono::milliseconds;

void Print(const char* what) {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  fmt::print("{} {}\n", what, std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  std::fflush(stdout);
}

absl::Status Run(char** arguments) {
  CONTOUR_ASSIGN_OR_RETURN(kube::ServerConfig server,
                           kube::LoadServerConfig({.kubeconfig = arguments[0]}));
  CONTOUR_ASSIGN_OR_RETURN(const std::shared_ptr<kube::Credentials> credentials,
                           kube::Credentials::Create(std::move(server)));
  const auto time = [&](int i) { return milliseconds(std::atoi(arguments[i])); };
  Options options;
  options.ns = arguments[1];
  options.name = arguments[2];
  options.identity = arguments[3];
  const int turns = std::atoi(arguments[4]);
  const milliseconds hold = time(5);
  options.lease_duration = time(6);
  options.renew_deadline = time(7);
  options.retry_period = time(8);
  CONTOUR_RETURN_IF_ERROR(Check(options));
  int transitions = 0;
  for (int turn = 0; turn < turns; ++turn) {
    Election election(credentials, options, {}, [](const View&) {});
    election.Start();
    const auto wait = [&](auto&& condition) {
      while (!condition(election.view().elector)) std::this_thread::sleep_for(milliseconds(1));
    };
    if (turn > 0) {  // until somebody else leads, or has led
      wait([&](const Elector::State& state) { return state.transitions > transitions; });
    }
    election.Contend();
    wait([](const Elector::State& state) { return state.role == Role::kLeader; });
    transitions = election.view().elector.transitions;
    Print("leading");
    std::this_thread::sleep_for(hold);
    Print("stopped");
    election.Stop(milliseconds(2000));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace contour::leader

int main(int argc, char** argv) {
  if (argc != 10) {
    fmt::print(stderr, "usage: see leader_probe.cc\n");
    return 2;
  }
  const absl::Status status = contour::leader::Run(argv + 1);
  if (!status.ok()) fmt::print(stderr, "{}\n", contour::Message(status));
  return status.ok() ? 0 : 1;
}
