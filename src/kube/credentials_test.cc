// SPDX-License-Identifier: Apache-2.0

#include "kube/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "kube/curl_io.h"
#include "kube/exec_credential.h"
#include "kube/pem.h"
#include "kube/testing_certificates.h"
#include "kube/testing_files.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    config_.origin = "the test";
    config_.server = "https://10.0.0.1";
  }

  // Returns the identity of a request made now.
  absl::StatusOr<Identity> Get(Credentials& credentials) {
    absl::StatusOr<Identity> result;
    Notification done;
    io_.Post([&] {
      credentials.Get(io_, [&](absl::StatusOr<Identity> identity) {
        result = std::move(identity);
        done.Notify();
      });
    });
    done.Wait();
    return result;
  }
  std::string ErrorOfCreate() {
    const auto credentials = Credentials::Create(config_);
    EXPECT_TRUE(absl::IsInvalidArgument(credentials.status()) ||
                absl::IsNotFound(credentials.status()))
        << credentials.status();
    return std::string(Message(credentials.status()));
  }

  CurlIo io_{CurlIo::Options{}};
  TempFolder folder_;
  TestAuthority authority_;
  ServerConfig config_;
};

TEST_F(CredentialsTest, TextOfTheConfiguration) {
  const TestCertificate client = authority_.Issue("alice");
  config_.ca.text = authority_.ca_pem();
  config_.client_cert.text = client.cert_pem;
  config_.client_key.text = client.key_pem;
  config_.token.text = "abc";
  config_.tls_server_name = "kubernetes";
  const auto credentials = Credentials::Create(config_);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const auto identity = Get(**credentials);
  EXPECT_EQ(identity->authorization, "Bearer abc");
  EXPECT_EQ(identity->tls->ca_pem, authority_.ca_pem());
  EXPECT_EQ(identity->tls->cert_pem, client.cert_pem);
  EXPECT_EQ(identity->tls->key_pem, client.key_pem);
  EXPECT_EQ(identity->tls->server_name, "kubernetes");
  EXPECT_FALSE((*credentials)->Refused(*identity)) << "there is nothing newer";
}

TEST_F(CredentialsTest, FilesAreReadAgainWhenTheyChange) {
  config_.token.file = folder_.Write("token", "first\n");
  config_.ca.file = folder_.Write("ca.crt", authority_.ca_pem());
  const auto credentials = *Credentials::Create(config_);
  const Identity first = *Get(*credentials);
  EXPECT_EQ(first.authorization, "Bearer first");
  EXPECT_EQ(Get(*credentials)->serial, first.serial);

  folder_.Write("token", "second\n");
  const Identity second = *Get(*credentials);
  EXPECT_EQ(second.authorization, "Bearer second");
  EXPECT_EQ(second.tls, first.tls) << "a new token is no reason for a new connection";
  EXPECT_NE(second.serial, first.serial);
  EXPECT_TRUE(credentials->Refused(first)) << "there is a newer one";
  EXPECT_FALSE(credentials->Refused(second));
  folder_.Write("token", "third\n");
  EXPECT_TRUE(credentials->Refused(second)) << "it looks at the file";

  const TestAuthority other;
  folder_.Write("ca.crt", other.ca_pem());
  const Identity fourth = *Get(*credentials);
  EXPECT_EQ(fourth.tls->ca_pem, other.ca_pem());
  EXPECT_EQ(second.tls->ca_pem, authority_.ca_pem()) << "running requests keep theirs";
}

TEST_F(CredentialsTest, AFileInAVolumeIsReadThroughItsLinks) {
  folder_.Write("v1/token", "one");
  folder_.Write("v2/token", "two");
  const std::string data = folder_.path() + "/..data";
  std::filesystem::create_symlink("v1", data);
  config_.token.file = data + "/token";
  const auto credentials = *Credentials::Create(config_);
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer one");
  std::filesystem::create_symlink("v2", data + "_tmp");
  std::filesystem::rename(data + "_tmp", data);
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer two");
}

