// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a configuration file (up to the first zero byte) and as flags of
// `contour serve` (the rest, cut at zero bytes). Accepted input means the same when it is read
// again and when it is written in the form in which it is shown. The error for refused input is one
// line that names a place.

#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/file.h"
#include "config/flags.h"
#include "config/report.h"
#include "config/serve.h"

namespace {

using contour::config::GivenFlags;
using contour::config::LoadedServe;

void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

// Makes a file in memory with this text.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("config", MFD_CLOEXEC)) {
    Require(descriptor_ >= 0, "memfd_create");
  }

  const std::string& Write(std::string_view text) {
    Require(ftruncate(descriptor_, 0) == 0, "ftruncate");
    Require(pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
            "pwrite");
    return path_;
  }

 private:
  int descriptor_;
  std::string path_ = "/proc/self/fd/" + std::to_string(descriptor_);
};

// Returns nullopt if the command line is refused.
std::shared_ptr<GivenFlags> Flags(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const std::size_t cut = std::min(text.find('\0'), text.size());
    arguments.emplace_back(text.substr(0, cut));
    text.remove_prefix(std::min(cut + 1, text.size()));
  }
  static const LoadedServe declared;
  const auto given = std::make_shared<GivenFlags>();
  CLI::App app;
  contour::config::AddFlags(declared.settings(), app, given);
  if (!contour::config::CheckArguments(app, arguments).ok()) return nullptr;
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError&) {
    return nullptr;
  }
  return given;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = std::min(input.find('\0'), input.size());
  static MemoryFile file;
  const std::shared_ptr<GivenFlags> flags = Flags(input.substr(std::min(cut + 1, input.size())));
  if (flags == nullptr) return 0;
  const std::string& path = file.Write(input.substr(0, cut));
  (*flags)["config-path"] = path;

  const auto loaded = contour::config::LoadServe(*flags, {});
  if (!loaded.ok()) {
    const std::string message(contour::Message(loaded.status()));
    Require(message.starts_with(path) || message.starts_with("--") ||
                message.starts_with("leaderelection."),
            "no place: " + message);
    Require(std::none_of(message.begin(), message.end(),
                         [](unsigned char c) { return c < ' ' || c == 0x7f; }),
            "not one line: " + message);
    return 0;
  }
  const auto again = contour::config::LoadServe(*flags, {});
  Require(again.ok() &&
              contour::config::Differences((*loaded)->settings(), (*again)->settings()).empty(),
          "read twice, it means two things");
  for (const contour::config::Setting& setting : (*again)->settings().all()) {
    if (setting.kind == contour::config::Kind::kList) continue;  // an item may have a comma
    const std::string shown = setting.show();
    Require(setting.parse(shown) && setting.show() == shown, setting.Name());
  }
  Require(!contour::config::InForce((*again)->settings()).empty(), "nothing is in force");
  return 0;
}
