// SPDX-License-Identifier: Apache-2.0

#include "config/file_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "config/file.h"

namespace contour::config {

FileWatch::FileWatch(std::string path, std::string text, Changed changed,
                     std::chrono::milliseconds interval)
    : path_(std::move(path)),
      changed_(std::move(changed)),
      interval_(interval),
      text_(std::move(text)) {
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  std::string folder = std::filesystem::path(path_).parent_path().string();
  if (folder.empty()) folder = ".";
  if (inotify_ >= 0) {
    inotify_add_watch(inotify_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
  }
  stop_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Run(); });
}

FileWatch::~FileWatch() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
  if (inotify_ >= 0) close(inotify_);
}

void FileWatch::Run() {
  while (true) {
    std::array<pollfd, 2> waits = {
        {{.fd = stop_, .events = POLLIN, .revents = 0},
         {.fd = inotify_, .events = POLLIN, .revents = 0}}};  // poll passes over -1
    const int ready = poll(waits.data(), waits.size(), static_cast<int>(interval_.count()));
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0) {
      alignas(inotify_event) std::array<char, 4096> events;
      while (read(inotify_, events.data(), events.size()) > 0) {
      }
    }
    // A file that is removed and written again is no failure.
    Look(ready == 0);
  }
}

void FileWatch::Look(bool report_failure) {
  const absl::StatusOr<std::string> now = ReadText(path_);
  if (!now.ok()) {
    if (!report_failure || failing_) return;
    failing_ = true;
    changed_(now);
    return;
  }
  if (*now == text_ && !failing_) return;
  failing_ = false;
  text_ = *now;
  changed_(now);
}

}  // namespace contour::config
