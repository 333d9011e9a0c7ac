// SPDX-License-Identifier: Apache-2.0

#include "kube/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <utility>

#include "api/base64.h"
#include "base/read_file.h"
#include "base/status.h"
#include "base/strings.h"
#include "kube/proxy.h"
#include "kube/url.h"

namespace contour::kube {
namespace {

namespace fs = std::filesystem;

// The named entry (cluster, context or user) and the place where it was found. It reads fields and
// keeps the first error.
class Entry {
 public:
  Entry(std::string where, std::string folder, const YAML::Node& node)
      : where_(std::move(where)), folder_(std::move(folder)), node_(node) {}

  // Returns the text of a field; empty if it is absent or null.
  std::string Text(const char* key) {
    const YAML::Node value = Value(key);
    if (!value || value.IsNull()) return "";
    if (!value.IsScalar()) {
      Fail(key, "expected text");
      return "";
    }
    return value.Scalar();
  }

  // Every way in which YAML 1.1, which kubectl reads, writes true and false.
  bool Bool(const char* key) {
    const std::string text = Text(key);
    const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
      return std::find(words.begin(), words.end(), text) != words.end();
    };
    if (is_one_of({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"}))
      return true;
    if (!is_one_of(
            {"", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"}))
      Fail(key, fmt::format("expected true or false, got {}", Quote(text)));
    return false;
  }

  // Returns the field `key`-data, decoded from base64, or the file `key`.
  Material FileOrData(const std::string& key) {
    if (const std::string data = Text((key + "-data").c_str()); !data.empty()) {
      std::optional<std::string> decoded = api::DecodeBase64(data);
      if (!decoded || decoded->empty()) Fail(key + "-data", "expected base64");
      return {.file = "", .text = std::move(decoded).value_or("")};
    }
    return {.file = Path(key.c_str()), .text = ""};
  }

  // Returns the path of a file, relative to the kubeconfig's folder.
  std::string Path(const char* key) {
    const std::string path = Text(key);
    return path.empty() ? path : Resolve(path);
  }
  std::string Resolve(const std::string& path) const {
    return (fs::path(folder_) / path).lexically_normal().string();
  }

  bool Has(const char* key) const {
    const YAML::Node value = Value(key);
    return value && !value.IsNull();
  }
  YAML::Node Value(const char* key) const {
    return node_.IsMap() ? node_[key] : YAML::Node(YAML::NodeType::Undefined);
  }
  Entry Child(const char* key) const { return {where_ + "." + key, folder_, Value(key)}; }

  void Fail(std::string_view key, std::string_view problem) {
    if (status_.ok()) status_ = InvalidArgument("{}.{}: {}", where_, key, problem);
  }
  const absl::Status& status() const { return status_; }
  const std::string& where() const { return where_; }

 private:
  std::string where_;  // `/etc/kube/config: users["admin"].user`
  std::string folder_;
  YAML::Node node_;
  absl::Status status_;
};

struct Document {
  std::string path;
  YAML::Node root;
};

// Finds the entry `name` of the list `list` (whose items are {name, <item>}) in the first file that
// has it.
absl::StatusOr<Entry> Find(const std::vector<Document>& documents, const char* list,
                           const char* item, const std::string& name) {
  for (const Document& document : documents) {
    const YAML::Node entries = document.root[list];
    if (!entries || entries.IsNull()) continue;
    if (!entries.IsSequence())
      return InvalidArgument("{}: {}: expected a list", document.path, list);
    for (const YAML::Node& entry : entries) {
      if (!entry.IsMap() || !entry["name"] || !entry["name"].IsScalar()) {
        return InvalidArgument("{}: {}: expected entries with a name", document.path, list);
      }
      if (entry["name"].Scalar() != name) continue;
      const std::string where =
          fmt::format("{}: {}[{}].{}", document.path, list, Quote(name), item);
      const YAML::Node body = entry[item];
      if (body && !body.IsNull() && !body.IsMap())
        return InvalidArgument("{}: expected a map", where);
      return Entry(where, fs::path(document.path).parent_path().string(),
                   body && body.IsMap() ? body : YAML::Node(YAML::NodeType::Map));
    }
  }
  std::string tried;
  for (const Document& document : documents) tried += (tried.empty() ? "" : ", ") + document.path;
  return InvalidArgument("{}: {}: no entry named {}", tried, list, Quote(name));
}

absl::Status ReadCluster(Entry cluster, ServerConfig* config) {
  config->server = cluster.Text("server");
  if (!config->server.empty() && config->server.find("://") == std::string::npos) {
    // As kubectl has it: TLS if there is an authority, or none is wanted.
    const bool tls = !cluster.Text("certificate-authority").empty() ||
                     !cluster.Text("certificate-authority-data").empty() ||
                     cluster.Bool("insecure-skip-tls-verify");
    config->server.insert(0, tls ? "https://" : "http://");
  }
  while (config->server.ends_with('/')) config->server.pop_back();
  const Url url = SplitUrl(config->server);
  if ((url.scheme != "https" && url.scheme != "http") || url.host.empty() || url.port.empty()) {
    cluster.Fail("server", fmt::format("expected an address like https://10.0.0.1:6443, got {}",
                                       Quote(config->server)));
  }
  config->ca = cluster.FileOrData("certificate-authority");
  config->insecure_skip_tls_verify = cluster.Bool("insecure-skip-tls-verify");
  if (config->insecure_skip_tls_verify && !config->ca.empty()) {
    cluster.Fail("insecure-skip-tls-verify",
                 "can't be given together with a certificate-authority");
  }
  config->tls_server_name = cluster.Text("tls-server-name");
  config->disable_compression = cluster.Bool("disable-compression");
  config->proxy_url = cluster.Text("proxy-url");
  if (!config->proxy_url.empty()) {
    if (!IsProxyScheme(SplitUrl(config->proxy_url).scheme)) {
      cluster.Fail("proxy-url", fmt::format("expected http://, https:// or socks5://, got {}",
                                            WithoutSecret(config->proxy_url)));
    }
  }
  return cluster.status();
}

absl::StatusOr<ExecPlugin> ReadExec(Entry exec) {
  ExecPlugin plugin;
  plugin.command = exec.Text("command");
  if (plugin.command.empty()) exec.Fail("command", "expected a program");
  if (plugin.command.find('/') != std::string::npos) plugin.command = exec.Resolve(plugin.command);
  plugin.api_version = exec.Text("apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    exec.Fail("apiVersion", fmt::format("expected client.authentication.k8s.io/v1, got {}",
                                        Quote(plugin.api_version)));
  }
  if (exec.Text("interactiveMode") == "Always") {
    exec.Fail("interactiveMode", "there is no terminal for a plugin that always needs one");
  }
  plugin.install_hint = exec.Text("installHint");
  plugin.provide_cluster_info = exec.Bool("provideClusterInfo");
  if (exec.Has("args")) {
    const YAML::Node args = exec.Value("args");
    if (!args.IsSequence()) exec.Fail("args", "expected a list");
    for (const YAML::Node& arg : args) {
      if (!arg.IsScalar()) {
        exec.Fail("args", "expected a list of texts");
        break;
      }
      plugin.args.push_back(arg.Scalar());
    }
  }
  if (exec.Has("env")) {
    const YAML::Node env = exec.Value("env");
    if (!env.IsSequence()) exec.Fail("env", "expected a list");
    for (const YAML::Node& variable : env) {
      if (!variable.IsMap() || !variable["name"] || !variable["name"].IsScalar() ||
          !variable["value"] || !variable["value"].IsScalar()) {
        exec.Fail("env", "expected a list of name and value");
        break;
      }
      plugin.env.emplace_back(variable["name"].Scalar(), variable["value"].Scalar());
    }
  }
  if (!exec.status().ok()) return exec.status();
  return plugin;
}

absl::Status ReadUser(Entry user, ServerConfig* config) {
  for (const char* key : {"username", "password"}) {
    if (!user.Text(key).empty()) {
      user.Fail(key,
                "not supported (gone from Kubernetes 1.19): use a token or a client certificate");
    }
  }
  if (user.Has("auth-provider")) {
    user.Fail("auth-provider", "not supported (gone from Kubernetes 1.26): use exec");
  }
  for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    if (user.Has(key)) user.Fail(key, "impersonation is not supported");
  }
  config->client_cert = user.FileOrData("client-certificate");
  config->client_key = user.FileOrData("client-key");
  if (config->client_cert.empty() != config->client_key.empty()) {
    user.Fail("client-certificate", "a client certificate and its key must be given together");
  }
  config->token = {.file = user.Path("tokenFile"), .text = user.Text("token")};
  if (!config->token.file.empty()) config->token.text.clear();
  if (user.Has("exec")) {
    if (!user.Value("exec").IsMap()) {
      user.Fail("exec", "expected a map");
    } else {
      CONTOUR_ASSIGN_OR_RETURN(config->exec, ReadExec(user.Child("exec")));
    }
  }
  return user.status();
}

absl::StatusOr<ServerConfig> ParseDocuments(const std::vector<KubeconfigFile>& files,
                                            std::string_view wanted_context) {
  std::vector<Document> documents;
  std::string context_name(wanted_context);
  std::string tried;
  for (const KubeconfigFile& file : files) {
    tried += (tried.empty() ? "" : ", ") + file.path;
    YAML::Node root;
    try {
      root = YAML::Load(file.text);
    } catch (const YAML::Exception& error) {
      return InvalidArgument("{}: line {}, column {}: {}", file.path, error.mark.line + 1,
                             error.mark.column + 1, error.msg);
    }
    if (root.IsNull()) continue;  // an empty file
    if (!root.IsMap())
      return InvalidArgument("{}: expected a kubeconfig, which is a map", file.path);
    documents.push_back({file.path, root});
    const YAML::Node current = std::as_const(documents.back().root)["current-context"];
    if (context_name.empty() && current && current.IsScalar()) context_name = current.Scalar();
  }
  if (context_name.empty()) return InvalidArgument("{}: no current-context", tried);

  ServerConfig config;
  CONTOUR_ASSIGN_OR_RETURN(Entry context, Find(documents, "contexts", "context", context_name));
  config.origin = fmt::format("context {} of {}", Quote(context_name), tried);
  const std::string cluster_name = context.Text("cluster");
  const std::string user_name = context.Text("user");
  config.default_namespace = context.Text("namespace");
  if (cluster_name.empty()) context.Fail("cluster", "expected the name of a cluster");
  CONTOUR_RETURN_IF_ERROR(context.status());

  CONTOUR_ASSIGN_OR_RETURN(Entry cluster, Find(documents, "clusters", "cluster", cluster_name));
  CONTOUR_RETURN_IF_ERROR(ReadCluster(std::move(cluster), &config));
  if (!user_name.empty()) {  // else we are nobody, which a proxy in between may mend
    CONTOUR_ASSIGN_OR_RETURN(Entry user, Find(documents, "users", "user", user_name));
    CONTOUR_RETURN_IF_ERROR(ReadUser(std::move(user), &config));
  }
  return config;
}

absl::StatusOr<ServerConfig> InClusterConfig(const ServerConfigOptions& options) {
  ServerConfig config;
  config.origin = "the pod's service account";
  std::string host = options.environment("KUBERNETES_SERVICE_HOST").value_or("");
  const std::string port = options.environment("KUBERNETES_SERVICE_PORT").value_or("");
  if (host.empty() || port.empty()) {
    return NotFound("not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT aren't set");
  }
  if (host.find(':') != std::string::npos && !host.starts_with('[')) host = "[" + host + "]";
  config.server = fmt::format("https://{}:{}", host, port);
  config.token.file = options.service_account_dir + "/token";
  config.ca.file = options.service_account_dir + "/ca.crt";
  if (const auto ns = ReadFile(options.service_account_dir + "/namespace"); ns.ok()) {
    config.default_namespace = Trim(*ns);
  }
  return config;
}

absl::StatusOr<ServerConfig> LoadFiles(const std::vector<std::string>& paths, bool all_must_exist,
                                       const std::string& context) {
  std::vector<KubeconfigFile> files;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadFile(path);
    if (!text.ok()) {
      if (absl::IsNotFound(text.status()) && !all_must_exist) continue;
      return text.status();
    }
    std::error_code error;
    const fs::path absolute = fs::absolute(path, error);
    files.push_back({error ? path : absolute.string(), *std::move(text)});
  }
  if (files.empty()) return absl::NotFoundError("none of them exists");
  return ParseKubeconfig(files, context);
}

// Tries the places one after the other.
absl::StatusOr<ServerConfig> FindServerConfig(const ServerConfigOptions& options) {
  if (options.in_cluster) return InClusterConfig(options);
  if (!options.kubeconfig.empty()) {
    return LoadFiles({options.kubeconfig}, /*all_must_exist=*/true, options.context);
  }

  std::string tried;
  if (const auto list = options.environment("KUBECONFIG"); list && !list->empty()) {
    absl::StatusOr<ServerConfig> config = LoadFiles(SplitList(*list, ':'), false, options.context);
    if (config.ok() || !absl::IsNotFound(config.status())) return config;
    tried += fmt::format("KUBECONFIG={} ({}); ", *list, Message(config.status()));
  } else {
    tried += "KUBECONFIG (not set); ";
  }
  if (const auto home = options.environment("HOME"); home && !home->empty()) {
    const std::string path = *home + "/.kube/config";
    absl::StatusOr<ServerConfig> config = LoadFiles({path}, false, options.context);
    if (config.ok() || !absl::IsNotFound(config.status())) return config;
    tried += path + " (doesn't exist); ";
  } else {
    tried += "~/.kube/config (HOME isn't set); ";
  }
  absl::StatusOr<ServerConfig> config = InClusterConfig(options);
  if (config.ok()) return config;
  return NotFound("no configuration of an API server; tried {}the pod's service account ({})",
                  tried, Message(config.status()));
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

absl::StatusOr<ServerConfig> ParseKubeconfig(const std::vector<KubeconfigFile>& files,
                                             std::string_view context) {
  try {
    return ParseDocuments(files, context);
  } catch (
      const YAML::Exception& error) {  // a node that isn't of the kind that the code above expects
    return InvalidArgument("{}: {}", files.front().path, error.msg);
  }
}

absl::StatusOr<ServerConfig> LoadServerConfig(const ServerConfigOptions& options) {
  CONTOUR_ASSIGN_OR_RETURN(ServerConfig config, FindServerConfig(options));
  if (!config.proxy_url.empty()) {
    config.proxy = config.proxy_url;
  } else {
    CONTOUR_ASSIGN_OR_RETURN(config.proxy, EnvironmentProxy(config.server, options.environment));
  }
  return config;
}

}  // namespace contour::kube
