// SPDX-License-Identifier: Apache-2.0

#include "config/serve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "base/strings.h"
#include "config/flags.h"

namespace contour::config {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::optional<std::string> NoVariable(const char* /*name*/) { return std::nullopt; }

class LoadServeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::path(::testing::TempDir()) /
             (std::string("load-serve-") +
              ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml"))
                .string();
  }
  void TearDown() override { std::filesystem::remove(path_); }

  absl::StatusOr<std::unique_ptr<const LoadedServe>> Load(
      const std::string& text, GivenFlags flags = {}, const Environment& environment = NoVariable) {
    std::ofstream(path_) << text;
    flags["config-path"] = path_;
    return LoadServe(flags, environment);
  }

  std::string path_;
};

// The file that Contour 0.15 documents, `data["contour.yaml"]` of its ConfigMap, without
// indentation.
const std::vector<std::string> kAnnounced = {
    "# should contour expect to be running inside a k8s cluster",
    "# incluster: true",
    "#",
    "# path to kubeconfig (if not running inside a k8s cluster)",
    "# kubeconfig: /path/to/.kube/config",
    "#",
    "# disable ingressroute permitInsecure field",
    "# disablePermitInsecure: false",
    "tls:",
    "  # minimum TLS version that Contour will negotiate",
    "  # minimumProtocolVersion: \"1.1\"",
    "# The following config shows the defaults for the leader election.",
    "# leaderelection:",
    "  # configmap-name: contour",
    "  # configmap-namespace: leader-elect",
};

// The same file with some lines uncommented.
std::string Announced(const std::vector<std::size_t>& lines) {
  std::string text;
  for (std::size_t i = 0; i < kAnnounced.size(); ++i) {
    std::string line = kAnnounced[i];
    if (std::find(lines.begin(), lines.end(), i) != lines.end()) line.erase(line.find("# "), 2);
    text += line + "\n";
  }
  return text;
}

TEST_F(LoadServeTest, LoadsTheDocumentedFile) {
  const auto loaded = Load(Announced({}));
  ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
  EXPECT_TRUE(Differences(LoadedServe().settings(), (*loaded)->settings()).size() == 1u)
      << "only the path of the file";
}

TEST_F(LoadServeTest, LoadsTheDocumentedFileUncommented) {
  struct Case {
    std::vector<std::size_t> lines;
    std::function<bool(const Serve&)> holds;
  };
  for (const Case& c : {
           Case{{1}, [](const Serve& s) { return s.in_cluster; }},
           Case{{4}, [](const Serve& s) { return s.kubeconfig == "/path/to/.kube/config"; }},
           Case{{7}, [](const Serve& s) { return !s.disable_permit_insecure; }},
           Case{{10},
                [](const Serve& s) { return s.listeners.minimum_tls_version == TLSVersion::k1_1; }},
           Case{{12}, [](const Serve& s) { return s.leader_election.lock == LockKind::kLease; }},
           Case{{12, 13},
                [](const Serve& s) {
                  return s.leader_election.lock == LockKind::kConfigMap &&
                         s.leader_election.lock_name == "contour" &&
                         s.leader_election.lock_namespace == "leader-elect";
                }},
           Case{{12, 14},
                [](const Serve& s) {
                  return s.leader_election.lock == LockKind::kConfigMap &&
                         s.leader_election.lock_name == "contour" &&
                         s.leader_election.lock_namespace == "leader-elect";
                }},
           Case{{1, 4, 7, 10, 12, 13, 14},
                [](const Serve& s) {
                  return s.in_cluster && s.kubeconfig == "/path/to/.kube/config" &&
                         s.listeners.minimum_tls_version == TLSVersion::k1_1 &&
                         s.leader_election.lock == LockKind::kConfigMap;
                }},
       }) {
    const auto loaded = Load(Announced(c.lines));
    ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
    EXPECT_TRUE(c.holds((*loaded)->serve())) << Announced(c.lines);
  }
}