TEST_F(CredentialsTest, KeepsTheLastGoodWhileAFileCannotBeUsed) {
  const TestCertificate one = authority_.Issue("one");
  const TestCertificate two = authority_.Issue("two");
  config_.token.file = folder_.Write("token", "good");
  config_.ca.file = folder_.Write("ca.crt", authority_.ca_pem());
  config_.client_cert.file = folder_.Write("tls.crt", one.cert_pem);
  config_.client_key.file = folder_.Write("tls.key", one.key_pem);
  const auto credentials = *Credentials::Create(config_);
  for (const char* bad : {"", " \n", "two words", "a\nb"}) {
    folder_.Write("token", bad);
    EXPECT_EQ(Get(*credentials)->authorization, "Bearer good") << bad;
  }
  std::filesystem::remove(config_.token.file);
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer good");
  folder_.Write("ca.crt", authority_.ca_pem().substr(0, 100));
  EXPECT_EQ(Get(*credentials)->tls->ca_pem, authority_.ca_pem());
  folder_.Write("tls.crt", two.cert_pem);  // the key still is that of the other
  EXPECT_EQ(Get(*credentials)->tls->cert_pem, one.cert_pem);
  folder_.Write("tls.key", two.key_pem);
  EXPECT_EQ(Get(*credentials)->tls->cert_pem, two.cert_pem);
  EXPECT_EQ(Get(*credentials)->tls->key_pem, two.key_pem);
}

TEST_F(CredentialsTest, FilesThatCannotBeReadWhileRunningLeaveTheLastGood) {
  const TestCertificate one = authority_.Issue("one");
  config_.token.file = folder_.Write("token", "good");
  config_.ca.file = folder_.Write("ca.crt", authority_.ca_pem());
  config_.client_cert.file = folder_.Write("tls.crt", one.cert_pem);
  config_.client_key.file = folder_.Write("tls.key", one.key_pem);
  const auto credentials = *Credentials::Create(config_);
  const auto good = *Get(*credentials);
  for (const std::string& file :
       {config_.token.file, config_.ca.file, config_.client_cert.file, config_.client_key.file}) {
    SCOPED_TRACE(file);
    // Missing, a link to nothing, a folder, and a file that gives an error when read, also to root.
    std::filesystem::rename(file, file + ".kept");
    EXPECT_EQ(Get(*credentials)->authorization, good.authorization);
    EXPECT_EQ(*Get(*credentials)->tls, *good.tls);
    for (const char* target : {"nowhere", "/tmp", "/proc/self/mem"}) {
      std::filesystem::create_symlink(target, file);
      EXPECT_EQ(Get(*credentials)->authorization, good.authorization) << target;
      EXPECT_EQ(*Get(*credentials)->tls, *good.tls) << target;
      std::filesystem::remove(file);
    }
    std::filesystem::rename(file + ".kept", file);
  }
  folder_.Write("token", "new");
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer new");
}

TEST_F(CredentialsTest, UnusableFilesPreventTheStart) {
  config_.ca.file = "/nowhere/ca.crt";
  EXPECT_THAT(ErrorOfCreate(), HasSubstr("the test: /nowhere/ca.crt: No such file"));
  config_.ca.file = folder_.Write("ca.crt", "no certificate");
  EXPECT_THAT(ErrorOfCreate(),
              AllOf(HasSubstr("/ca.crt: no PEM certificate"), Not(HasSubstr("no certificate\n"))));
  config_.ca = {};
  config_.token.file = folder_.Write("token", "");
  EXPECT_THAT(ErrorOfCreate(), HasSubstr("/token: no token in it"));
  config_.token = {};
  config_.client_cert.text = authority_.Issue("one").cert_pem;
  config_.client_key.text = authority_.Issue("two").key_pem;
  EXPECT_THAT(ErrorOfCreate(), HasSubstr("doesn't belong to"));
  config_.client_key.text = "secret garbage";
  EXPECT_THAT(ErrorOfCreate(), AllOf(HasSubstr("no PEM private key"), Not(HasSubstr("garbage"))));
  config_.client_cert = config_.client_key = {};
  config_.exec = ExecPlugin{.command = "contour-no-such-plugin", .install_hint = "install it"};
  EXPECT_THAT(ErrorOfCreate(), HasSubstr("contour-no-such-plugin isn't in PATH; install it"));
  config_.exec->command = folder_.Write("plugin", "not executable");
  EXPECT_THAT(ErrorOfCreate(), HasSubstr("can't be run"));
}

