// SPDX-License-Identifier: Apache-2.0
// Declares each setting of a command once. The declaration gives its flag, its key in the
// configuration file, its environment variable, and its line in --help, in the reference, in the
// man page and in the example file.
//
// Example, given `const FileValues& file` and `const GivenFlags& given`:
//   std::uint16_t port = 8001;
//   Settings settings;
//   settings.Group("xDS");
//   settings.Add(port, {.flag = "xds-port", .value = "PORT", .text = "port of the server"});
//   CONTOUR_RETURN_IF_ERROR(settings.Resolve(
//       {.file = &file, .environment = ProcessEnvironment(), .flags = &given}));
//
// A flag wins over the environment, the environment over the file, and the file over the default.
// The default is the value of the variable when it was added. Variables must outlive the settings.
// For one thread.

#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/strings.h"

namespace contour::config {

enum class Kind : std::uint8_t { kBool, kNumber, kText, kList, kDuration, kChoice };

struct Declaration {
  const char* flag = nullptr;         // without dashes; nullptr: no flag
  const char* short_flag = nullptr;   // one letter
  std::vector<const char*> keys;      // in the file, "tls.x"; synonyms, of which the first is shown
  const char* environment = nullptr;  // a variable that is empty counts as not set
  const char* value = nullptr;        // stands for the value in --help: "PORT"
  const char* text = "";              // one sentence without the full stop
  bool at_once = false;               // a change in the file needs no restart
  bool zero_is_default = false;       // "" and 0 mean the default
  std::optional<std::int64_t> minimum;  // of a number; nullopt: the minimum of its type
  std::optional<std::int64_t> maximum;
};

enum class Source : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

struct Setting {
  Declaration declaration;
  const char* group = "";
  Kind kind = Kind::kText;
  std::string expected;                         // "a number from 1 to 65535"
  std::function<bool(std::string_view)> parse;  // returns false and changes nothing on other text
  std::function<std::string()> show;            // returns the value now, in the form of parse
  std::string default_value;                    // as shown
  Source source = Source::kDefault;
  std::string place;  // kFile: "contour.yaml, line 3"

  // Returns "--xds-port", or the key or environment variable of a setting without flag.
  std::string Name() const;
};

// A value from the configuration file.
struct FileValue {
  std::string key;
  std::string text;
  std::string place;
};
// Ends each item in the text of a value that was written as a list. An item may then have commas.
inline constexpr char kItemEnd = '\n';
// The values of a configuration file. ParseFile of file.h makes them.
using FileValues = std::vector<FileValue>;

// Returns the value of an environment variable, nullopt if it isn't set.
using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment ProcessEnvironment();

// The flags that were given, by name without dashes. Lists that are given twice are joined by a
// comma.
using GivenFlags = StringMap<std::string>;

struct Inputs {
  const FileValues* file = nullptr;  // nullptr: none
  Environment environment;           // unset: none
  const GivenFlags* flags = nullptr;
};

template <typename Value>
using Choices = std::vector<std::pair<const char*, Value>>;

class Settings {
 public:
  // Sets the title under which the following settings are listed.
  void Group(const char* title) { group_ = title; }

  void Add(bool& target, Declaration declaration);
  void Add(std::string& target, Declaration declaration);
  void Add(std::vector<std::string>& target, Declaration declaration);
  // Adds a duration in the form of Go, "1m30s". It can't be negative.
  void Add(std::chrono::milliseconds& target, Declaration declaration);
  template <std::integral Number>
  void Add(Number& target, Declaration declaration) {
    using Limits = std::numeric_limits<Number>;
    AddNumber([&target](std::int64_t number) { target = static_cast<Number>(number); },
              [&target] { return static_cast<std::int64_t>(target); },
              static_cast<std::int64_t>(Limits::min()),
              sizeof(Number) < 8 ? static_cast<std::int64_t>(Limits::max()) : INT64_MAX,
              std::move(declaration));
  }
  // Adds a setting whose value is one of a few names.
  template <typename Value>
  void Add(Value& target, const Choices<Value>& choices, Declaration declaration) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.emplace_back(choice.first);
    AddChoice(
        names, [&target, choices](std::size_t index) { target = choices[index].second; },
        [&target, choices] {
          std::size_t index = 0;
          while (index + 1 < choices.size() && choices[index].second != target) ++index;
          return index;
        },
        std::move(declaration));
  }

  // Sets all variables. Errors begin with the place (file and line, variable or flag), name the
  // setting and say what was expected.
  absl::Status Resolve(const Inputs& inputs);

  const std::vector<Setting>& all() const { return settings_; }
  const Setting* FindKey(std::string_view key) const;

 private:
  void AddNumber(const std::function<void(std::int64_t)>& set,
                 const std::function<std::int64_t()>& get, std::int64_t minimum,
                 std::int64_t maximum, Declaration declaration);
  void AddChoice(const std::vector<std::string>& names, const std::function<void(std::size_t)>& set,
                 const std::function<std::size_t()>& get, Declaration declaration);
  void Add(Kind kind, std::string expected, std::function<bool(std::string_view)> parse,
           std::function<std::string()> show, Declaration declaration);

  std::vector<Setting> settings_;
  const char* group_ = "";
};

// Returns the settings of `after` whose values differ from `before`. Both must have the same
// declarations.
std::vector<const Setting*> Differences(const Settings& before, const Settings& after);

}  // namespace contour::config
