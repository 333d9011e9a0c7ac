// SPDX-License-Identifier: Apache-2.0

#include "config/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "base/strings.h"
#include "config/file.h"
#include "config/serve.h"

namespace contour::config {
namespace {

using ::testing::HasSubstr;

// `data["contour.yaml"]`, line by line.
std::vector<std::string> ExampleFile() {
  const LoadedServe defaults;
  std::vector<std::string> lines;
  bool inside = false;
  const std::string text = ExampleConfigMap(defaults.settings());
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = text.find('\n', start);
    const std::string line = text.substr(start, end - start);
    start = end + 1;
    EXPECT_LE(line.size(), 100u) << line;
    if (inside) lines.push_back(line.substr(4));
    if (line == "  contour.yaml: |") inside = true;
  }
  return lines;
}

absl::Status Load(const std::vector<std::string>& lines, LoadedServe& into, FileValues* values) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  CONTOUR_ASSIGN_OR_RETURN(*values, ParseFile("example", text, into.settings()));
  return absl::OkStatus();
}

TEST(ExampleConfigMap, LoadsAsItIsAndSetsNothing) {
  LoadedServe loaded;
  FileValues values;
  const absl::Status status = Load(ExampleFile(), loaded, &values);
  ASSERT_TRUE(status.ok()) << Message(status);
  EXPECT_TRUE(values.empty());
}

TEST(ExampleConfigMap, EachKeyUncommentedIsItsDefault) {
  const std::vector<std::string> lines = ExampleFile();
  std::vector<std::string> seen;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t mark = lines[i].find("# ");
    // A setting is `# key: value`; all else is text.
    const std::size_t colon = lines[i].find(": ");
    if (mark == std::string::npos || colon == std::string::npos) continue;
    if (lines[i].substr(mark + 2, colon - mark - 2).find(' ') != std::string::npos) continue;
    std::vector<std::string> changed = lines;
    changed[i].erase(mark, 2);
    LoadedServe loaded;
    FileValues values;
    const absl::Status status = Load(changed, loaded, &values);
    ASSERT_TRUE(status.ok()) << Message(status);
    ASSERT_EQ(values.size(), 1u) << lines[i];
    EXPECT_EQ(values[0].text, loaded.settings().FindKey(values[0].key)->default_value) << lines[i];
    seen.push_back(values[0].key);
  }
  std::vector<std::string> keys;
  const LoadedServe defaults;
  for (const Setting& setting : defaults.settings().all()) {
    if (!setting.declaration.keys.empty()) keys.emplace_back(setting.declaration.keys.front());
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAreArray(keys));
}

TEST(InForce, NameValueAndPlace) {
  struct {
    std::uint16_t port = 1;
    std::string name;
  } v;
  Settings s;
  s.Add(v.port, {.flag = "port", .keys = {"port"}});
  s.Add(v.name, {.keys = {"name"}, .environment = "NAME"});
  FileValues file = {{"port", "2", "c.yaml: line 3, column 1"}};
  ASSERT_TRUE(s.Resolve({.file = &file}).ok());
  EXPECT_EQ(InForce(s),
            "--port  2    c.yaml: line 3, column 1\n"
            "name    \"\"   default\n");
}

TEST(Reference, NamesEverySetting) {
  const LoadedServe defaults;
  const std::string text = Reference(defaults.settings());
  for (const Setting& setting : defaults.settings().all()) {
    EXPECT_THAT(text, HasSubstr("`" + setting.Name() + "`"));
    EXPECT_THAT(text, HasSubstr(setting.declaration.text));
  }
  EXPECT_THAT(text, HasSubstr("| `--incluster`, `--no-incluster` | `incluster` |"));
}

}  // namespace
}  // namespace contour::config
