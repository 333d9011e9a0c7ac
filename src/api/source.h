// SPDX-License-Identifier: Apache-2.0
// The door through which objects come in: a source of objects (manifest folder, API server) calls a
// Sink.

#pragma once

#include <vector>

#include "api/object.h"

namespace contour::api {

// One change. `object` is nullptr if the object is gone.
struct Change {
  ObjectRef ref;
  ObjectPtr object;
};

// Receives changes in the order in which they happened; each call is one batch that is applied
// together. Called from the source's thread; returns at once (it queues).
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Apply(std::vector<Change> changes) = 0;
  // All objects that exist have been given to Apply once. Called once per source; before it nothing
  // is served.
  virtual void Synced() = 0;
};

}  // namespace contour::api