// Without its section it is a key of `tls`; the error names the place that was meant.
TEST_F(LoadServeTest, LoadsADocumentedLineWithoutItsSection) {
  const auto loaded = Load(Announced({13}));
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(std::string(Message(loaded.status())),
              HasSubstr("line 14, column 3: tls.configmap-name: unknown key"));
  EXPECT_THAT(std::string(Message(loaded.status())),
              HasSubstr("the nearest known one is leaderelection.configmap-name"));
}

TEST_F(LoadServeTest, TakesTheDocumentedArguments) {
  CLI::App app;
  const auto given = std::make_shared<GivenFlags>();
  const LoadedServe defaults;
  AddFlags(defaults.settings(), app, given);
  std::vector<std::string> arguments = {"--xds-port=8001", "--xds-address=0.0.0.0",
                                        "--enable-leader-election", "--incluster"};
  app.parse(arguments);
  const auto loaded = LoadServe(*given, NoVariable);
  ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
  const Serve& serve = (*loaded)->serve();
  EXPECT_TRUE(serve.in_cluster);
  EXPECT_TRUE(serve.leader_election.enabled);
  EXPECT_EQ(serve.xds_address, "0.0.0.0");
  EXPECT_EQ(serve.xds_port, 8001);
  EXPECT_EQ(serve.leader_election.lock, LockKind::kLease);
  EXPECT_EQ(serve.leader_election.lock_name, "contour");
  EXPECT_EQ(serve.leader_election.lock_namespace, "leader-elect");
}

TEST_F(LoadServeTest, BothSpellingsOfTheTLSKey) {
  for (const char* key : {"minimumProtocolVersion", "minimum-protocol-version"}) {
    for (const char* value : {"1.3", "\"1.3\""}) {
      const auto loaded = Load(fmt::format("tls:\n  {}: {}\n", key, value));
      ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
      EXPECT_EQ((*loaded)->serve().listeners.minimum_tls_version, TLSVersion::k1_3);
    }
  }
  EXPECT_TRUE(
      Load("tls:\n  minimumProtocolVersion: 1.3\n  minimum-protocol-version: \"1.3\"\n").ok());
  const auto both =
      Load("tls:\n  minimumProtocolVersion: 1.3\n  minimum-protocol-version: \"1.2\"\n");
  ASSERT_FALSE(both.ok());
  EXPECT_THAT(std::string(Message(both.status())),
              HasSubstr("line 3, column 3: tls.minimum-protocol-version: means the same as "
                        "tls.minimumProtocolVersion"));
}

TEST_F(LoadServeTest, Locks) {
  const auto lease = Load("leaderelection:\n  lease-name: a\n  lease-namespace: b\n");
  ASSERT_TRUE(lease.ok()) << Message(lease.status());
  EXPECT_EQ((*lease)->serve().leader_election.lock, LockKind::kLease);
  EXPECT_EQ((*lease)->serve().leader_election.lock_name, "a");
  EXPECT_EQ((*lease)->serve().leader_election.lock_namespace, "b");

  const auto config_map = Load("leaderelection:\n  configmap-namespace: b\n");
  ASSERT_TRUE(config_map.ok());
  EXPECT_EQ((*config_map)->serve().leader_election.lock, LockKind::kConfigMap);
  EXPECT_EQ((*config_map)->serve().leader_election.lock_name, "contour");
  EXPECT_EQ((*config_map)->serve().leader_election.lock_namespace, "b");

  const auto both = Load("leaderelection:\n  lease-name: a\n  configmap-namespace: b\n");
  ASSERT_FALSE(both.ok());
  EXPECT_THAT(std::string(Message(both.status())),
              HasSubstr("line 3, column 3: leaderelection.configmap-namespace: expected one kind "
                        "of lock, but leaderelection.lease-name"));
}

