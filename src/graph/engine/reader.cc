// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/reader.h"

#include <algorithm>
#include <utility>

namespace contour::graph {

const api::Service* Reader::FindService(const std::string& ns, const std::string& name) {
  return Find<api::Service>(ns, name);
}

const api::IngressRoute* Reader::FindIngressRoute(const std::string& ns, const std::string& name) {
  return Find<api::IngressRoute>(ns, name);
}

const api::IngressClass* Reader::FindIngressClass(const std::string& name) {
  return Find<api::IngressClass>("", name);
}

const CheckedSecret* Reader::FindSecret(const std::string& ns, const std::string& name) {
  dependencies_.push_back(Dependency::Object({api::Kind::kSecret, ns, name}));
  return store_.Checked(ns, name);
}

std::vector<Claim> Reader::Claims(const std::string& host) { return store_.Claims(host); }

bool Reader::DelegationPermits(const std::string& ns, const std::string& name,
                               const std::string& target) {
  if (ns == target) return true;
  dependencies_.push_back(Dependency::Delegations(ns, name));
  return store_.IsDelegated(ns, name, target);
}

std::vector<Dependency> Reader::TakeDependencies() {
  std::sort(dependencies_.begin(), dependencies_.end());
  dependencies_.erase(std::unique(dependencies_.begin(), dependencies_.end()), dependencies_.end());
  return std::exchange(dependencies_, {});
}

}  // namespace contour::graph
