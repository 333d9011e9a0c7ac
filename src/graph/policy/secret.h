// SPDX-License-Identifier: Apache-2.0
// Secrets as objects refer to them, and the checks of their contents.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "api/secret.h"
#include "graph/engine/store.h"
#include "graph/model/certificate.h"
#include "graph/model/options.h"

namespace contour::graph {

// The checks of a Secret: reader.FindChecked<CheckedSecret>(ns, name).
struct CheckedSecret : CheckedObject {
  using Object = api::Secret;
  explicit CheckedSecret(const api::Secret& secret);

  absl::StatusOr<ServingSecretPtr> serving;    // as a serving certificate
  absl::StatusOr<std::string> ca_certificate;  // as trusted certificates (its ca.crt)
};

// A Secret as objects name it: "name" in `default_ns`, or "ns/name" ("/name" has an empty ns, which
// counts as none).
struct SecretName {
  std::string ns;
  std::string name;
};
SecretName SplitSecretName(std::string_view text, std::string_view default_ns);

// True if a Secret is of use to anybody here; see KindRow::is_visible.
bool IsUsableSecret(const api::Object& secret, const Options& options);

}  // namespace contour::graph
