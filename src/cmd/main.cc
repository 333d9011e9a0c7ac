// SPDX-License-Identifier: Apache-2.0

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/command.h"
#include "cmd/harden.h"

namespace contour::cmd {
namespace {

struct Row {
  const char* name;
  const char* text;
  Command declare;
};

constexpr Row kCommands[] = {
    {"serve", "watch Kubernetes objects and serve Envoys over xDS", Serve},
    {"bootstrap", "write the bootstrap file of an Envoy that is served by contour", Bootstrap},
    {"cli", "print what an xDS server sends", Cli},
    {"version", "print the version", Version},
};

int Main(int argc, char** argv) {
  CLI::App app("Contour: the control plane of Envoy for Kubernetes ingress", "contour");
  app.require_subcommand(0, 1);
  std::function<int()> chosen;
  for (const Row& row : kCommands) {
    CLI::App* command = app.add_subcommand(row.name, row.text);
    std::function<int()> run = row.declare(*command);
    command->callback([&chosen, run] { chosen = run; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "contour: error: {}, try --help\n", error.what());
    return 1;
  }
  if (!chosen) {
    fmt::print(stderr, "{}", app.help());
    return 0;
  }
  return chosen();
}

}  // namespace
}  // namespace contour::cmd

int main(int argc, char** argv) {
  contour::cmd::Harden();
  return contour::cmd::Main(argc, argv);
}
