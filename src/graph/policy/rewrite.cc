// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/rewrite.h"

#include "base/status.h"
#include "base/strings.h"
#include "graph/policy/syntax.h"

namespace contour::graph {

absl::StatusOr<std::string> ParsePrefixRewrite(const RewriteSpec& spec) {
  if (!IsHeaderValue(spec.prefix))
    return InvalidArgument("{} {} is not a valid path", spec.field, Quote(spec.prefix));
  return std::string(spec.prefix);
}

}  // namespace contour::graph
