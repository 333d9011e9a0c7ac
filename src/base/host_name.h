// SPDX-License-Identifier: Apache-2.0
// Who we are, as far as the machine or the pod says.

#pragma once

#include <string>

namespace contour {

// The name of the machine as gethostname(2) has it; in a pod the pod's name. Empty: not known.
std::string HostName();

// The pod's name from the environment (POD_NAME). Empty: not given.
std::string PodName();

}  // namespace contour
