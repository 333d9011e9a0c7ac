// SPDX-License-Identifier: Apache-2.0
// Which contour this is.

#pragma once

#include <string_view>

namespace contour::cmd {

// From git, as of the build: "0.1.0", "0.1.0+12.g1a2b3c4" (commits since, commit),
// "0.1.0+g1a2b3c4.dirty" (no tag, changed files). See cmake/GitVersion.cmake.
std::string_view ProgramVersion();

}  // namespace contour::cmd
