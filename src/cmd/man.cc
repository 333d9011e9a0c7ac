// SPDX-License-Identifier: Apache-2.0

#include "cmd/man.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string_view>
#include <vector>

#include "cmd/version.h"
#include "config/serve.h"

namespace contour::cmd {
namespace {

// Escapes text so that roff sees no commands in it.
std::string Roff(std::string_view text) {
  std::string roff;
  if (text.starts_with('.') || text.starts_with('\'')) roff += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      roff += "\\e";
    } else if (c == '-') {
      roff += "\\-";
    } else {
      roff += c;
    }
  }
  return roff;
}

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

void AddOptions(const CLI::App& app, std::string* page) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() && option->get_lnames().empty()) {
      *page += fmt::format(".TP\n\\fI{}\\fR\n{}\n", Roff(option->get_name(true)),
                           Roff(option->get_description()));
      continue;
    }
    std::vector<std::string> names;
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    const bool has_value = option->get_type_size() != 0;
    *page +=
        fmt::format(".TP\n\\fB{}\\fR{}\n{}.\n", Roff(fmt::format("{}", fmt::join(names, ", "))),
                    has_value ? fmt::format(" \\fI{}\\fR", Roff(option->get_type_name())) : "",
                    Roff(option->get_description()));
    if (has_value && !option->get_default_str().empty()) {
      *page += fmt::format("Default: {}.\n", Roff(option->get_default_str()));
    }
  }
}

void AddCommand(const CLI::App& app, const std::string& name, std::string* page) {
  *page += fmt::format(".SS {}\n{}.\n", Roff(name), Roff(app.get_description()));
  AddOptions(app, page);
  for (const CLI::App* command : CommandsOf(app)) {
    AddCommand(*command, name + " " + command->get_name(), page);
  }
}

void AddFile(std::string* page) {
  *page +=
      ".SH CONFIGURATION FILE\n"
      "YAML or JSON, named by \\fB\\-\\-config\\-path\\fR of \\fBserve\\fR. Flags win over\n"
      "environment variables, these over the file, that over defaults. Unknown keys and wrong\n"
      "values stop the start.\n";
  const config::LoadedServe defaults;
  for (const config::Setting& setting : defaults.settings().all()) {
    const config::Declaration& declaration = setting.declaration;
    if (declaration.keys.empty()) continue;
    *page += fmt::format(".TP\n\\fB{}\\fR\n{}; {}.\n",
                         Roff(fmt::format("{}", fmt::join(declaration.keys, ", "))),
                         Roff(declaration.text), Roff(setting.expected));
    if (!setting.default_value.empty()) {
      *page += fmt::format("Default: {}.\n", Roff(setting.default_value));
    }
    if (declaration.at_once) *page += "A change needs no restart.\n";
  }
}

}  // namespace

std::string ManPage(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH CONTOUR 1 \"\" \"contour {}\" \"\"\n"
      ".SH NAME\ncontour \\- the control plane of Envoy for Kubernetes ingress\n"
      ".SH SYNOPSIS\n\\fBcontour\\fR \\fICOMMAND\\fR [\\fIFLAG\\fR...]\n"
      ".SH DESCRIPTION\n"
      "Reads Ingresses, IngressRoutes, Services, endpoints and Secrets of a Kubernetes cluster, "
      "or\n"
      "from files, and serves a fleet of Envoys over xDS.\n"
      "An argument \\fI@file\\fR stands for the lines of the file. Each flag without a value has "
      "a\n"
      "negation, \\fB\\-\\-no\\-\\fIflag\\fR.\n",
      Roff(ProgramVersion()));
  page += ".SH FLAGS\n";
  AddOptions(app, &page);
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : CommandsOf(app)) AddCommand(*command, command->get_name(), &page);
  AddFile(&page);
  page +=
      ".SH EXIT STATUS\n0 after a clean end, also by SIGTERM and SIGINT; 1 with a message on\n"
      "standard error otherwise.\n";
  return page;
}

}  // namespace contour::cmd
