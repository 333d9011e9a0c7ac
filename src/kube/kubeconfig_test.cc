// SPDX-License-Identifier: Apache-2.0

#include "kube/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/status.h"
#include "kube/testing_files.h"

namespace contour::kube {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kWhole[] = R"(
apiVersion: v1
kind: Config
current-context: prod
preferences: {}
contexts:
- name: other
  context: {cluster: other, user: other}
- name: prod
  context: {cluster: main, user: alice, namespace: web}
clusters:
- name: main
  cluster:
    server: https://10.0.0.1:6443/
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
    proxy-url: http://proxy:3128
users:
- name: alice
  user:
    client-certificate: /abs/alice.crt
    client-key-data: S0VZ
    token: text
)";

TEST(KubeconfigTest, Whole) {
  const auto config = ParseKubeconfig({{"/etc/kube/config", kWhole}});
  ASSERT_TRUE(config.ok()) << config.status();
  ServerConfig want;
  want.origin = "context \"prod\" of /etc/kube/config";
  want.server = "https://10.0.0.1:6443";
  want.ca.file = "/etc/kube/pki/ca.crt";
  want.tls_server_name = "kubernetes";
  want.proxy_url = "http://proxy:3128";
  want.client_cert.file = "/abs/alice.crt";
  want.client_key.text = "KEY";
  want.token.text = "text";
  want.default_namespace = "web";
  EXPECT_EQ(*config, want);
}

TEST(KubeconfigTest, JsonIsYaml) {
  const auto config = ParseKubeconfig(
      {{"/c", R"({"current-context":"x","contexts":[{"name":"x","context":{"cluster":"c"}}],
                 "clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:8001"}}]})"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "http://127.0.0.1:8001");
  EXPECT_TRUE(config->token.empty());
}

// The user and the cluster of a context "x".
std::string With(const std::string& user, const std::string& cluster = "server: https://a") {
  return "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: "
         "[{name: c, cluster: {" +
         cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
}

