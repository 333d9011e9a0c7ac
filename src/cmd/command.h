// SPDX-License-Identifier: Apache-2.0
// The subcommands of the program. Each is a file with one function of this form, and a line in the
// table of main.cc.

#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace contour::cmd {

// Declares the subcommand's flags on `app`. Returns the function that runs it, which returns the
// exit code; if it isn't 0, it has written the reason to stderr.
using Command = std::function<int()> (*)(CLI::App& app);

std::function<int()> Serve(CLI::App& app);
std::function<int()> Bootstrap(CLI::App& app);
std::function<int()> Certgen(CLI::App& app);
std::function<int()> Config(CLI::App& app);
std::function<int()> Cli(CLI::App& app);
std::function<int()> Envoy(CLI::App& app);
std::function<int()> Version(CLI::App& app);

}  // namespace contour::cmd