TEST_F(LoadServeTest, Delivery) {
  const auto sharded = Load("delivery: sharded\n");
  ASSERT_TRUE(sharded.ok()) << Message(sharded.status());
  EXPECT_EQ((*sharded)->serve().listeners.delivery, config::Delivery::kSharded);
  const auto https = Load("delivery: sharded-https\n");
  ASSERT_TRUE(https.ok()) << Message(https.status());
  EXPECT_EQ((*https)->serve().listeners.delivery, config::Delivery::kShardedHTTPS);
  EXPECT_FALSE(Load("delivery: scattered\n").ok());
  const auto absent = Load("");
  ASSERT_TRUE(absent.ok()) << Message(absent.status());
  EXPECT_EQ((*absent)->serve().listeners.delivery, config::Delivery::kClassic);
}

TEST_F(LoadServeTest, Timings) {
  const auto loaded = Load(
      "leaderelection:\n  lease-duration: 1m\n  renew-deadline: 40s\n  retry-period: 500ms\n"
      "  xds: all\n");
  ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
  EXPECT_EQ((*loaded)->serve().leader_election.lease_duration, milliseconds(60'000));
  EXPECT_EQ((*loaded)->serve().leader_election.renew_deadline, milliseconds(40'000));
  EXPECT_EQ((*loaded)->serve().leader_election.retry_period, milliseconds(500));
  EXPECT_EQ((*loaded)->serve().leader_election.served_by, ServedBy::kAll);
  for (const char* text :
       {"lease-duration: 10s", "renew-deadline: 2.4s", "retry-period: 9s", "retry-period: 0s"}) {
    EXPECT_FALSE(Load(fmt::format("leaderelection:\n  {}\n", text)).ok()) << text;
  }
}

TEST_F(LoadServeTest, AFlagWinsOverTheFile) {
  const auto loaded =
      Load("incluster: true\nkubeconfig: /a\n", {{"incluster", "false"}, {"kubeconfig", "/b"}});
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE((*loaded)->serve().in_cluster);
  EXPECT_EQ((*loaded)->serve().kubeconfig, "/b");
}

TEST_F(LoadServeTest, Environment) {
  const auto loaded = Load("", {{"contour-key-file", "flag"}}, [](const char* name) {
    return std::optional<std::string>(name == std::string("CONTOUR_NAMESPACE") ? "" : name);
  });
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->serve().ca_file, "CONTOUR_CAFILE");
  EXPECT_EQ((*loaded)->serve().cert_file, "CONTOUR_CERT_FILE");
  EXPECT_EQ((*loaded)->serve().key_file, "flag");
  EXPECT_EQ((*loaded)->serve().own_namespace, "heptio-contour");
}

TEST_F(LoadServeTest, AMissingFile) {
  const auto loaded = LoadServe({{"config-path", "/nowhere/contour.yaml"}}, NoVariable);
  EXPECT_EQ(Message(loaded.status()), "path '/nowhere/contour.yaml' does not exist");
}

// Two settings with one flag or key would hide each other.
TEST(ServeSettings, EachNameIsThereOnce) {
  StringSet names;
  const LoadedServe defaults;
  for (const Setting& setting : defaults.settings().all()) {
    const Declaration& declaration = setting.declaration;
    if (declaration.flag != nullptr) {
      EXPECT_TRUE(names.insert(setting.Name()).second) << setting.Name();
    }
    for (const char* key : declaration.keys) EXPECT_TRUE(names.insert(key).second) << key;
    EXPECT_TRUE(declaration.flag != nullptr || !declaration.keys.empty() ||
                declaration.environment != nullptr);
    EXPECT_STRNE(declaration.text, "");
    EXPECT_STRNE(setting.group, "");
    // The shown value can be read again.
    EXPECT_TRUE(setting.parse(setting.default_value)) << setting.Name();
    EXPECT_EQ(setting.show(), setting.default_value);
  }
}

}  // namespace
}  // namespace contour::config
