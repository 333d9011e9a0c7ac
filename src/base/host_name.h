// SPDX-License-Identifier: Apache-2.0
// Returns the names of the machine and of the pod.

#pragma once

#include <string>

namespace contour {

// Returns the name of the machine from gethostname(2); in a pod it is the pod's name. Empty:
// unknown.
std::string HostName();

// Returns the pod's name from the environment (POD_NAME). Empty: not given.
std::string PodName();

}  // namespace contour