TEST(PemTest, Certificates) {
  const TestAuthority a;
  const TestAuthority b;
  EXPECT_TRUE(CheckCertificates(a.ca_pem()).ok());
  EXPECT_TRUE(CheckCertificates("# comment\n" + a.ca_pem() + "\n" + b.ca_pem() + "\n").ok());
  EXPECT_FALSE(CheckCertificates("").ok());
  std::string broken = b.ca_pem();
  broken[100] = '!';
  EXPECT_THAT(std::string(Message(CheckCertificates(a.ca_pem() + broken))),
              HasSubstr("certificate 2"));
}

// ---- Plugins ----

// A plugin that counts its runs in a file and prints what `status` says, in which $N is the number
// of the run.
class PluginTest : public CredentialsTest {
 protected:
  void MakePlugin(const std::string& status, const std::string& before = "") {
    const std::string count = folder_.path() + "/count";
    config_.exec = ExecPlugin{};
    config_.exec->api_version = "client.authentication.k8s.io/v1";
    config_.exec->command = folder_.WriteProgram(
        "plugin", "#!/bin/sh\necho x >> " + count + "\nN=$(wc -l < " + count + ")\n" + before +
                      "\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > " + folder_.path() +
                      "/info\ncat <<END\n{\"apiVersion\":\"client.authentication.k8s.io/v1\","
                      "\"kind\":\"ExecCredential\",\"status\":" +
                      status + "}\nEND\n");
  }
  int Runs() const {
    std::ifstream file(folder_.path() + "/count");
    int lines = 0;
    for (std::string line; std::getline(file, line);) ++lines;
    return lines;
  }
  std::shared_ptr<Credentials> Create() {
    options_.now = [this] { return now_.load(); };
    auto credentials = Credentials::Create(config_, options_);
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    return *std::move(credentials);
  }

