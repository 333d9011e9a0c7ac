// SPDX-License-Identifier: Apache-2.0
// Makes settings flags of a command line.
//
// Example, given `Settings& settings` and `CLI::App& app`:
//   auto given = std::make_shared<GivenFlags>();
//   AddFlags(settings, app, given);  // before app.parse
//   CONTOUR_RETURN_IF_ERROR(settings.Resolve({.flags = given.get()}));
//
// Each boolean flag has a negation, `--no-x`. Settings::Resolve checks the values.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "config/settings.h"

namespace CLI {
class App;
}

namespace contour::config {

void AddFlags(const Settings& settings, CLI::App& app, const std::shared_ptr<GivenFlags>& given);

// Returns an error for flags with a value that they can't have, `--no-x=1` and `--x=maybe`: CLI11
// throws an exception for them that is no CLI::ParseError. `arguments` are those of the command
// line as written. Call it before app.parse.
absl::Status CheckArguments(const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace contour::config
