// SPDX-License-Identifier: Apache-2.0
// Runs the fixtures. tests/fixtures/<feature>/<case>/ has
//   in.yaml       the objects, as in a manifest folder
//   options.yaml  options of graph and listeners that aren't the defaults (see ReadOptions)
//   xds.yaml      the expected resources, without the fields in tests/fixtures/common.yaml
//   status.yaml   the expected statuses, and the problems of objects that have no status
//
// A case with several steps has in2.yaml, in3.yaml, … too: objects that are added or replace
// earlier ones; a line "# gone: Secret default/tls" removes one. xds2.yaml, … then have the
// resources that this step changes (those that are sent to an Envoy), and status2.yaml, … the
// changed statuses and the new problems; "{}": none.
//
// CONTOUR_UPDATE_FIXTURES=1 rewrites the expectations; check the difference afterwards.
//
// No key is in the tree: "{{certificate NAME}}" and "{{key NAME}}" in in.yaml and xds.yaml stand
// for a pair that is made when the test runs. "{{other key NAME}}" is a key that belongs to no
// certificate.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "base/status.h"
#include "base/strings.h"
#include "core/pipeline.h"
#include "envoy/names.h"
#include "file/manifest.h"
#include "graph/model/listener.h"
#include "graph/model/status.h"
#include "report/snapshot_text.h"
#include "tests/support/certificates.h"

namespace contour {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string Base64(const std::string& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Replaces placeholders by pairs, and pairs by placeholders.
class Placeholders {
 public:
  std::string Expand(std::string text) {
    const std::regex pattern(R"(\{\{((other key|certificate|key) (\w+))\}\})");
    std::smatch match;
    while (std::regex_search(text, match, pattern)) {
      const std::string whole = match[0];
      const std::string name = match[2] == "other key" ? match[1].str() : match[3].str();
      if (!pairs_.contains(name)) pairs_[name] = testing::MakePair("fixture.example");
      std::string value = match[2] == "certificate" ? pairs_[name].certificate : pairs_[name].key;
      values_[whole] = value;
      ReplaceAll(text, whole, Quote(value));
    }
    return text;
  }

  std::string Hide(std::string text) const {
    for (const auto& [placeholder, value] : values_) ReplaceAll(text, Base64(value), placeholder);
    return text;
  }

 private:
  std::map<std::string, testing::Pair> pairs_;
  std::map<std::string, std::string> values_;
};

core::Pipeline::Options ReadOptions(const fs::path& path) {
  core::Pipeline::Options options;
  if (!fs::exists(path)) return options;
  const YAML::Node node = YAML::LoadFile(path.string());
  for (const auto& entry : node) {
    const auto key = entry.first.as<std::string>();
    if (key == "ingressClass") {
      options.graph.ingress_class = entry.second.as<std::string>();
    } else if (key == "rootNamespaces") {
      options.graph.root_namespaces = entry.second.as<std::vector<std::string>>();
    } else if (key == "disablePermitInsecure") {
      options.graph.disable_permit_insecure = entry.second.as<bool>();
    } else if (key == "externalNameServices") {
      options.graph.external_name_services = entry.second.as<bool>();
    } else if (key == "minimumTLSVersion") {
      const auto version = entry.second.as<std::string>();
      options.graph.minimum_tls_version = version == "1.3"   ? graph::TLSVersion::k1_3
                                          : version == "1.1" ? graph::TLSVersion::k1_1
                                                             : graph::TLSVersion::k1_2;
      options.listeners.minimum_tls_version = options.graph.minimum_tls_version;
    } else if (key == "httpAddress") {
      options.listeners.http_address = entry.second.as<std::string>();
    } else if (key == "httpPort") {
      options.listeners.http_port = entry.second.as<std::uint16_t>();
    } else if (key == "httpAccessLog") {
      options.listeners.http_access_log = entry.second.as<std::string>();
    } else if (key == "httpsAddress") {
      options.listeners.https_address = entry.second.as<std::string>();
    } else if (key == "httpsPort") {
      options.listeners.https_port = entry.second.as<std::uint16_t>();
    } else if (key == "httpsAccessLog") {
      options.listeners.https_access_log = entry.second.as<std::string>();
    } else if (key == "useProxyProtocol") {
      options.listeners.use_proxy_protocol = entry.second.as<bool>();
    } else {
      ADD_FAILURE() << path << ": unknown option " << key;
    }
  }
  return options;
}

std::string StatusText(const core::Pipeline::Output& output) {
  YAML::Node all(YAML::NodeType::Map);
  for (const auto& [ref, status] : output.statuses) {
    YAML::Node shown = all["statuses"][ref.String()];
    if (status) {
      shown["currentStatus"] = std::string(status->Summary().reason.view());
      shown["description"] = status->Summary().message;
      shown["vhost"] = status->entries.front()->vhost;
    } else {
      shown = "gone";
    }
  }
  for (const graph::Problem& problem : output.problems) {
    all["problems"].push_back(problem.object.String() + ": " + problem.text);
  }
  YAML::Emitter text;
  text << all;
  return report::Compact(text.c_str());
}

// The objects of a step, and those that it removes.
absl::StatusOr<std::vector<api::Change>> ReadChanges(const std::string& text) {
  CONTOUR_ASSIGN_OR_RETURN(const auto objects, file::ParseManifest(text, file::Format::kYaml));
  std::vector<api::Change> changes;
  changes.reserve(objects.size());
  for (const api::ObjectPtr& object : objects) changes.push_back({object->Ref(), object});
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    static const std::regex kGone(R"(# gone: (\w+) ([^/ ]+)/([^/ ]+))");
    std::smatch match;
    if (!std::regex_match(line, match, kGone)) continue;
    api::Change gone;
    for (int kind = 0; kind < api::kKindCount; ++kind) {
      if (match[1].str() == api::KindName(static_cast<api::Kind>(kind))) {
        gone.ref = {static_cast<api::Kind>(kind), match[2], match[3]};
      }
    }
    if (gone.ref.name.empty()) return InvalidArgument("{}: no such kind", line);
    changes.push_back(std::move(gone));
  }
  return changes;
}

// Compares a result with its file. A result without content has no file.
void ExpectFile(const fs::path& path, const std::string& got) {
  const char* update = std::getenv("CONTOUR_UPDATE_FIXTURES");
  if (update != nullptr && *update == '1') {
    if (got == "{}\n") {
      fs::remove(path);
    } else {
      std::ofstream(path) << got;
    }
    return;
  }
  const std::string wanted = fs::exists(path) ? ReadFile(path) : "{}\n";
  EXPECT_EQ(wanted, got) << path << " (CONTOUR_UPDATE_FIXTURES=1 rewrites it)";
}

class FixtureTest : public ::testing::Test {
 public:
  explicit FixtureTest(fs::path directory) : directory_(std::move(directory)) {}

