// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/store.h"

#include <algorithm>
#include <tuple>

#include "base/status.h"
#include "base/strings.h"
#include "graph/model/certificate.h"
#include "graph/policy/annotations.h"

namespace contour::graph {
namespace {

// Host names are compared without case, as DNS and Envoy do. "" is "any host" in an Ingress.
std::string IngressHost(std::string_view host) { return host.empty() ? "*" : LowerCase(host); }

// Is the object none of ours. The annotations of a root decide that alone, except that an Ingress
// may also name its class in spec.ingressClassName, which derivation judges (it depends on
// IngressClass objects).
bool IsOutOfSight(const api::Object& object, const Options& options) {
  if (const auto* secret = api::As<api::Secret>(object)) return !api::IsUsable(*secret);
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
  } else if (const absl::StatusOr<std::int64_t> not_after =
                 CheckServingPair(secret.tls_crt, secret.tls_key);
             !not_after.ok()) {
    checked.serving = not_after.status();
  } else {
    checked.serving = std::make_shared<const ServingSecret>(ServingSecret{
        secret.meta.ns, secret.meta.name, secret.tls_crt, secret.tls_key, *not_after});
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

// Would deriving a host read the same of both Ingresses, whichever host it is.
bool SameRoot(const api::Ingress& a, const api::Ingress& b) {
  return a.meta.annotations == b.meta.annotations && a.meta.creation_time == b.meta.creation_time &&
         a.spec.ingress_class_name == b.spec.ingress_class_name;
}

// …and this host, of which each speaks in its part.
bool SamePart(const api::Ingress& a, const HostPart& part_a, const api::Ingress& b,
              const HostPart& part_b, std::string_view host) {
  if (host == "*" && a.spec.default_backend != b.spec.default_backend) return false;
  const auto same_rule = [&](std::uint32_t i, std::uint32_t j) {
    return a.spec.rules[i] == b.spec.rules[j];
  };
  const auto same_tls = [&](std::uint32_t i, std::uint32_t j) {
    return a.spec.tls[i].secret_name == b.spec.tls[j].secret_name;
  };
  return std::equal(part_a.rules.begin(), part_a.rules.end(), part_b.rules.begin(),
                    part_b.rules.end(), same_rule) &&
         std::equal(part_a.tls.begin(), part_a.tls.end(), part_b.tls.begin(), part_b.tls.end(),
                    same_tls);
}

}  // namespace

std::map<std::string, HostPart> ClaimedHosts(const api::Object& object) {
  std::map<std::string, HostPart> hosts;
  if (const auto* ingress = api::As<api::Ingress>(object)) {
    if (ingress->spec.default_backend) hosts["*"];
    for (std::uint32_t i = 0; i < ingress->spec.rules.size(); ++i) {
      const api::IngressRule& rule = ingress->spec.rules[i];
      if (rule.http) hosts[IngressHost(rule.host)].rules.push_back(i);
    }
    for (std::uint32_t i = 0; i < ingress->spec.tls.size(); ++i) {
      for (const std::string& host : ingress->spec.tls[i].hosts) {
        std::vector<std::uint32_t>& tls = hosts[IngressHost(host)].tls;
        if (tls.empty() || tls.back() != i) tls.push_back(i);
      }
    }
  } else if (const auto* route = api::As<api::IngressRoute>(object)) {
    if (route->spec.virtualhost) hosts[LowerCase(Trim(route->spec.virtualhost->fqdn))];
  }
  return hosts;
}

Store::Effect Store::Apply(const api::Change& change) {
  api::ObjectPtr now = change.object;
  if (now != nullptr && IsOutOfSight(*now, *options_)) now = nullptr;
  const auto found = objects_.find(change.ref);
  if (found == objects_.end() && now == nullptr) return {};

  const bool known = found != objects_.end();
  auto& [ref, entry] = known ? *found : *objects_.try_emplace(change.ref).first;
  const api::ObjectPtr before = std::exchange(entry.object, now);
  if (before != nullptr && now != nullptr && api::SameMeaning(*before, *now)) {
    return {};  // its resourceVersion and status are newer
  }
  entry.checked = nullptr;

  Effect effect;
  effect.object = true;
  effect.hosts = UpdateClaims(ref, before.get(), now.get());
  for (const auto& [object, counts] :
       {std::pair(now.get(), true), std::pair(before.get(), false)}) {
    if (const auto* delegation = api::As<api::TLSCertificateDelegation>(object))
      effect.delegated.merge(CountDelegations(*delegation, counts));
  }
  if (now == nullptr) objects_.erase(found);
  return effect;
}

std::vector<std::string> Store::UpdateClaims(const api::ObjectRef& ref, const api::Object* before,
                                             const api::Object* now) {
  using Hosts = std::map<std::string, HostPart>;
  const Hosts hosts_before = before == nullptr ? Hosts() : ClaimedHosts(*before);
  Hosts hosts_now = now == nullptr ? Hosts() : ClaimedHosts(*now);
  const auto* old_ingress = api::As<api::Ingress>(before);
  const auto* new_ingress = api::As<api::Ingress>(now);
  const bool same_root =
      old_ingress != nullptr && new_ingress != nullptr && SameRoot(*old_ingress, *new_ingress);
  // Where the object's claim is, or would have to be.
  const auto position = [&](ClaimEntries& entries) {
    return std::lower_bound(
        entries.begin(), entries.end(), ref,
        [](const ClaimEntry& entry, const api::ObjectRef& wanted) { return *entry.ref < wanted; });
  };

  std::vector<std::string> changed;
  for (const auto& [host, part] : hosts_before) {
    const auto claim = claims_.find(host);
    const auto still = hosts_now.find(host);
    if (still == hosts_now.end()) {
      claim->second.erase(position(claim->second));
      if (claim->second.empty()) claims_.erase(claim);
      changed.push_back(host);
      continue;
    }
    if (!same_root || !SamePart(*old_ingress, part, *new_ingress, still->second, host)) {
      changed.push_back(host);
    }
    position(claim->second)->part = std::move(still->second);
  }
  for (auto& [host, part] : hosts_now) {
    if (hosts_before.contains(host)) continue;
    ClaimEntries& entries = claims_[host];
    entries.insert(position(entries), {&ref, std::move(part)});
    changed.push_back(host);
  }
  return changed;
}

const api::Object* Store::Find(const api::ObjectRef& ref) const {
  const auto found = objects_.find(ref);
  return found == objects_.end() ? nullptr : found->second.object.get();
}

std::vector<Claim> Store::Claims(std::string_view host) const {
  std::vector<Claim> claims;
  const auto found = claims_.find(host);
  if (found == claims_.end()) return claims;
  claims.reserve(found->second.size());
  for (const ClaimEntry& entry : found->second) claims.push_back({Find(*entry.ref), &entry.part});
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.object->meta.creation_time, a.object->meta.ns, a.object->meta.name,
                    a.object->kind) < std::tie(b.object->meta.creation_time, b.object->meta.ns,
                                               b.object->meta.name, b.object->kind);
  });
  return claims;
}

