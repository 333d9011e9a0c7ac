// SPDX-License-Identifier: Apache-2.0
// derive: from the objects to what is served under one host. A plain function, written as if
// everything were rebuilt from scratch each time; that only changed hosts are derived again is the
// engine's business.
//
//   Reader reader(store);
//   HostResult result = Derive("foo.com", reader, options);   // and reader.TakeDependencies() says what it looked at
//
// ingress.cc and ingress_route.cc hold the meaning of their kinds; a new kind of root is a file and
// a line in Derive.

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/engine/reader.h"
#include "graph/model/host.h"
#include "graph/model/host_builder.h"
#include "graph/model/options.h"
#include "graph/model/status.h"

namespace contour::graph {

// When in a build from scratch a status is found: the statuses of an object are folded in this
// order, and the first wins. What refuses a root as a whole comes before all walks; these go by the
// root's age.
struct RootOrder {
  bool walked = true;
  std::int64_t creation_time = 0;
  std::string ns;
  std::string name;

  auto operator<=>(const RootOrder&) const = default;
};

using RootOrderPtr = std::shared_ptr<const RootOrder>;
using StatusPtr = std::shared_ptr<const Status>;

// Shares what many objects of one walk have in common; no pointer is null.
struct StatusContribution {
  api::ObjectRef object;
  RootOrderPtr root;
  StatusPtr status;

  bool operator==(const StatusContribution& other) const {
    return object == other.object && *root == *other.root && *status == *other.status;
  }
};

struct HostResult {
  VirtualHostPtr virtual_host;               // nullptr: nothing is served
  std::vector<StatusContribution> statuses;  // at most one per object; in the order of the walk
  std::vector<Problem> problems;             // sorted, no duplicates
};

HostResult Derive(const std::string& host, Reader& reader, const Options& options);

// What one derivation is about; passed to the kinds.
struct Derivation {
  Reader& reader;
  const Options& options;
  HostBuilder& builder;
  HostResult& result;
};

// Both take the claims to the host, the oldest first, and look at those of their kind.
void DeriveIngresses(const std::vector<Claim>& claims, Derivation& derivation);
void DeriveIngressRoutes(const std::vector<Claim>& claims, Derivation& derivation);

// A Secret as objects name it: "name" in `default_ns`, or "ns/name" ("/name" has an empty ns, which
// counts as none).
struct SecretName {
  std::string ns;
  std::string name;
};
SecretName SplitSecretName(std::string_view text, std::string_view default_ns);

// Can Envoy take this text as a header value (or as part of one): no NUL, CR or LF.
bool IsHeaderValue(std::string_view text);

// Can a host of this name be served: labels of lower-case letters, digits, - and _, at most 63
// bytes each and 253 in all. Anything else could never be asked for, or would clash with what Envoy
// makes of other names (".foo.com" and "*.foo.com" are one to it), and Envoy would refuse all
// hosts.
bool IsHostName(std::string_view host);

}  // namespace contour::graph
