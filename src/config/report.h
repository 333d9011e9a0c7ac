// SPDX-License-Identifier: Apache-2.0
// Settings for people: what is in force, the reference, an example file.

#pragma once

#include <string>

#include "config/settings.h"

namespace contour::config {

// One line a setting: its name, its value, and where that comes from.
std::string InForce(const Settings& settings);

// All settings, as tables in Markdown.
std::string Reference(const Settings& settings);

// A ConfigMap with all keys, commented out, each with its default.
std::string ExampleConfigMap(const Settings& settings);

}  // namespace contour::config
