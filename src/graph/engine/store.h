// SPDX-License-Identifier: Apache-2.0
// The objects that exist, and the indexes over them. Owned by the engine; read through Reader only.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "api/ingress.h"
#include "api/ingress_class.h"
#include "api/ingress_route.h"
#include "api/object.h"
#include "api/secret.h"
#include "api/service.h"
#include "api/source.h"
#include "api/tls_certificate_delegation.h"
#include "graph/engine/dependency.h"
#include "graph/model/certificate.h"
#include "graph/model/options.h"

namespace contour::graph {

// What a Secret is good for, judged once per content.
struct CheckedSecret {
  absl::StatusOr<ServingSecretPtr> serving;    // as a serving certificate
  absl::StatusOr<std::string> ca_certificate;  // as trusted certificates (its ca.crt)
};

// Where an Ingress speaks of one host, so that deriving one of its 10,000 hosts doesn't read them
// all.
struct HostPart {
  std::vector<std::uint32_t> rules;  // indexes into spec.rules, ascending
  std::vector<std::uint32_t> tls;    // and into spec.tls

  bool operator==(const HostPart&) const = default;
};

// An object's claim to a host.
struct Claim {
  const api::Object* object = nullptr;  // never null
  const HostPart* part = nullptr;       // never null; empty for an IngressRoute
};

class Store {
 public:
  explicit Store(const Options& options) : options_(&options) {}

  // Which readers a change concerns: those of the object, and of these indexes.
  struct Effect {
    bool object = false;             // false: the meaning is the same, nothing else is set
    std::vector<std::string> hosts;  // whose claims say something else now
    // Secrets of the object's namespace that are delegated otherwise now.
    std::set<std::string> delegated;
  };

  // Puts the object in place of what `change.ref` named, or takes that away. Objects of a foreign
  // class (by annotation) and Secrets that nothing could use count as absent.
  Effect Apply(const api::Change& change);

  // nullptr: absent. The pointer lives until the next Apply.
  const api::Object* Find(const api::ObjectRef& ref) const;

  // The roots that claim a host: Ingresses and root IngressRoutes, the oldest first, then by
  // namespace, name and kind.
  std::vector<Claim> Claims(std::string_view host) const;
  bool IsClaimed(std::string_view host) const { return claims_.contains(host); }

  // True if a delegation in namespace `ns` lets objects of namespace `target` use its Secret.
  bool IsDelegated(const std::string& ns, const std::string& secret,
                   const std::string& target) const;

  // The checks of a Secret; memoised. nullptr: absent.
  const CheckedSecret* Checked(const std::string& ns, const std::string& name);

  std::size_t size() const { return objects_.size(); }

 private:
  struct Entry {
    api::ObjectPtr object;
    std::unique_ptr<CheckedSecret> checked;  // of a Secret, once asked for
  };
  struct ClaimEntry {
    const api::ObjectRef* ref;  // of objects_
    HostPart part;
  };
  using ClaimEntries = std::vector<ClaimEntry>;  // sorted by *ref
  // How many delegations name the target; "*": every namespace.
  using Targets = std::map<std::string, std::size_t, std::less<>>;

  // Counts, or no longer counts, what a delegation permits; gives the Secrets that it names.
  std::set<std::string> CountDelegations(const api::TLSCertificateDelegation& delegation,
                                         bool counts);
  // Gives the hosts of which the object says something else now. `ref` is of objects_.
  std::vector<std::string> UpdateClaims(const api::ObjectRef& ref, const api::Object* before,
                                        const api::Object* now);

  const Options* options_;
  std::unordered_map<api::ObjectRef, Entry, ObjectRefHash> objects_;
  std::map<std::string, ClaimEntries, std::less<>> claims_;             // by host
  std::map<std::pair<std::string, std::string>, Targets> delegations_;  // by namespace and Secret
};

// The hosts that an object claims, and where: lower case, "*" for an empty host of an Ingress, ""
// for a root IngressRoute with a blank fqdn. Empty for what is no root.
std::map<std::string, HostPart> ClaimedHosts(const api::Object& object);

}  // namespace contour::graph
