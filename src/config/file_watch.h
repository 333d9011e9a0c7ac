// SPDX-License-Identifier: Apache-2.0
// Watches one small file, by inotify on its folder, and by reading it at intervals.
//
// Example, given `const std::string& path` and `const std::string& text`:
//   FileWatch watch(path, text, [](const absl::StatusOr<std::string>& now) {});
//
// A file that is written in place is read when the writer closes it. A file that is moved there is
// noticed at once, and so is the `..data` link of a mounted ConfigMap, which Kubernetes replaces.
// Changes that inotify doesn't report (a link into another folder, a folder that is made again) are
// seen after `interval`.

#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace contour::config {

class FileWatch {
 public:
  // Called on the watch's thread with the new text, or with the reason why the file can't be read.
  // A reason is reported once, until the file can be read again.
  using Changed = std::function<void(const absl::StatusOr<std::string>& now)>;

  // `text` is the text of the file that the caller knows. Only another text is reported.
  FileWatch(std::string path, std::string text, Changed changed,
            std::chrono::milliseconds interval = std::chrono::seconds(10));
  ~FileWatch();  // waits for a call of `changed` that is under way
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  void Run();
  void Look(bool report_failure);

  const std::string path_;
  const Changed changed_;
  const std::chrono::milliseconds interval_;
  std::string text_;
  bool failing_ = false;
  int inotify_ = -1;  // -1: the file is only read at intervals
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace contour::config
