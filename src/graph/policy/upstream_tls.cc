// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/upstream_tls.h"

#include "base/status.h"
#include "graph/policy/secret.h"

namespace contour::graph {

absl::StatusOr<UpstreamValidation> LookupUpstreamTLS(const UpstreamTLSSpec& spec, Reader& reader,
                                                     const Options& options) {
  const auto* secret = reader.FindChecked<CheckedSecret>(spec.ns, spec.ca_secret);
  if (secret == nullptr && options.IsUnread(api::Kind::kSecret))
    return Unavailable("{}.caSecret: Secrets are not read", spec.field);
  if (secret == nullptr)
    return NotFound("{}.caSecret: Secret {}/{} not found", spec.field, spec.ns, spec.ca_secret);
  if (!secret->ca_certificate.ok()) {
    return FailedPrecondition("{}.caSecret: Secret {}/{}: {}", spec.field, spec.ns, spec.ca_secret,
                              Message(secret->ca_certificate.status()));
  }
  if (spec.subject_name.empty()) return InvalidArgument("{}.subjectName is empty", spec.field);
  return UpstreamValidation{spec.ca_secret, *secret->ca_certificate, spec.subject_name};
}

}  // namespace contour::graph