TEST(KubeconfigTest, DataWinsOverFilesAndTokenFileOverToken) {
  const auto config = ParseKubeconfig(
      {{"/d/c",
        With("client-certificate: a, client-certificate-data: Q0VSVA==, client-key: k, token: t, "
             "tokenFile: sub/token",
             "server: https://a, certificate-authority: b, certificate-authority-data: Q0E=")}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->client_cert, (Material{"", "CERT"}));
  EXPECT_EQ(config->client_key, (Material{"/d/k", ""}));
  EXPECT_EQ(config->ca, (Material{"", "CA"}));
  EXPECT_EQ(config->token, (Material{"/d/sub/token", ""}));
}

TEST(KubeconfigTest, Exec) {
  const auto config = ParseKubeconfig({{"/d/c", With(R"(exec: {
    apiVersion: client.authentication.k8s.io/v1, command: ./bin/plugin, args: [get-token, "1"],
    env: [{name: A, value: b}], provideClusterInfo: true, installHint: get it, interactiveMode: Never})")}});
  ASSERT_TRUE(config.ok()) << config.status();
  ExecPlugin want;
  want.command = "/d/bin/plugin";
  want.args = {"get-token", "1"};
  want.env = {{"A", "b"}};
  want.api_version = "client.authentication.k8s.io/v1";
  want.install_hint = "get it";
  want.provide_cluster_info = true;
  EXPECT_EQ(config->exec, want);
  const auto in_path = ParseKubeconfig(
      {{"/d/c",
        With("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: plugin}")}});
  EXPECT_EQ(in_path->exec->command, "plugin");
}

TEST(KubeconfigTest, BooleansAreThoseOfYaml) {
  const auto skips = [](const std::string& text) {
    const auto config =
        ParseKubeconfig({{"/c", With("", "server: https://a, insecure-skip-tls-verify: " + text)}});
    EXPECT_TRUE(config.ok()) << text << ": " << config.status();
    return config.ok() && config->insecure_skip_tls_verify;
  };
  for (const char* text : {"true", "True", "TRUE", "yes", "Yes", "on", "ON", "y", "Y"})
    EXPECT_TRUE(skips(text)) << text;
  for (const char* text : {"false", "False", "FALSE", "no", "off", "n", "null", "''"})
    EXPECT_FALSE(skips(text)) << text;
}

TEST(KubeconfigTest, AServerWithoutASchemeIsTlsIfAnythingSpeaksOfIt) {
  const auto server = [](const std::string& cluster) {
    return ParseKubeconfig({{"/c", With("", cluster)}})->server;
  };
  EXPECT_EQ(server("server: '10.0.0.1:8080'"), "http://10.0.0.1:8080");
  EXPECT_EQ(server("server: '10.0.0.1:6443', certificate-authority: ca.crt"),
            "https://10.0.0.1:6443");
  EXPECT_EQ(server("server: '10.0.0.1:6443', insecure-skip-tls-verify: true"),
            "https://10.0.0.1:6443");
}

TEST(KubeconfigTest, CompressionCanBeSwitchedOff) {
  EXPECT_TRUE(ParseKubeconfig({{"/c", With("", "server: https://a, disable-compression: true")}})
                  ->disable_compression);
}

TEST(KubeconfigTest, FirstFileWins) {
  const std::string first = R"(
current-context: x
clusters: [{name: c, cluster: {server: https://first}}]
)";
  const std::string second = R"(
current-context: y
contexts: [{name: x, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: https://second}}]
users: [{name: u, user: {tokenFile: token}}]
)";
  const auto config =
      ParseKubeconfig({{"/a/config", first}, {"/b/config", second}, {"/c/empty", ""}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://first");
  EXPECT_EQ(config->token.file, "/b/token") << "relative to the file that names it";
}

TEST(KubeconfigTest, GivenContext) {
  const auto config = ParseKubeconfig({{"/c", std::string(kWhole)}}, "other");
  EXPECT_THAT(std::string(Message(config.status())),
              HasSubstr("clusters: no entry named \"other\""));
}

TEST(KubeconfigTest, Errors) {
  struct Case {
    std::string text;
    const char* want;
  };
  for (const Case& c : {
           Case{"a: [", "/c: line 1, column"},
           Case{"[]", "/c: expected a kubeconfig"},
           Case{"text", "/c: expected a kubeconfig"},
           Case{"", "/c: no current-context"},
           Case{"current-context: x", "/c: contexts: no entry named \"x\""},
           Case{"current-context: x\ncontexts: {}", "/c: contexts: expected a list"},
           Case{"current-context: x\ncontexts: [1]", "/c: contexts: expected entries with a name"},
           Case{"current-context: x\ncontexts: [{name: x}]",
                "contexts[\"x\"].context.cluster: expected the name"},
           Case{"current-context: x\ncontexts: [{name: x, context: []}]",
                "contexts[\"x\"].context: expected a map"},
           Case{"current-context: x\ncontexts: [{name: x, context: {cluster: [1]}}]",
                "context.cluster: expected text"},
           Case{With("", "server: ftp://10.0.0.1"),
                "clusters[\"c\"].cluster.server: expected an address like https://"},
           Case{With("", "server: ':6443'"), "server: expected an address"},
           Case{With("", "server: https://"), "server: expected an address"},
           Case{With("", "x: y"), "server: expected an address"},
           Case{With("", "server: https://a, proxy-url: 'ftp://x'"),
                "cluster.proxy-url: expected http://"},
           Case{With("", "server: https://a, insecure-skip-tls-verify: maybe"),
                "expected true or false, got \"maybe\""},
           Case{With("",
                     "server: https://a, insecure-skip-tls-verify: true, certificate-authority: x"),
                "can't be given together"},
           Case{With("", "server: https://a, certificate-authority-data: '***'"),
                "-data: expected base64"},
           Case{With("client-certificate: x"),
                "users[\"u\"].user.client-certificate: a client certificate and its key"},
           Case{With("username: x, password: y"), "user.username: not supported"},
           Case{With("auth-provider: {name: gcp}"), "auth-provider: not supported"},
           Case{With("as: admin, token: x"), "user.as: impersonation is not supported"},
           Case{With("exec: []"), "user.exec: expected a map"},
           Case{With("exec: {apiVersion: client.authentication.k8s.io/v1}"),
                "exec.command: expected a program"},
           Case{With("exec: {apiVersion: v2, command: x}"),
                "exec.apiVersion: expected client.authentication.k8s.io/v1"},
           Case{With("exec: {apiVersion: client.authentication.k8s.io/v1, command: x, "
                     "interactiveMode: Always}"),
                "no terminal"},
           Case{With("exec: {apiVersion: client.authentication.k8s.io/v1, command: x, args: y}"),
                "exec.args: expected"},
           Case{With("exec: {apiVersion: client.authentication.k8s.io/v1, command: x, env: [A]}"),
                "exec.env: expected"},
       }) {
    const auto config = ParseKubeconfig({{"/c", c.text}});
    ASSERT_FALSE(config.ok()) << c.text;
    EXPECT_TRUE(absl::IsInvalidArgument(config.status())) << config.status();
    EXPECT_THAT(std::string(Message(config.status())), HasSubstr(c.want)) << c.text;
  }
}

// ---- Places that are searched ----

class LoadTest : public testing::Test {
 protected:
  LoadTest() {
    options_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      if (found == environment_.end()) return std::nullopt;
      return found->second;
    };
    options_.service_account_dir = folder_.path() + "/sa";
  }
  std::string Kubeconfig(const std::string& server) {
    return "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
           "clusters: [{name: c, cluster: {server: '" +
           server + "'}}]\n";
  }

  TempFolder folder_;
  std::map<std::string, std::string> environment_;
  ServerConfigOptions options_;
};

TEST_F(LoadTest, NamesAllThatWasTried) {
  environment_ = {{"KUBECONFIG", "/nowhere/a:/nowhere/b"}, {"HOME", folder_.path()}};
  const auto config = LoadServerConfig(options_);
  EXPECT_TRUE(absl::IsNotFound(config.status()));
  EXPECT_THAT(
      std::string(Message(config.status())),
      AllOf(HasSubstr("KUBECONFIG=/nowhere/a:/nowhere/b"),
            HasSubstr(folder_.path() + "/.kube/config"), HasSubstr("KUBERNETES_SERVICE_HOST")));
}

TEST_F(LoadTest, InOrder) {
  environment_["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  environment_["KUBERNETES_SERVICE_PORT"] = "443";
  folder_.Write("sa/namespace", "contour-ns\n");
  auto config = LoadServerConfig(options_);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->token.file, folder_.path() + "/sa/token");
  EXPECT_EQ(config->ca.file, folder_.path() + "/sa/ca.crt");
  EXPECT_EQ(config->default_namespace, "contour-ns");

  environment_["HOME"] = folder_.path();
  folder_.Write(".kube/config", Kubeconfig("https://home"));
  EXPECT_EQ(LoadServerConfig(options_)->server, "https://home");

  environment_["KUBECONFIG"] = "/nowhere:" + folder_.Write("second", Kubeconfig("https://env"));
  EXPECT_EQ(LoadServerConfig(options_)->server, "https://env");

  options_.kubeconfig = folder_.Write("flag", Kubeconfig("https://flag"));
  EXPECT_EQ(LoadServerConfig(options_)->server, "https://flag");

  options_.in_cluster = true;
  EXPECT_EQ(LoadServerConfig(options_)->server, "https://[fd00::1]:443");
}

TEST_F(LoadTest, TheProxyIsTheKubeconfigsElseTheEnvironments) {
  environment_ = {{"HTTPS_PROXY", "http://environment:1"}, {"NO_PROXY", "direct"}};
  const auto proxy = [&](const std::string& server, const std::string& more = "") {
    options_.kubeconfig = folder_.Write("flag", Kubeconfig(server + "'" + more + ", x: '"));
    const auto config = LoadServerConfig(options_);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? config->proxy : "";
  };
  EXPECT_EQ(proxy("https://a"), "http://environment:1");
  EXPECT_EQ(proxy("https://direct"), "");
  EXPECT_EQ(proxy("https://127.0.0.1:40000"), "") << "as kind and k3d have it";
  EXPECT_EQ(proxy("https://direct", ", proxy-url: 'http://given:1'"), "http://given:1");
  EXPECT_EQ(proxy("https://direct", ", tls-server-name: a"), "")
      << "the server counts, not the name in its certificate";
  EXPECT_EQ(proxy("https://a", ", tls-server-name: direct"), "http://environment:1");
  environment_["HTTPS_PROXY"] = "ftp://x";
  options_.kubeconfig = folder_.Write("flag", Kubeconfig("https://a"));
  EXPECT_THAT(std::string(Message(LoadServerConfig(options_).status())), HasSubstr("HTTPS_PROXY"));
}

TEST_F(LoadTest, GivenFileMustExist) {
  options_.kubeconfig = "/nowhere/config";
  EXPECT_THAT(std::string(Message(LoadServerConfig(options_).status())),
              HasSubstr("/nowhere/config: No such file"));
  options_.kubeconfig = folder_.path();
  EXPECT_THAT(std::string(Message(LoadServerConfig(options_).status())),
              HasSubstr("Is a directory"));
}

TEST_F(LoadTest, ABadFileIsAnErrorNotPassedOver) {
  environment_["HOME"] = folder_.path();
  folder_.Write(".kube/config", "a: [");
  environment_["KUBERNETES_SERVICE_HOST"] = "10.0.0.1";
  environment_["KUBERNETES_SERVICE_PORT"] = "443";
  EXPECT_THAT(std::string(Message(LoadServerConfig(options_).status())),
              HasSubstr(".kube/config: line 1"));
}

TEST_F(LoadTest, InClusterNamesTheMissingFile) {
  options_.in_cluster = true;
  EXPECT_THAT(std::string(Message(LoadServerConfig(options_).status())), HasSubstr("not in a pod"));
}

}  // namespace
}  // namespace contour::kube
