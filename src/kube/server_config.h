// SPDX-License-Identifier: Apache-2.0
// Describes the API server and our identity: the result of reading a kubeconfig or of running in a
// pod (kubeconfig.h). Credentials (credentials.h) reads the files that are named here.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace contour::kube {

// A secret or PEM text: given as text, or in a file (absolute path) that may change at any time.
struct Material {
  std::string file;  // empty: `text` counts
  std::string text;

  bool empty() const { return file.empty() && text.empty(); }
  bool operator==(const Material&) const = default;
};

// A credential plugin (client.authentication.k8s.io/v1): a program that prints an ExecCredential.
struct ExecPlugin {
  std::string command;  // absolute, or a name to be found in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // besides our own environment
  std::string api_version;
  std::string install_hint;  // for the message when the command isn't there
  bool provide_cluster_info = false;

  bool operator==(const ExecPlugin&) const = default;
};

struct ServerConfig {
  std::string
      origin;  // the origin of this value, for messages: `context "prod" of /etc/kube/config`
  std::string server;     // "https://10.0.0.1:6443", perhaps with a path; no slash at the end
  std::string proxy_url;  // as the kubeconfig says; empty: it says nothing
  std::string proxy;  // through which requests go: proxy_url, or by the environment; empty: none
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;
  bool disable_compression = false;  // no answer is asked for in gzip
  Material ca;                       // empty: the system's authorities
  Material client_cert;
  Material client_key;
  Material token;
  std::optional<ExecPlugin> exec;
  std::string default_namespace;  // that of the context or of the pod; may be empty

  bool operator==(const ServerConfig&) const = default;
};

}  // namespace contour::kube
