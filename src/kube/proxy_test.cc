// SPDX-License-Identifier: Apache-2.0

#include "kube/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/status.h"

namespace contour::kube {
namespace {

using Variables = std::map<std::string, std::string>;

Environment Of(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

std::string Proxy(const std::string& server, const Variables& variables) {
  const absl::StatusOr<std::string> proxy = EnvironmentProxy(server, Of(variables));
  return proxy.ok() ? *proxy : "error: " + std::string(Message(proxy.status()));
}

constexpr char kServer[] = "https://10.0.0.1:6443";

TEST(EnvironmentProxyTest, TheSchemeOfTheServerChoosesTheVariable) {
  const Variables both = {{"HTTP_PROXY", "http://plain:1"}, {"HTTPS_PROXY", "http://secure:2"}};
  EXPECT_EQ(Proxy("https://a:6443", both), "http://secure:2");
  EXPECT_EQ(Proxy("http://a:8080", both), "http://plain:1");
  EXPECT_EQ(Proxy("https://a", {{"HTTP_PROXY", "http://plain:1"}}), "");
  EXPECT_EQ(Proxy("https://a", {}), "");
}

TEST(EnvironmentProxyTest, CapitalsCountBeforeSmallLetters) {
  EXPECT_EQ(Proxy(kServer, {{"https_proxy", "http://small:1"}}), "http://small:1");
  EXPECT_EQ(Proxy(kServer, {{"https_proxy", "http://small:1"}, {"HTTPS_PROXY", "http://big:1"}}),
            "http://big:1");
  EXPECT_EQ(Proxy(kServer, {{"https_proxy", "http://small:1"}, {"HTTPS_PROXY", ""}}),
            "http://small:1");
  EXPECT_EQ(Proxy(kServer, {{"HTTPS_PROXY", "http://p:1"}, {"no_proxy", "10.0.0.1"}}), "");
}

TEST(EnvironmentProxyTest, AllProxyOfCurlDoesNotCount) {
  EXPECT_EQ(Proxy(kServer, {{"ALL_PROXY", "http://p:1"}, {"all_proxy", "http://p:1"}}), "");
}

TEST(EnvironmentProxyTest, LoopbackServersAreReachedWithoutAProxy) {
  for (const char* server : {"https://127.0.0.1:40123", "https://127.1.2.3", "https://[::1]:6443",
                             "https://localhost:6443", "https://LOCALHOST"}) {
    EXPECT_EQ(Proxy(server, {{"HTTPS_PROXY", "http://p:1"}}), "") << server;
  }
  EXPECT_EQ(Proxy("https://localhost.example", {{"HTTPS_PROXY", "http://p:1"}}), "http://p:1");
}

TEST(EnvironmentProxyTest, AProxyWithoutASchemeIsAnHttpProxy) {
  EXPECT_EQ(Proxy(kServer, {{"HTTPS_PROXY", "proxy:3128"}}), "http://proxy:3128");
  EXPECT_EQ(Proxy(kServer, {{"HTTPS_PROXY", "socks5://proxy"}}), "socks5://proxy");
}

TEST(EnvironmentProxyTest, AnAddressThatCannotBeUsedIsAnError) {
  EXPECT_THAT(Proxy(kServer, {{"HTTPS_PROXY", "ftp://p"}}),
              testing::AllOf(testing::HasSubstr("HTTPS_PROXY"), testing::HasSubstr("ftp://p"),
                             testing::HasSubstr("NO_PROXY")));
  EXPECT_EQ(Proxy("https://localhost", {{"HTTPS_PROXY", "ftp://p"}}), "");
  EXPECT_THAT(
      Proxy(kServer, {{"HTTPS_PROXY", "ftp://user:password@p"}}),
      testing::AllOf(testing::HasSubstr("@p"), testing::Not(testing::HasSubstr("password"))));
}

struct Exception {
  std::string server;
  std::string no_proxy;
  bool direct;
};

TEST(EnvironmentProxyTest, NoProxyFollowsTheRulesOfGo) {
  const Exception cases[] = {
      {kServer, "*", true},
      {kServer, "", false},
      {kServer, " , ", false},
      {kServer, "10.0.0.1", true},
      {kServer, "10.0.0.2", false},
      {kServer, "other, 10.0.0.1 ,third", true},
      {kServer, "10.0.0.0/8", true},
      {kServer, "10.0.0.0/31", true},
      {kServer, "10.0.0.2/31", false},
      {kServer, "0.0.0.0/0", true},
      {kServer, "10.0.0.0/33", false},
      {kServer, "10.0.0.0/x", false},
      {kServer, "::/0", false},
      {kServer, "10.0.0.1:6443", true},
      {kServer, "10.0.0.1:443", false},
      {kServer, "10.", false},
      {kServer, "0.0.1", false},
      {kServer, "*.0.0.1", false},
      {"https://[fd00::1]:6443", "fd00::1", true},
      {"https://[fd00::1]:6443", "[fd00::1]", true},
      {"https://[fd00::1]:6443", "[fd00::1]:6443", true},
      {"https://[fd00::1]:6443", "[fd00::1]:1", false},
      {"https://[fd00::1]:6443", "fd00::/8", true},
      {"https://[fd00::1]:6443", "fe00::/8", false},
      {"https://[::ffff:10.0.0.1]", "10.0.0.0/8", true},
      {"https://kube.example:6443", "kube.example", true},
      {"https://KUBE.example.", "kube.EXAMPLE", true},
      {"https://kube.example:6443", "example", true},
      {"https://kube.example:6443", ".example", true},
      {"https://kube.example:6443", "*.example", true},
      {"https://example", ".example", false},
      {"https://example", "*.example", false},
      {"https://kube.example:6443", "be.example", false},
      {"https://kube.example:6443", "example:6443", true},
      {"https://kube.example", "example:443", true},
      {"https://kube.example", "example:6443", false},
      {"https://kube.example", "10.0.0.0/8", false},
      {"http://kube.example", "example:80", true},
  };
  for (const Exception& entry : cases) {
    EXPECT_EQ(Proxy(entry.server, {{"HTTPS_PROXY", "http://p:1"},
                                   {"HTTP_PROXY", "http://p:1"},
                                   {"NO_PROXY", entry.no_proxy}}),
              entry.direct ? "" : "http://p:1")
        << entry.server << " with NO_PROXY=" << entry.no_proxy;
  }
}

}  // namespace
}  // namespace contour::kube
