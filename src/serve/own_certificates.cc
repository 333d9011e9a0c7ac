// SPDX-License-Identifier: Apache-2.0
#include "serve/own_certificates.h"

#include <fmt/core.h>

#include <ctime>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"
#include "base/status.h"
#include "certgen/authority.h"
#include "certgen/ca_file.h"
#include "crypto/checks.h"

namespace contour::serve {
namespace {

constexpr std::string_view kContext = "serve";
// The name that Envoys expect in contour's certificate (see envoy/bootstrap.h).
constexpr const char* kServerName = "contour";

absl::Status Named(const std::string& file, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", file, Message(status)));
}

void WarnOfExpiry(const std::string& file, const std::string& pem) {
  const std::time_t now = std::time(nullptr);
  const absl::StatusOr<certgen::Validity> validity = certgen::ReadValidity(pem);
  if (!validity.ok() || !certgen::NearsItsEnd(*validity, now)) return;
  log::Warning(kContext,
               validity->not_after <= now ? "a certificate of the xDS port has expired"
                                          : "a certificate of the xDS port expires soon",
               {{"file", file},
                {"not_after", certgen::TimeText(validity->not_after)},
                {"cure", "contour certgen --rotate, or --overwrite"}});
}

}  // namespace

OwnCertificates::OwnCertificates(std::optional<Files> files, std::chrono::milliseconds interval)
    : files_(std::move(files)), interval_(interval) {}

OwnCertificates::~OwnCertificates() { Stop(); }

void OwnCertificates::Start(Use use) {
  if (!files_) return;
  use_ = std::move(use);
  Look();
  const auto next = [this] { return WorkerThread::Clock::now() + interval_; };
  worker_.Start(
      [this, next]() -> std::optional<WorkerThread::Time> {
        Look();
        return next();
      },
      next());
}

void OwnCertificates::Stop() { worker_.Stop(); }

absl::StatusOr<OwnCertificates::Content> OwnCertificates::Read() const {
  const certgen::CAFile ca = certgen::FindCAFile(files_->client_ca);
  Content content{.keys = {}, .ca_path = ca.path, .passed_over = ca.passed_over};
  CONTOUR_ASSIGN_OR_RETURN(content.keys.certificate, ReadFile(files_->certificate));
  CONTOUR_ASSIGN_OR_RETURN(content.keys.key, ReadFile(files_->key));
  CONTOUR_ASSIGN_OR_RETURN(content.keys.client_ca, ReadFile(ca.path));
  return content;
}

absl::Status OwnCertificates::Check(const Content& content) const {
  const xds::TLSKeys& keys = content.keys;
  const crypto::PairProblem pair = crypto::CheckPair(keys.certificate, keys.key);
  CONTOUR_RETURN_IF_ERROR(Named(files_->certificate, pair.certificate));
  CONTOUR_RETURN_IF_ERROR(Named(files_->key, pair.key));
  return Named(content.ca_path, crypto::CheckCertificates(keys.client_ca));
}

void OwnCertificates::Look() {
  absl::StatusOr<Content> content = Read();
  absl::Status status = content.status();
  if (status.ok() && checked_ && *checked_ == *content) {
    status = verdict_;
  } else if (status.ok()) {
    checked_ = *content;
    status = verdict_ = Check(*content);
  }
  if (status.ok()) {
    seen_.clear();
    Take(*content);
    return;
  }
  // Files that are replaced one by one don't match for a moment. So a fault counts only when it is
  // found twice; without older keys it counts at once.
  std::string problem(Message(status));
  const bool again = problem == seen_;
  seen_ = problem;
  {
    const MutexLock lock(mutex_);
    if (!again && in_use_ != nullptr) return;
  }
  Refuse(problem);
}

void OwnCertificates::Take(const Content& content) {
  xds::TLSKeysPtr keys;
  bool mended = false;
  {
    const MutexLock lock(mutex_);
    mended = !std::exchange(problem_, "").empty();
    if (in_use_ == nullptr || *in_use_ != content.keys) {
      in_use_ = keys = std::make_shared<const xds::TLSKeys>(content.keys);
    }
    ca_path_ = content.ca_path;
  }
  told_.clear();
  if (std::exchange(doubt_, content.passed_over) != content.passed_over &&
      !content.passed_over.empty()) {
    log::Warning(kContext, "there are two files of the CA of the xDS port, and they differ",
                 {{"used", content.ca_path}, {"passed_over", content.passed_over}});
  }
  if (keys == nullptr) {
    if (mended) log::Info(kContext, "the TLS files of the xDS port are again those in use");
    return;
  }
  log::Info(kContext, "the TLS files of the xDS port are in use",
            {{"certificate", files_->certificate}, {"ca", content.ca_path}});
  WarnOfExpiry(files_->certificate, keys->certificate);
  WarnOfExpiry(content.ca_path, keys->client_ca);
  if (!crypto::HasDNSName(keys->certificate, kServerName)) {
    log::Warning(kContext, "Envoys of contour bootstrap will refuse the certificate",
                 {{"file", files_->certificate},
                  {"reason", fmt::format("it lacks the DNS name {}", kServerName)}});
  }
  use_(std::move(keys));
}

void OwnCertificates::Refuse(const std::string& problem) {
  bool none = false;
  {
    const MutexLock lock(mutex_);
    problem_ = problem;
    none = in_use_ == nullptr;
  }
  if (std::exchange(told_, problem) == problem) return;
  log::Error(kContext, "the TLS files of the xDS port can't be used",
             {{"error", problem},
              {"effect", none ? "not ready: the port stays closed until they can"
                              : "the last good ones stay in use until the process ends"}});
}

std::string OwnCertificates::NotReady() const {
  if (!files_) return "";
  const MutexLock lock(mutex_);
  if (in_use_ != nullptr) return "";
  return problem_.empty()
             ? "the TLS files of the xDS port have not been read yet"
             : fmt::format("the TLS files of the xDS port can't be used: {}", problem_);
}

std::string OwnCertificates::Remark() const {
  const MutexLock lock(mutex_);
  if (in_use_ == nullptr || problem_.empty()) return "";
  return fmt::format("the TLS files of the xDS port can't be used, older ones are in use: {}",
                     problem_);
}

void OwnCertificates::AddTo(admin::MetricsText& text) const {
  if (!files_) return;
  const MutexLock lock(mutex_);
  text.Set("contour_own_certificate_usable", in_use_ != nullptr && problem_.empty());
  if (in_use_ == nullptr) return;
  const std::pair<const std::string&, const std::string&> shown[] = {
      {files_->certificate, in_use_->certificate}, {ca_path_, in_use_->client_ca}};
  for (const auto& [file, pem] : shown) {
    const absl::StatusOr<certgen::Validity> validity = certgen::ReadValidity(pem);
    if (validity.ok())
      text.Set("contour_own_certificate_not_after_seconds", validity->not_after, file);
  }
}

}  // namespace contour::serve