std::set<std::string> Store::CountDelegations(const api::TLSCertificateDelegation& delegation,
                                              bool counts) {
  std::set<std::string> secrets;
  for (const api::CertificateDelegation& entry : delegation.delegations) {
    secrets.insert(entry.secret_name);
    // "*" counts only if it stands alone.
    const bool alone = entry.target_namespaces.size() == 1;
    const std::pair<std::string, std::string> key(delegation.meta.ns, entry.secret_name);
    for (const std::string& target : entry.target_namespaces) {
      if (target == "*" && !alone) continue;
      Targets& targets = delegations_[key];
      std::size_t& count = targets[target];
      count = counts ? count + 1 : count - 1;
      if (count > 0) continue;
      targets.erase(target);
      if (targets.empty()) delegations_.erase(key);
    }
  }
  return secrets;
}

bool Store::IsDelegated(const std::string& ns, const std::string& secret,
                        const std::string& target) const {
  const auto found = delegations_.find({ns, secret});
  return found != delegations_.end() &&
         (found->second.contains("*") || found->second.contains(target));
}

const CheckedSecret* Store::Checked(const std::string& ns, const std::string& name) {
  const auto found = objects_.find(api::ObjectRef{api::Kind::kSecret, ns, name});
  if (found == objects_.end()) return nullptr;
  Entry& entry = found->second;
  if (entry.checked == nullptr) {
    entry.checked = std::make_unique<CheckedSecret>(Check(*api::As<api::Secret>(*entry.object)));
  }
  return entry.checked.get();
}

}  // namespace contour::graph