  void TestBody() override {
    const report::SnapshotPrinter printer(ReadFile(fs::path(CONTOUR_FIXTURES) / "common.yaml"));
    const core::Pipeline::Options options = ReadOptions(directory_ / "options.yaml");
    Placeholders placeholders;
    core::Pipeline pipeline(options);
    xds::SnapshotPtr before;
    std::map<api::ObjectRef, api::ObjectPtr> objects;
    for (int step = 1;; ++step) {
      const std::string number = step == 1 ? "" : std::to_string(step);
      const fs::path in = directory_ / ("in" + number + ".yaml");
      if (step > 1 && !fs::exists(in)) break;
      const auto changes = ReadChanges(placeholders.Expand(ReadFile(in)));
      ASSERT_TRUE(changes.ok()) << in << ": " << changes.status();
      for (const api::Change& change : *changes) objects[change.ref] = change.object;

      const core::Pipeline::Output output = pipeline.Apply(*changes);
      ExpectFile(directory_ / ("xds" + number + ".yaml"),
                 placeholders.Hide(printer.Text(*output.snapshot, before.get())));
      ExpectFile(directory_ / ("status" + number + ".yaml"), StatusText(output));
      before = output.snapshot;
    }

    // The result doesn't depend on the history or on the order of arrival.
    core::Pipeline fresh(options);
    for (auto object = objects.rbegin(); object != objects.rend(); ++object) {
      if (object->second != nullptr) fresh.Apply({{object->first, object->second}});
    }
    EXPECT_EQ(fresh.Apply({}).snapshot->Version(), before->Version());
    EXPECT_EQ(fresh.engine().Statuses(), pipeline.engine().Statuses());
    EXPECT_TRUE(fresh.engine().Problems() == pipeline.engine().Problems());
    ExpectSharded(options, objects, *before);
    ExpectShardedHTTPS(options, objects, *before);
  }

 private:
  using ResourceType = xds::ResourceType;
  using Hosts = std::map<std::string, std::vector<std::string>>;  // name → clusters
  using Objects = std::map<api::ObjectRef, api::ObjectPtr>;

