// SPDX-License-Identifier: Apache-2.0
// The only way in which a derivation looks at objects. It writes down each key that it was asked
// for, absences and indexes included, so that the engine knows which hosts a change concerns. Never
// keep what it gives beyond the call.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/engine/store.h"

namespace contour::graph {

class Reader {
 public:
  explicit Reader(Store& store) : store_(store) {}

  const api::Service* FindService(const std::string& ns, const std::string& name);
  const api::IngressRoute* FindIngressRoute(const std::string& ns, const std::string& name);
  const api::IngressClass* FindIngressClass(const std::string& name);
  const CheckedSecret* FindSecret(const std::string& ns, const std::string& name);

  // See Store::Claims. Of the host that is derived; not written down, since the store itself says
  // of which hosts the claims changed.
  std::vector<Claim> Claims(const std::string& host);

  // May objects of namespace `target` use Secret ns/name: the same namespace, or a
  // TLSCertificateDelegation in `ns` that names the secret and lists the target (or exactly ["*"]).
  bool DelegationPermits(const std::string& ns, const std::string& name, const std::string& target);

  // What was read, sorted, no duplicates.
  std::vector<Dependency> TakeDependencies();

 private:
  template <typename T>
  const T* Find(const std::string& ns, const std::string& name) {
    api::ObjectRef ref{T::kKind, ns, name};
    const T* found = api::As<T>(store_.Find(ref));
    dependencies_.push_back(Dependency::Object(std::move(ref)));
    return found;
  }

  Store& store_;
  std::vector<Dependency> dependencies_;
};

}  // namespace contour::graph
