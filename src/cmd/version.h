// SPDX-License-Identifier: Apache-2.0
// The version of this program.

#pragma once

#include <string_view>

namespace contour::cmd {

// Returns the version from git, as of the build: "0.1.0", "0.1.0+12.g1a2b3c4" (commits since,
// commit), "0.1.0+g1a2b3c4.dirty" (no tag, changed files). See cmake/GitVersion.cmake.
std::string_view ProgramVersion();

}  // namespace contour::cmd
