// SPDX-License-Identifier: Apache-2.0
// A subcommand of the program. Each is a file with one function of this form and a line in the
// table of main.cc.

#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace contour::cmd {

// Declares the subcommand's flags on `app` and gives what runs it: it returns the exit code, after
// telling stderr why it isn't 0.
using Command = std::function<int()> (*)(CLI::App& app);

std::function<int()> Serve(CLI::App& app);
std::function<int()> Bootstrap(CLI::App& app);
std::function<int()> Certgen(CLI::App& app);
std::function<int()> Config(CLI::App& app);
std::function<int()> Cli(CLI::App& app);
std::function<int()> Envoy(CLI::App& app);
std::function<int()> Version(CLI::App& app);

}  // namespace contour::cmd
