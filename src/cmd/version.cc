// SPDX-License-Identifier: Apache-2.0
#include "cmd/version.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cmd/command.h"

namespace contour::cmd {

std::function<int()> Version(CLI::App& /*app*/) {
  return [] {
    fmt::print("contour {}\n", ProgramVersion());
    return 0;
  };
}

}  // namespace contour::cmd
