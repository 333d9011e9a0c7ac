// SPDX-License-Identifier: Apache-2.0
// The check of an upstream's certificate.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/engine/reader.h"
#include "graph/model/cluster.h"
#include "graph/model/options.h"

namespace contour::graph {

struct UpstreamTLSSpec {
  const std::string& ns;            // of the Secret
  const std::string& ca_secret;     // the Secret's name
  const std::string& subject_name;  // must be among the certificate's DNS names
  std::string_view field;           // the path of the whole
};

// Errors: kUnavailable if Secrets are not read, kNotFound if the Secret is absent,
// kFailedPrecondition if its ca.crt can't be used, kInvalidArgument without subject name.
absl::StatusOr<UpstreamValidation> LookupUpstreamTLS(const UpstreamTLSSpec& spec, Reader& reader,
                                                     const Options& options);

}  // namespace contour::graph