  Credentials::Options options_;
  std::atomic<std::chrono::system_clock::time_point> now_ = std::chrono::system_clock::time_point(
      std::chrono::seconds(1'800'000'000));  // 2027-01-15T08:00:00Z
};

TEST_F(PluginTest, TokenIsKeptUntilItExpires) {
  MakePlugin(R"({"token":"t$N","expirationTimestamp":"2027-01-15T09:00:00Z"})");
  const auto credentials = Create();
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t1");
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t1");
  now_ = now_.load() + 59min;
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t1");
  now_ = now_.load() + 55s;  // within the margin
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t2");
  EXPECT_EQ(Runs(), 2);
}

TEST_F(PluginTest, AskedAgainWhenRefusedButNotInALoop) {
  MakePlugin(R"({"token":"t$N"})");
  const auto credentials = Create();
  const Identity first = *Get(*credentials);
  EXPECT_TRUE(credentials->Refused(first));
  const Identity second = *Get(*credentials);
  EXPECT_EQ(second.authorization, "Bearer t2");
  EXPECT_TRUE(credentials->Refused(first)) << "a late 401 for what is replaced already";
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t2");
  EXPECT_FALSE(credentials->Refused(second)) << "the fresh one is refused too: not at once again";
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t2");
  EXPECT_EQ(Runs(), 2);
}

TEST_F(PluginTest, ClientCertificate) {
  const TestCertificate client = authority_.Issue("alice");
  MakePlugin("");
  nlohmann::json answer = {
      {"apiVersion", "client.authentication.k8s.io/v1"},
      {"kind", "ExecCredential"},
      {"status", {{"clientCertificateData", client.cert_pem}, {"clientKeyData", client.key_pem}}}};
  folder_.WriteProgram("plugin", "#!/bin/sh\ncat " + folder_.Write("answer", answer.dump()) + "\n");
  const auto credentials = Create();
  const auto identity = Get(*credentials);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->authorization, "");
  EXPECT_EQ(identity->tls->cert_pem, client.cert_pem);
  EXPECT_EQ(identity->tls->key_pem, client.key_pem);
}

TEST_F(PluginTest, ManyWaitForOneRun) {
  MakePlugin(R"({"token":"t$N"})", "sleep 0.3");
  const auto credentials = Create();
  std::atomic<int> answers = 0;
  Notification all;
  io_.Post([&] {
    const TimePoint begin = Clock::now();
    for (int i = 0; i < 10; ++i) {
      credentials->Get(io_, [&](const absl::StatusOr<Identity>& identity) {
        EXPECT_EQ(identity->authorization, "Bearer t1");
        if (++answers == 10) all.Notify();
      });
    }
    EXPECT_LT(Clock::now() - begin, 200ms) << "the loop's thread waited";
  });
  all.Wait();
  EXPECT_EQ(Runs(), 1);
}

TEST_F(PluginTest, ReportsFailuresAndTriesAgain) {
  MakePlugin(R"({"token":"t$N"})", "[ $N -gt 1 ] || { echo not logged in >&2; exit 4; }");
  const auto credentials = Create();
  const auto failed = Get(*credentials);
  EXPECT_TRUE(absl::IsUnavailable(failed.status()));
  EXPECT_THAT(std::string(Message(failed.status())),
              HasSubstr("/plugin: exit code 4: not logged in"));
  EXPECT_EQ(Get(*credentials)->authorization, "Bearer t2");
}

TEST_F(PluginTest, LimitOnItsTime) {
  MakePlugin(R"({"token":"t"})", "sleep 100");
  options_.plugin_timeout = 200ms;
  const auto failed = Get(*Create());
  EXPECT_THAT(std::string(Message(failed.status())), HasSubstr("not done after 200 ms"));
}

TEST_F(PluginTest, TheEndDoesNotWaitForARunningPlugin) {
  MakePlugin(R"({"token":"t"})", "sleep 100");
  auto credentials = Create();
  io_.Run([&] { credentials->Get(io_, [](const absl::StatusOr<Identity>&) { ADD_FAILURE(); }); });
  const TimePoint begin = Clock::now();
  credentials.reset();
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST_F(PluginTest, GetsTheClusterIfItAsks) {
  MakePlugin(R"({"token":"t"})");
  config_.ca.text = authority_.ca_pem();
  const auto info = [this] {
    std::ifstream file(folder_.path() + "/info");
    std::stringstream text;
    text << file.rdbuf();
    return nlohmann::json::parse(text.str());
  };
  ASSERT_TRUE(Get(*Create()).ok());
  EXPECT_EQ(info(), nlohmann::json::parse(
                        R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
                                              "spec":{"interactive":false}})"));
  config_.exec->provide_cluster_info = true;
  ASSERT_TRUE(Get(*Create()).ok());
  EXPECT_EQ(info()["spec"]["cluster"]["server"], "https://10.0.0.1");
  EXPECT_TRUE(info()["spec"]["cluster"]["certificate-authority-data"].is_string());
}

TEST(ExecCredentialTest, RefusesWrongAnswers) {
  struct Case {
    const char *json, *want;
  };
  for (
      const Case& c : {
          Case{"", "expected an ExecCredential in JSON"},
          Case{"token", "expected an ExecCredential in JSON"},
          Case{R"({"kind":"Secret","apiVersion":"v"})",
               "kind: expected ExecCredential, got \"Secret\""},
          Case{R"({"kind":"ExecCredential","apiVersion":"w"})",
               "apiVersion: expected v, got \"w\""},
          Case{R"({"kind":"ExecCredential","apiVersion":"v"})", "status: expected the credential"},
          Case{R"({"kind":"ExecCredential","apiVersion":"v","status":{}})",
               "expected a token or a client certificate"},
          Case{R"({"kind":"ExecCredential","apiVersion":"v","status":{"token":1}})",
               "expected a token or"},
          Case{R"({"kind":"ExecCredential","apiVersion":"v","status":{"token":"a\nb"}})",
               "token: expected one line"},
          Case{R"({"kind":"ExecCredential","apiVersion":"v","status":{"clientKeyData":"a"}})",
               "together"},
          Case{
              R"({"kind":"ExecCredential","apiVersion":"v","status":{"token":"a","expirationTimestamp":"now"}})",
              "status.expirationTimestamp: expected a time"},
      }) {
    EXPECT_THAT(std::string(Message(ParseExecCredential(c.json, "v").status())), HasSubstr(c.want))
        << c.json;
  }
}

}  // namespace
}  // namespace contour::kube
