// SPDX-License-Identifier: Apache-2.0
// Makes the man page, contour(1), from the declarations of the commands and settings.

#pragma once

#include <string>

namespace CLI {
class App;
}

namespace contour::cmd {

// Returns it in the language of man(7): `contour --help-man | man -l -`.
std::string ManPage(const CLI::App& app);

}  // namespace contour::cmd
