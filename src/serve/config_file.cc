// SPDX-License-Identifier: Apache-2.0
#include "serve/config_file.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace contour::serve {
namespace {

constexpr std::string_view kContext = "config";

// Returns the settings that can be applied while the process runs, according to their declarations.
void Apply(const config::Serve& config) {
  log::SetLevel(config.debug ? log::Level::kDebug : log::Level::kInfo);
}

std::vector<const config::Setting*> WaitingForRestart(const config::LoadedServe& started,
                                                      const config::LoadedServe& latest) {
  std::vector<const config::Setting*> waiting =
      config::Differences(started.settings(), latest.settings());
  std::erase_if(waiting, [](const config::Setting* s) { return s->declaration.at_once; });
  return waiting;
}

}  // namespace

ConfigFile::ConfigFile(std::shared_ptr<const config::LoadedServe> started, config::GivenFlags flags)
    : started_(std::move(started)), flags_(std::move(flags)), latest_(started_) {
  const std::string& path = started_->serve().config_path;
  if (path.empty()) return;
  watch_ = std::make_unique<config::FileWatch>(
      path, started_->file_text(),
      [this](const absl::StatusOr<std::string>& text) { Changed(text); });
}

void ConfigFile::Changed(const absl::StatusOr<std::string>& text) {
  using Loaded = absl::StatusOr<std::shared_ptr<const config::LoadedServe>>;
  const Loaded now = text.ok() ? Loaded(config::LoadServe(flags_, config::ProcessEnvironment()))
                               : Loaded(text.status());
  const MutexLock lock(mutex_);
  wrong_ = !now.ok();
  if (wrong_) {
    log::Error(kContext, "the configuration file can't be used, what is in force stays",
               {{"error", Message(now.status())}});
    return;
  }
  const auto changes = config::Differences(latest_->settings(), (*now)->settings());
  latest_ = *now;
  const auto waiting = WaitingForRestart(*started_, *latest_);
  bool apply = false;
  for (const config::Setting* setting : changes) {
    if (setting->declaration.at_once) {
      apply = true;
      log::Info(kContext, "a changed setting is in force",
                {{"setting", setting->Name()}, {"value", setting->show()}});
    } else if (std::find(waiting.begin(), waiting.end(), setting) != waiting.end()) {
      log::Warning(kContext, "a changed setting needs a restart",
                   {{"setting", setting->Name()}, {"value", setting->show()}});
    } else {
      log::Info(kContext, "a setting is again as the process was started with",
                {{"setting", setting->Name()}, {"value", setting->show()}});
    }
  }
  if (changes.empty()) log::Info(kContext, "the configuration file has changed, no setting has");
  if (apply) Apply(latest_->serve());
}

void ConfigFile::AddTo(admin::MetricsText& text) const {
  const MutexLock lock(mutex_);
  text.Set("contour_config_file_wrong", wrong_);
  text.Set("contour_config_waiting_for_restart", WaitingForRestart(*started_, *latest_).size());
}

}  // namespace contour::serve