  static xds::SnapshotPtr Build(core::Pipeline::Options options, envoy::Delivery delivery,
                                const Objects& objects) {
    options.listeners.delivery = delivery;
    core::Pipeline pipeline(options);
    std::vector<api::Change> changes;
    for (const auto& [ref, object] : objects) {
      if (object != nullptr) changes.push_back({ref, object});
    }
    return pipeline.Apply(changes).snapshot;
  }

  static void CollectHosts(const xds::Snapshot& classic, std::string_view table,
                           const std::string& prefix, Hosts& hosts) {
    classic.Find(ResourceType::kRoutes, table)->parts.ForEach([&](const xds::PartPtr& part) {
      hosts[prefix + part->name] = part->clusters;
    });
  }

  static Hosts ScopesOf(const xds::Snapshot& sharded) {
    Hosts scopes;
    sharded.table(ResourceType::kScopedRoutes).ForEach([&](const xds::ResourcePtr& scope) {
      scopes[scope->name] = scope->clusters;
    });
    return scopes;
  }

  // The other delivery modes have the same hosts, clusters and all the rest.
  static void ExpectSharded(const core::Pipeline::Options& options, const Objects& objects,
                            const xds::Snapshot& classic) {
    const xds::SnapshotPtr sharded = Build(options, envoy::Delivery::kSharded, objects);
    Hosts hosts;
    CollectHosts(classic, envoy::kIngressHTTP, "", hosts);
    EXPECT_EQ(ScopesOf(*sharded), hosts);
    EXPECT_EQ(sharded->Find(ResourceType::kRoutes, envoy::kIngressHTTP), nullptr);
    for (const ResourceType type :
         {ResourceType::kCluster, ResourceType::kEndpoints, ResourceType::kSecret}) {
      EXPECT_EQ(sharded->table(type).version(), classic.table(type).version());
    }
    EXPECT_EQ(sharded->table(ResourceType::kListener).size(),
              classic.table(ResourceType::kListener).size());
  }

  static void ExpectShardedHTTPS(const core::Pipeline::Options& options, const Objects& objects,
                                 const xds::Snapshot& classic) {
    const xds::SnapshotPtr sharded = Build(options, envoy::Delivery::kShardedHTTPS, objects);
    Hosts hosts;
    CollectHosts(classic, envoy::kIngressHTTP, "", hosts);
    CollectHosts(classic, envoy::kIngressHTTPS, "https/", hosts);
    EXPECT_EQ(ScopesOf(*sharded), hosts);
    EXPECT_TRUE(sharded->table(ResourceType::kRoutes).empty());
    for (const ResourceType type : {ResourceType::kCluster, ResourceType::kEndpoints}) {
      EXPECT_EQ(sharded->table(type).version(), classic.table(type).version());
    }
    // Each host with a chain in classic delivery has one here, or a secret of its name.
    const auto chains = [](const xds::Snapshot& snapshot) {
      const xds::ResourcePtr listener =
          snapshot.Find(ResourceType::kListener, envoy::kIngressHTTPS);
      return listener == nullptr ? xds::Parts() : listener->parts;
    };
    std::size_t shared = 0;
    chains(classic).ForEach([&](const xds::PartPtr& chain) {
      if (chains(*sharded).Contains(chain->name)) return;
      ++shared;
      EXPECT_NE(sharded->Find(ResourceType::kSecret, envoy::OnDemandSecretName(chain->name)),
                nullptr)
          << chain->name;
    });
    EXPECT_EQ(chains(*sharded).Contains(envoy::kSharedFilterChain), shared > 0);
    EXPECT_EQ(chains(*sharded).size() + shared, chains(classic).size() + (shared > 0 ? 1 : 0));
  }

  fs::path directory_;
};

void RegisterFixtures(const fs::path& root) {
  std::vector<fs::path> directories;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().filename() == "in.yaml") directories.push_back(entry.path().parent_path());
  }
  std::sort(directories.begin(), directories.end());
  for (const fs::path& directory : directories) {
    const fs::path relative = directory.lexically_relative(root);
    // ctest runs each case by a filter of GoogleTest, which excludes names after a `-`.
    std::string name = relative.filename();
    std::replace(name.begin(), name.end(), '-', '_');
    ::testing::RegisterTest(
        relative.parent_path().c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
        [directory]() -> ::testing::Test* { return new FixtureTest(directory); });
  }
}

}  // namespace
}  // namespace contour

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  contour::RegisterFixtures(CONTOUR_FIXTURES);
  const int code = RUN_ALL_TESTS();
  const bool none = ::testing::UnitTest::GetInstance()->test_to_run_count() == 0;
  if (none) std::fprintf(stderr, "no fixture has this name\n");
  return none ? 1 : code;
}
