// SPDX-License-Identifier: Apache-2.0
// A derivation looks at objects through a reader only. The reader notes each key that it was asked
// for, absences and indexes included, so that the engine knows which hosts a change concerns. The
// objects that it returns must not be kept beyond the derivation.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "graph/engine/claim.h"
#include "graph/engine/dependency.h"
#include "graph/engine/index.h"
#include "graph/engine/store.h"

namespace contour::graph {

class Reader {
 public:
  explicit Reader(Store& store) : store_(store) {}

  // Returns nullptr if the object is absent.
  template <typename T>
  const T* Find(const std::string& ns, const std::string& name) {
    api::ObjectRef ref{T::kKind, ns, name};
    const T* found = api::As<T>(store_.Find(ref));
    dependencies_.push_back(Dependency::Object(std::move(ref)));
    return found;
  }

  // See Store::Checked.
  template <typename T>
  const T* FindChecked(const std::string& ns, const std::string& name) {
    api::ObjectRef ref{T::Object::kKind, ns, name};
    const T* found = store_.Checked<T>(ref);
    dependencies_.push_back(Dependency::Object(std::move(ref)));
    return found;
  }

  // Returns the claims to the host that is derived; see Store::Claims. They are not noted, since
  // the store itself says of which hosts the claims changed.
  std::vector<Claim> Claims(const std::string& host);

  // True if an object of the kind gives the value for the key; see KindRow::index.
  bool IndexContains(api::Kind kind, const IndexKey& key, std::string_view value);

  // Returns the keys that were read, sorted, without duplicates.
  std::vector<Dependency> TakeDependencies();

 private:
  Store& store_;
  std::vector<Dependency> dependencies_;
};

}  // namespace contour::graph
