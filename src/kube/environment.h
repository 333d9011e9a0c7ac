// SPDX-License-Identifier: Apache-2.0
// The variables of the environment, as a function, so that a test can give others.

#pragma once

#include <functional>
#include <optional>
#include <string>

namespace contour::kube {

// Returns the value of an environment variable, nullopt if it isn't set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Returns that of this process.
Environment ProcessEnvironment();

}  // namespace contour::kube
