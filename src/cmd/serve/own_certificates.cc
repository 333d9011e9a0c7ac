// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/own_certificates.h"

#include <ctime>

#include "base/log.h"
#include "base/status.h"
#include "certgen/authority.h"
#include "kube/files.h"

namespace contour::cmd {
namespace {

absl::StatusOr<certgen::Validity> ValidityOf(const std::string& file) {
  CONTOUR_ASSIGN_OR_RETURN(const std::string pem, kube::ReadFile(file));
  return certgen::ReadValidity(pem);
}

}  // namespace

OwnCertificates::OwnCertificates(const config::Serve& config) {
  if (!config.insecure) files_ = {config.ca_file, config.cert_file};
}

void OwnCertificates::Warn() const {
  const std::time_t now = std::time(nullptr);
  for (const std::string& file : files_) {
    const absl::StatusOr<certgen::Validity> validity = ValidityOf(file);
    if (!validity.ok() || !certgen::NearsItsEnd(*validity, now)) continue;
    log::Warning("serve",
                 validity->not_after <= now ? "a certificate of the xDS port has expired"
                                            : "a certificate of the xDS port expires soon",
                 {{"file", file},
                  {"not_after", certgen::TimeText(validity->not_after)},
                  {"cure", "contour certgen --rotate, or --overwrite"}});
  }
}

void OwnCertificates::AddTo(admin::MetricsText& text) const {
  for (const std::string& file : files_) {
    const absl::StatusOr<certgen::Validity> validity = ValidityOf(file);
    if (!validity.ok()) continue;
    text.Set("contour_own_certificate_not_after_seconds", validity->not_after, file);
  }
}

}  // namespace contour::cmd
