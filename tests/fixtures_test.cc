// SPDX-License-Identifier: Apache-2.0
// Fixtures: tests/fixtures/<feature>/<case>/ holds
//   in.yaml       the objects, as in a manifest folder
//   options.yaml  of the graph, where they aren't the defaults (see ReadOptions)
//   xds.yaml      the resources that must come out
//   status.yaml   the statuses, and the problems of objects that have no status
//
// CONTOUR_UPDATE_FIXTURES=1 rewrites the expectations; whoever does that reads the difference.
//
// No key lies in the tree: "{{certificate NAME}}" and "{{key NAME}}" in in.yaml stand for a pair
// that is made when the test runs, and stand in xds.yaml for the same. "{{other key NAME}}" is one
// that belongs to no certificate.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "base/status.h"
#include "base/strings.h"
#include "core/pipeline.h"
#include "file/manifest.h"
#include "tests/support/certificates.h"
#include "tests/support/snapshot_text.h"

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

// Puts pairs in place of placeholders and back.
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
    } else if (key == "useProxyProtocol") {
      options.listeners.use_proxy_protocol = entry.second.as<bool>();
    } else {
      ADD_FAILURE() << path << ": unknown option " << key;
    }
  }
  return options;
}

std::string StatusText(const core::Pipeline::Output& output) {
  YAML::Emitter text;
  text << YAML::BeginMap;
  if (!output.statuses.empty()) {
    text << YAML::Key << "statuses" << YAML::Value << YAML::BeginMap;
    for (const auto& [ref, status] : output.statuses) {
      text << YAML::Key << ref.String() << YAML::Value << YAML::BeginMap;
      text << YAML::Key << "currentStatus" << YAML::Value << status->current_status;
      text << YAML::Key << "description" << YAML::Value << status->description;
      text << YAML::Key << "vhost" << YAML::Value << status->vhost << YAML::EndMap;
    }
    text << YAML::EndMap;
  }
  if (!output.problems.empty()) {
    text << YAML::Key << "problems" << YAML::Value << YAML::BeginSeq;
    for (const graph::Problem& problem : output.problems)
      text << problem.object.String() + ": " + problem.text;
    text << YAML::EndSeq;
  }
  text << YAML::EndMap;
  return std::string(text.c_str()) + "\n";
}

void ExpectFile(const fs::path& path, const std::string& got) {
  const char* update = std::getenv("CONTOUR_UPDATE_FIXTURES");
  if (update != nullptr && *update == '1') {
    std::ofstream(path) << got;
    return;
  }
  ASSERT_TRUE(fs::exists(path)) << path << " is missing: CONTOUR_UPDATE_FIXTURES=1 writes it";
  EXPECT_EQ(ReadFile(path), got) << path;
}

class FixtureTest : public ::testing::Test {
 public:
  explicit FixtureTest(fs::path directory) : directory_(std::move(directory)) {}

  void TestBody() override {
    Placeholders placeholders;
    const std::string text = placeholders.Expand(ReadFile(directory_ / "in.yaml"));
    const auto objects = file::ParseManifest(text, file::Format::kYaml);
    ASSERT_TRUE(objects.ok()) << objects.status();
    std::vector<api::Change> changes;
    for (const api::ObjectPtr& object : *objects) changes.push_back({object->Ref(), object});

    const core::Pipeline::Options options = ReadOptions(directory_ / "options.yaml");
    core::Pipeline pipeline(options);
    const core::Pipeline::Output output = pipeline.Apply(changes);
    ExpectFile(directory_ / "xds.yaml", placeholders.Hide(testing::SnapshotText(*output.snapshot)));
    ExpectFile(directory_ / "status.yaml", StatusText(output));

    // The order of arrival must not show.
    core::Pipeline backwards(options);
    for (auto change = changes.rbegin(); change != changes.rend(); ++change)
      backwards.Apply({*change});
    EXPECT_EQ(backwards.Apply({}).snapshot->Version().Hex(), output.snapshot->Version().Hex());
    EXPECT_EQ(backwards.engine().Statuses(), pipeline.engine().Statuses());
  }

 private:
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
    ::testing::RegisterTest(
        relative.parent_path().c_str(), relative.filename().c_str(), nullptr, nullptr, __FILE__,
        __LINE__, [directory]() -> ::testing::Test* { return new FixtureTest(directory); });
  }
}

}  // namespace
}  // namespace contour

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  contour::RegisterFixtures(CONTOUR_FIXTURES);
  return RUN_ALL_TESTS();
}
