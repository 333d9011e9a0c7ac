// SPDX-License-Identifier: Apache-2.0

#include "kube/exec_credential.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "base/strings.h"

namespace contour::kube {

using nlohmann::json;

std::string ExecInfo(const ServerConfig& config, std::string_view ca_pem) {
  json spec = {{"interactive", false}};
  if (config.exec->provide_cluster_info) {
    json cluster = {{"server", config.server}};
    if (!config.tls_server_name.empty()) cluster["tls-server-name"] = config.tls_server_name;
    if (config.insecure_skip_tls_verify) cluster["insecure-skip-tls-verify"] = true;
    if (!config.proxy_url.empty()) cluster["proxy-url"] = config.proxy_url;
    if (!ca_pem.empty()) {
      cluster["certificate-authority-data"] =
          absl::Base64Escape(absl::string_view(ca_pem.data(), ca_pem.size()));
    }
    spec["cluster"] = std::move(cluster);
  }
  const json info = {{"apiVersion", config.exec->api_version},
                     {"kind", "ExecCredential"},
                     {"spec", std::move(spec)}};
  return info.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view text,
                                                   std::string_view api_version) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return InvalidArgument("expected an ExecCredential in JSON");
  const auto field = [](const json& object, const char* key) -> std::string {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (field(document, "kind") != "ExecCredential") {
    return InvalidArgument("kind: expected ExecCredential, got {}", Quote(field(document, "kind")));
  }
  if (field(document, "apiVersion") != api_version) {
    return InvalidArgument("apiVersion: expected {}, got {}", api_version,
                           Quote(field(document, "apiVersion")));
  }
  const auto status = document.find("status");
  if (status == document.end() || !status->is_object()) {
    return InvalidArgument("status: expected the credential, got nothing");
  }
  ExecCredential credential;
  credential.token = field(*status, "token");
  credential.cert_pem = field(*status, "clientCertificateData");
  credential.key_pem = field(*status, "clientKeyData");
  if (credential.token.find_first_of("\r\n") != std::string::npos) {
    return InvalidArgument("status.token: expected one line");
  }
  if (credential.cert_pem.empty() != credential.key_pem.empty()) {
    return InvalidArgument("status: expected clientCertificateData and clientKeyData together");
  }
  if (credential.token.empty() && credential.cert_pem.empty()) {
    return InvalidArgument("status: expected a token or a client certificate");
  }
  if (const std::string expires = field(*status, "expirationTimestamp"); !expires.empty()) {
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, expires, &time, &error)) {
      return InvalidArgument(
          "status.expirationTimestamp: expected a time like 2006-01-02T15:04:05Z");
    }
    credential.expires = absl::ToChronoTime(time);
  }
  return credential;
}

}  // namespace contour::kube
