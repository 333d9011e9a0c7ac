// SPDX-License-Identifier: Apache-2.0
// Describes settings for people: the values in force, the reference, an example file.

#pragma once

#include <string>

#include "config/settings.h"

namespace contour::config {

// Returns one line for each setting: its name, its value, and where the value comes from.
std::string InForce(const Settings& settings);

// Returns all settings, as tables in Markdown.
std::string Reference(const Settings& settings);

// Returns a ConfigMap with all keys, commented out, each with its default.
std::string ExampleConfigMap(const Settings& settings);

}  // namespace contour::config
