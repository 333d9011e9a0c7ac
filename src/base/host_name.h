// SPDX-License-Identifier: Apache-2.0
// The name of the machine as gethostname(2) has it; in a pod the pod's name. Empty: not known.

#pragma once

#include <string>

namespace contour {

std::string HostName();

}  // namespace contour
