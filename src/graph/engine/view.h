// SPDX-License-Identifier: Apache-2.0
// Views show people a host or an object as the engine knows it. They are plain values, copied on
// the engine's thread and read on any.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/object.h"
#include "graph/model/host.h"
#include "graph/model/status.h"

namespace contour::graph {

struct HostView {
  std::string host;
  VirtualHostPtr virtual_host;          // nullptr: nothing is served
  std::vector<api::ObjectRef> roots;    // that claim the host, the one that counts first
  std::vector<api::ObjectRef> read;     // objects that its derivation looked at, sorted
  std::vector<api::ObjectRef> missing;  // those that it looked for in vain, sorted
  std::vector<Problem> problems;        // sorted
  // The statuses that its derivation gave to objects, in the order of the walk.
  std::vector<std::pair<api::ObjectRef, Status>> statuses;
};

struct ObjectView {
  api::ObjectRef ref;
  // False also for what counts as absent: of a foreign class, or a Secret that nothing could use.
  bool exists = false;
  std::string uid;               // these four: see api::Meta
  std::string resource_version;  //
  std::int64_t generation = 0;   //
  std::int64_t creation_time = 0;
  std::optional<Status> status;
  std::vector<std::string> hosts;  // whose derivation looked at it or for it, sorted
};

}  // namespace contour::graph
