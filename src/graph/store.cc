// SPDX-License-Identifier: Apache-2.0

#include "graph/store.h"

#include <algorithm>
#include <tuple>

#include "base/status.h"
#include "base/strings.h"
#include "graph/annotations.h"
#include "graph/certificate.h"

namespace contour::graph {
namespace {

// Host names are compared without case, as DNS and Envoy do.
std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// "" is "any host" in an Ingress.
std::string IngressHost(std::string_view host) { return host.empty() ? "*" : LowerCase(host); }

// The annotations of a root decide alone whether it can be ours, except that an Ingress may also
// name its class in spec.ingressClassName, which derivation judges (it depends on IngressClass
// objects).
bool ForeignByAnnotation(const api::Object& object, const Options& options) {
  if (object.kind != api::Kind::kIngress && object.kind != api::Kind::kIngressRoute) return false;
  const std::optional<std::string_view> wanted = ClassAnnotation(object.meta);
  return wanted && *wanted != options.ingress_class.value_or(kDefaultIngressClass);
}

CheckedSecret Check(const api::Secret& secret) {
  CheckedSecret checked{absl::FailedPreconditionError(""), absl::FailedPreconditionError("")};
  if (secret.type != "kubernetes.io/tls") {
    checked.serving = InvalidArgument("type is {}, not kubernetes.io/tls", Quote(secret.type));
  } else if (secret.tls_crt.empty() || secret.tls_key.empty()) {
    checked.serving =
        InvalidArgument("{} is empty", secret.tls_crt.empty() ? "tls.crt" : "tls.key");
  } else if (const absl::Status status = CheckServingPair(secret.tls_crt, secret.tls_key);
             !status.ok()) {
    checked.serving = status;
  } else {
    checked.serving = std::make_shared<const ServingSecret>(
        ServingSecret{secret.meta.ns, secret.meta.name, secret.tls_crt, secret.tls_key});
  }
  if (secret.ca_crt.empty()) {
    checked.ca_certificate = InvalidArgument("ca.crt is empty");
  } else if (const absl::Status status = CheckTrustedCertificates(secret.ca_crt); !status.ok()) {
    checked.ca_certificate = status;
  } else {
    checked.ca_certificate = secret.ca_crt;
  }
  return checked;
}

bool SameRoot(const api::Ingress& a, const api::Ingress& b) {
  return a.meta.annotations == b.meta.annotations && a.meta.creation_time == b.meta.creation_time &&
         a.spec.ingress_class_name == b.spec.ingress_class_name;
}

}  // namespace

std::vector<std::string> ClaimedHosts(const api::Object& object) {
  std::set<std::string> hosts;
  if (const auto* ingress = api::As<api::Ingress>(object)) {
    if (ingress->spec.default_backend) hosts.insert("*");
    for (const api::IngressRule& rule : ingress->spec.rules) {
      if (rule.http) hosts.insert(IngressHost(rule.host));
    }
    for (const api::IngressTLS& tls : ingress->spec.tls) {
      for (const std::string& host : tls.hosts) hosts.insert(IngressHost(host));
    }
  } else if (const auto* route = api::As<api::IngressRoute>(object)) {
    if (route->spec.virtualhost) hosts.insert(LowerCase(Trim(route->spec.virtualhost->fqdn)));
  }
  return {hosts.begin(), hosts.end()};
}

bool SameForHost(const api::Ingress& a, const api::Ingress& b, std::string_view host) {
  if (!SameRoot(a, b)) return false;
  if (host == "*" && a.spec.default_backend != b.spec.default_backend) return false;
  const auto rules_of = [&](const api::Ingress& ingress) {
    std::vector<const api::IngressRule*> rules;
    for (const api::IngressRule& rule : ingress.spec.rules) {
      if (IngressHost(rule.host) == host) rules.push_back(&rule);
    }
    return rules;
  };
  const auto secrets_of = [&](const api::Ingress& ingress) {
    std::vector<std::string_view> secrets;
    for (const api::IngressTLS& tls : ingress.spec.tls) {
      for (const std::string& name : tls.hosts) {
        if (IngressHost(name) == host) secrets.push_back(tls.secret_name);
      }
    }
    return secrets;
  };
  const auto rules_a = rules_of(a);
  const auto rules_b = rules_of(b);
  return std::equal(rules_a.begin(), rules_a.end(), rules_b.begin(), rules_b.end(),
                    [](const auto* left, const auto* right) { return *left == *right; }) &&
         secrets_of(a) == secrets_of(b);
}

std::vector<Dependency> Store::Apply(const api::Change& change) {
  api::ObjectPtr now = change.object;
  if (now != nullptr && ForeignByAnnotation(*now, *options_)) now = nullptr;
  const auto found = objects_.find(change.ref);
  const api::ObjectPtr before = found == objects_.end() ? nullptr : found->second.object;
  if (before == nullptr && now == nullptr) return {};

  if (before != nullptr && now != nullptr && api::SameMeaning(*before, *now)) {
    found->second.object = now;  // its resourceVersion and status are newer
    return {};
  }

  std::vector<Dependency> dirty = {Dependency::Object(change.ref)};
  const std::vector<std::string> hosts_before =
      before == nullptr ? std::vector<std::string>() : ClaimedHosts(*before);
  const std::vector<std::string> hosts_now =
      now == nullptr ? std::vector<std::string>() : ClaimedHosts(*now);
  std::vector<std::string> hosts;
  std::set_union(hosts_before.begin(), hosts_before.end(), hosts_now.begin(), hosts_now.end(),
                 std::back_inserter(hosts));
  for (std::string& host : hosts) {
    const auto* old_ingress = api::As<api::Ingress>(before.get());
    const auto* new_ingress = api::As<api::Ingress>(now.get());
    if (old_ingress != nullptr && new_ingress != nullptr &&
        SameForHost(*old_ingress, *new_ingress, host))
      continue;
    const bool claims = std::binary_search(hosts_now.begin(), hosts_now.end(), host);
    if (claims) {
      claims_[host].insert(change.ref);
    } else if (const auto claim = claims_.find(host); claim != claims_.end()) {
      claim->second.erase(change.ref);
      if (claim->second.empty()) claims_.erase(claim);
    }
    dirty.push_back(Dependency::Claims(std::move(host)));
  }

  if (change.ref.kind == api::Kind::kTLSCertificateDelegation) {
    if (now != nullptr) {
      delegations_[change.ref.ns].insert(change.ref.name);
    } else if (const auto names = delegations_.find(change.ref.ns); names != delegations_.end()) {
      names->second.erase(change.ref.name);
      if (names->second.empty()) delegations_.erase(names);
    }
    dirty.push_back(Dependency::Delegations(change.ref.ns));
  }

  if (now == nullptr) {
    objects_.erase(found);
  } else {
    objects_[change.ref] = Entry{std::move(now), std::nullopt};
  }
  return dirty;
}

const api::Object* Store::Find(const api::ObjectRef& ref) const {
  const auto found = objects_.find(ref);
  return found == objects_.end() ? nullptr : found->second.object.get();
}

std::vector<const api::Object*> Store::Claimants(std::string_view host) const {
  std::vector<const api::Object*> claimants;
  const auto found = claims_.find(host);
  if (found == claims_.end()) return claimants;
  for (const api::ObjectRef& ref : found->second) claimants.push_back(Find(ref));
  std::sort(claimants.begin(), claimants.end(), [](const api::Object* a, const api::Object* b) {
    return std::tie(a->meta.creation_time, a->meta.ns, a->meta.name, a->kind) <
           std::tie(b->meta.creation_time, b->meta.ns, b->meta.name, b->kind);
  });
  return claimants;
}

std::vector<const api::TLSCertificateDelegation*> Store::Delegations(std::string_view ns) const {
  std::vector<const api::TLSCertificateDelegation*> delegations;
  const auto found = delegations_.find(ns);
  if (found == delegations_.end()) return delegations;
  for (const std::string& name : found->second) {
    delegations.push_back(api::As<api::TLSCertificateDelegation>(
        Find({api::Kind::kTLSCertificateDelegation, std::string(ns), name})));
  }
  return delegations;
}

const CheckedSecret* Store::Checked(const std::string& ns, const std::string& name) {
  const auto found = objects_.find(api::ObjectRef{api::Kind::kSecret, ns, name});
  if (found == objects_.end()) return nullptr;
  Entry& entry = found->second;
  if (!entry.checked) entry.checked = Check(*api::As<api::Secret>(*entry.object));
  return &*entry.checked;
}

}  // namespace contour::graph
