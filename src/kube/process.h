// SPDX-License-Identifier: Apache-2.0
// Runs a program to its end and collects its output. It blocks, so it must not be called on a
// loop's thread.

#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace contour::kube {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0]: a path, or a name to be found in PATH
  std::vector<std::pair<std::string, std::string>>
      env;  // set besides (or in place of) those of our own environment
  std::chrono::milliseconds timeout{60'000};
  std::size_t max_output = 1024 * 1024;  // bytes of standard output
};

struct ProcessResult {
  int exit_code = 0;  // 128 + signal if a signal ended it
  std::string out;
  std::string err;  // the first 2 KiB
};

// Runs the program with an empty standard input. If `timeout` is over, `stop` is requested or the
// output is too long, the program and its children (its process group) are killed. Errors:
// kNotFound if there is no such program, kDeadlineExceeded, kCancelled, kResourceExhausted,
// kInternal.
absl::StatusOr<ProcessResult> RunProcess(const ProcessSpec& spec, const std::stop_token& stop);

}  // namespace contour::kube
