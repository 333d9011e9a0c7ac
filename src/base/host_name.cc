// SPDX-License-Identifier: Apache-2.0
#include "base/host_name.h"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace contour {

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "";
  return name.data();
}

std::string PodName() {
  const char* const name = std::getenv("POD_NAME");
  return name != nullptr ? name : "";
}

}  // namespace contour
