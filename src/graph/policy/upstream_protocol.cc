// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/upstream_protocol.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "graph/policy/annotation.h"

namespace contour::graph {
namespace {

bool Lists(const std::optional<Annotation>& annotation, std::string_view entry) {
  if (!annotation || entry.empty()) return false;
  const std::vector<std::string> entries = SplitList(annotation->value);
  return std::find(entries.begin(), entries.end(), entry) != entries.end();
}

}  // namespace

Protocol UpstreamProtocol(const api::Meta& service, std::string_view port_name, std::int32_t port) {
  const std::string number = std::to_string(port);
  Protocol by_name = Protocol::kHTTP1;
  Protocol by_number = Protocol::kHTTP1;
  for (const auto& [suffix, protocol] :
       {std::pair{"h2", Protocol::kH2}, std::pair{"h2c", Protocol::kH2C},
        std::pair{"tls", Protocol::kTLS}}) {
    const std::optional<Annotation> annotation =
        FindAnnotation(service, fmt::format("upstream-protocol.{}", suffix));
    if (Lists(annotation, port_name)) by_name = protocol;
    if (Lists(annotation, number)) by_number = protocol;
  }
  return by_name != Protocol::kHTTP1 ? by_name : by_number;
}

}  // namespace contour::graph
