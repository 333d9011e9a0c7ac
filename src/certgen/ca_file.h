// SPDX-License-Identifier: Apache-2.0
// The file of a CA under either of its two usual names: `cacert.pem`, as contour certgen writes it,
// and `ca.crt`, as cert-manager does. Manifests name one of them; in a folder that has only the
// other, the other is meant.
//
// Example:
//   const CAFile found = FindCAFile("/ca/cacert.pem");  // found.path == "/ca/ca.crt"

#pragma once

#include <string>

namespace contour::certgen {

struct CAFile {
  // The file that was named if it is there, else the one with the other name if that is there, else
  // the one that was named.
  std::string path;
  // The file with the other name, if both are there and differ. Empty: there is no doubt.
  std::string passed_over;
};

// A file that has neither of the two names stands for itself. Reads the files; any thread.
CAFile FindCAFile(const std::string& named);

}  // namespace contour::certgen
