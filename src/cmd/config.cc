// SPDX-License-Identifier: Apache-2.0
// config: prints the configuration of `serve` with the same flags, environment and file.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/status.h"
#include "cmd/command.h"
#include "config/flags.h"
#include "config/report.h"
#include "config/serve.h"

namespace contour::cmd {

std::function<int()> Config(CLI::App& app) {
  struct Wanted {
    bool reference = false;
    bool example = false;
  };
  const auto given = std::make_shared<config::GivenFlags>();
  const auto wanted = std::make_shared<Wanted>();
  config::AddFlags(config::LoadedServe().settings(), app, given);
  app.add_flag("--reference", wanted->reference, "print all settings as Markdown");
  app.add_flag("--example", wanted->example, "print a ConfigMap with all keys, commented out");
  return [given, wanted] {
    const config::LoadedServe defaults;
    if (wanted->reference) {
      fmt::print("{}", config::Reference(defaults.settings()));
      return 0;
    }
    if (wanted->example) {
      fmt::print("{}", config::ExampleConfigMap(defaults.settings()));
      return 0;
    }
    const auto loaded = config::LoadServe(*given, config::ProcessEnvironment());
    if (!loaded.ok()) {
      fmt::print(stderr, "contour: error: {}, try --help\n", Message(loaded.status()));
      return 1;
    }
    fmt::print("{}", config::InForce((*loaded)->settings()));
    return 0;
  };
}

}  // namespace contour::cmd
