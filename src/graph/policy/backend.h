// SPDX-License-Identifier: Apache-2.0
// Turns a reference to a port of a Service into the cluster that reaches it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/engine/reader.h"
#include "graph/model/cluster.h"
#include "graph/model/options.h"

namespace contour::graph {

// A port as objects refer to it: by number, by name, or by a text that is either.
struct PortReference {
  std::int64_t number = 0;  // 0: by name
  std::string name;

  std::string String() const { return name.empty() ? std::to_string(number) : name; }
};

enum class Use : std::uint8_t {
  kHTTP,
  kTCP,  // bytes are passed on as they are: the Service's upstream-protocol annotations don't count
};

struct BackendSpec {
  const std::string& ns;  // of the Service
  const std::string& name;
  PortReference port;
  Use use = Use::kHTTP;
};

// Returns the cluster of a Service's port, without policies: that of the first TCP port in list
// order whose number or name is the wanted one. Errors: kNotFound if there is no such Service,
// kFailedPrecondition if it has no such port, or is an ExternalName that is refused.
absl::StatusOr<Cluster> LookupBackend(const BackendSpec& spec, Reader& reader,
                                      const Options& options);

// True if traffic may be sent to this external name: not to ourselves (localhost, loopback,
// link-local and unspecified addresses in any spelling that a resolver takes, our own Services),
// where the admin interfaces are.
bool ExternalNamePermitted(std::string_view external_name, std::string_view own_namespace);

}  // namespace contour::graph
