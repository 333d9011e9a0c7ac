// SPDX-License-Identifier: Apache-2.0

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/read_file.h"
#include "base/status.h"
#include "base/strings.h"
#include "cmd/command.h"
#include "cmd/harden.h"
#include "cmd/man.h"
#include "config/flags.h"

namespace contour::cmd {
namespace {

struct Row {
  const char* name;
  const char* text;
  Command declare;
};

constexpr Row kCommands[] = {
    {"serve", "watch Kubernetes objects and serve Envoys over xDS", Serve},
    {"bootstrap", "write the bootstrap file of an Envoy that is served by contour", Bootstrap},
    {"certgen", "make the certificates of contour and its Envoys", Certgen},
    {"config", "print the settings of serve that are in force, and where each comes from", Config},
    {"envoy", "take an Envoy out of service before its pod ends", Envoy},
    {"cli", "print what an xDS server sends", Cli},
    {"version", "print the version", Version},
};

// Returns the arguments for CLI11. `@file` stands for the lines of the file, each an argument;
// empty lines and those that begin with # are skipped. `--x=` has an empty value, for which CLI11
// would take the next argument.
absl::StatusOr<std::vector<std::string>> Arguments(const CLI::App& app, int argc, char** argv) {
  CONTOUR_RETURN_IF_ERROR(config::CheckArguments(app, {argv + 1, argv + argc}));
  std::vector<std::string> arguments;
  bool only_names = false;  // behind `--`
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    only_names = only_names || argument == "--";
    if (only_names || argument.size() < 2) {
      arguments.push_back(argument);
    } else if (argument.front() == '@') {
      const absl::StatusOr<std::string> text = ReadFile(argument.substr(1));
      if (!text.ok()) return NotFound("{}: can't be read", argument.substr(1));
      std::istringstream lines(*text);
      for (std::string line; std::getline(lines, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!line.empty() && line.front() != '#') arguments.push_back(line);
      }
    } else if (argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
      arguments.push_back(argument.substr(0, argument.size() - 1));
      arguments.emplace_back();
    } else {
      arguments.push_back(argument);
    }
  }
  return arguments;
}

// Returns the command that was chosen last: contour, `cli`, `cli rds`.
const CLI::App& Innermost(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? app : Innermost(*chosen.back());
}

// Texts of Contour 0.15, on which scripts may depend.
std::string ErrorText(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = Innermost(app);
  const bool has_commands =
      !command.get_subcommands([](const CLI::App* candidate) { return candidate != nullptr; })
           .empty();
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty() && (missing || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr)) {
    const std::string& extra = extras.front();
    if (extra.starts_with("--")) {
      return fmt::format("unknown long flag '{}'", extra.substr(0, extra.find('=')));
    }
    if (extra.starts_with('-') && extra.size() > 1) {
      return fmt::format("unknown short flag '{}'", extra.substr(0, 2));
    }
    if (has_commands) return fmt::format("expected command but got {}", Quote(extra));
    return fmt::format("unexpected {}", extra);
  }
  if (missing) {
    if (has_commands) return fmt::format("must select a subcommand of '{}'", command.get_name());
    for (const CLI::Option* option : command.get_options()) {
      if (!option->get_required() || option->count() > 0) continue;
      if (option->get_positional()) {
        return fmt::format("required argument '{}' not provided", option->get_name(true));
      }
      return fmt::format("required flag {} not provided", option->get_name());
    }
  }
  const std::string_view text = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && text.starts_with("--")) {
    return fmt::format("expected argument for flag '{}'", text.substr(0, text.find(':')));
  }
  return std::string(text);
}

// CLI11 shows a negation as `--no-x{false}`.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    constexpr std::string_view kNegation = "{false}";
    std::string name = CLI::Formatter::make_option_name(option, positional);
    const std::size_t start = name.find(kNegation);
    if (start != std::string::npos) name.erase(start, kNegation.size());
    return name;
  }
};

int Main(int argc, char** argv) {
  CLI::App app("Contour: the control plane of Envoy for Kubernetes ingress", "contour");
  app.formatter(std::make_shared<HelpFormatter>());  // before the commands, which take it over
  app.require_subcommand(0, 1);
  app.set_help_all_flag("--help-long", "print the help of all commands and exit");
  bool man = false;
  app.add_flag("--help-man", man, "print the man page and exit");
  std::function<int()> chosen;
  for (const Row& row : kCommands) {
    CLI::App* command = app.add_subcommand(row.name, row.text);
    std::function<int()> run = row.declare(*command);
    command->callback([&chosen, run] { chosen = run; });
  }
  std::string topic;
  CLI::App* help = app.add_subcommand("help", "print the help of a command");
  help->add_option("command", topic, "name of the command");
  help->callback([&] {
    chosen = [&] {
      const CLI::App* about = topic.empty() ? &app : nullptr;
      for (const Row& row : kCommands) {
        if (topic == row.name) about = app.get_subcommand(topic);
      }
      if (about == nullptr) {
        fmt::print(stderr, "contour: error: expected command but got {}, try --help\n",
                   Quote(topic));
        return 1;
      }
      fmt::print("{}", topic.empty() ? about->help() : about->help(app.get_name()));
      return 0;
    };
  });
  absl::StatusOr<std::vector<std::string>> arguments = Arguments(app, argc, argv);
  if (!arguments.ok()) {
    fmt::print(stderr, "contour: error: {}, try --help\n", Message(arguments.status()));
    return 1;
  }
  std::reverse(arguments->begin(), arguments->end());  // as CLI11 wants them
  try {
    app.parse(*arguments);
  } catch (const CLI::CallForHelp& help_wanted) {
    return app.exit(help_wanted);
  } catch (const CLI::CallForAllHelp& help_wanted) {
    return app.exit(help_wanted);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "contour: error: {}, try --help\n", ErrorText(app, error));
    return 1;
  }
  if (man) {
    fmt::print("{}", ManPage(app));
    return 0;
  }
  if (!chosen) {
    fmt::print(stderr, "{}", app.help());
    return 0;
  }
  return chosen();
}

}  // namespace
}  // namespace contour::cmd

int main(int argc, char** argv) {
  contour::cmd::Harden();
  contour::ShareArenas();
  return contour::cmd::Main(argc, argv);
}
