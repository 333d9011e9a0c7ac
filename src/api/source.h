// SPDX-License-Identifier: Apache-2.0
// The interface by which a source of objects (manifest folder, API server) delivers them: it calls
// a Sink.

#pragma once

#include <vector>

#include "api/object.h"

namespace contour::api {

// One change of an object. `object` is nullptr if the object is gone.
struct Change {
  ObjectRef ref;
  ObjectPtr object;
};

// Receives changes in the order in which they happened. The changes of one call are applied
// together. The methods are called on the source's thread and return at once: they only queue.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Apply(std::vector<Change> changes) = 0;
  // Says that all objects that exist have been given to Apply. A source calls it once; before that
  // nothing is served.
  virtual void Synced() = 0;
};

}  // namespace contour::api
