// SPDX-License-Identifier: Apache-2.0

#include "config/flags.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "config/serve.h"

namespace contour::config {
namespace {

// Found by config_file_fuzz: std::invalid_argument from the depth of CLI11 ended the process.
TEST(Flags, ANegationWithAValueIsRefused) {
  EXPECT_EQ(Message(CheckArguments({"serve", "--debug", "--no-insecure=ggg"})),
            "--no-insecure takes no value");
  EXPECT_FALSE(CheckArguments({"--no-debug="}).ok());
  EXPECT_TRUE(
      CheckArguments({"--no-debug", "--http-address=--no-x=1", "-d", "--", "--no-x=1"}).ok());
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
