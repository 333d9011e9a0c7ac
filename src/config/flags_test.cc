// SPDX-License-Identifier: Apache-2.0

#include "config/flags.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "config/serve.h"

namespace contour::config {
namespace {

// Both were found by config_file_fuzz: std::invalid_argument from within CLI11 ended the process.
TEST(Flags, ValuesThatAFlagCannotHaveAreRefused) {
  const LoadedServe declared;
  CLI::App app;
  CLI::App* const command = app.add_subcommand("serve");
  AddFlags(declared.settings(), *command, std::make_shared<GivenFlags>());
  EXPECT_EQ(Message(CheckArguments(app, {"serve", "--debug", "--no-insecure=ggg"})),
            "--no-insecure takes no value");
  EXPECT_FALSE(CheckArguments(app, {"--no-debug="}).ok());
  EXPECT_EQ(Message(CheckArguments(app, {"serve", "--insecure=s-port"})),
            "--insecure: expected true or false, got \"s-port\"");
  EXPECT_FALSE(CheckArguments(app, {"--debug=99999999999999999999"}).ok());
  EXPECT_TRUE(CheckArguments(app, {"--no-debug", "--http-address=--no-x=1", "--debug=false", "-d",
                                   "--unknown=x", "--", "--no-x=1"})
                  .ok());
}

TEST(Flags, AreGivenByName) {
  const LoadedServe declared;
  const auto given = std::make_shared<GivenFlags>();
  CLI::App app;
  AddFlags(declared.settings(), app, given);
  app.parse("-d --no-insecure --xds-port 1 --xds-port=2 --watch-namespaces=a --watch-namespaces b");
  EXPECT_EQ(*given, (GivenFlags{{"debug", "true"},
                                {"insecure", "false"},
                                {"xds-port", "2"},
                                {"watch-namespaces", "a,b"}}));
}

}  // namespace
}  // namespace contour::config
