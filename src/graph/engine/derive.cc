// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/derive.h"

#include <algorithm>
#include <utility>

namespace contour::graph {

HostResult Derive(const std::string& host, Reader& reader, const Options& options,
                  const KindTable& kinds) {
  HostResult result;
  HostBuilder builder(host);
  Derivation derivation{reader, options, builder, result};
  const std::vector<Claim> claims = reader.Claims(host);
  for (const KindRow& row : kinds.rows()) {
    if (row.derive != nullptr) row.derive(claims, derivation);
  }
  result.virtual_host = std::move(builder).Build();
  std::vector<Problem>& problems = result.problems;
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  return result;
}

}  // namespace contour::graph
