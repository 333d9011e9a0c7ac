// SPDX-License-Identifier: Apache-2.0
// Prints snapshots as text that people read and compare: YAML, a section for each type, resources
// by name.
//
// Content that is the same in all fixtures is left out: the listener stats-health, and every field
// whose value is the one of `common` (tests/fixtures/common.yaml, which explains its form). A field
// that `common` has and a resource lacks is shown as "(absent)". So text and `common` together are
// the whole resource. A socket address is shown as IP:port.

#pragma once

#include <map>
#include <string>

#include "xds/snapshot/snapshot.h"

namespace contour::report {

class SnapshotPrinter {
 public:
  // `common` is YAML.
  explicit SnapshotPrinter(std::string common);

  // Prints all resources. With `base` it prints only those that differ from it, and the names of
  // those that are gone.
  std::string Text(const xds::Snapshot& snapshot, const xds::Snapshot* base = nullptr) const;

 private:
  std::string common_;
};

// Returns JSON or YAML as YAML, with nodes that fit into one line in flow style.
std::string Compact(const std::string& yaml);

}  // namespace contour::report
