// SPDX-License-Identifier: Apache-2.0
// News of one small file, by inotify on its folder, and by looking at it now and then.
//
//   FileWatch watch(path, text, [&](const absl::StatusOr<std::string>& now) { … });
//
// A file that is written in place is read when the writer closes it. A file that is moved there and
// the `..data` link of a mounted ConfigMap, which Kubernetes swaps, are noticed at once. What
// inotify can't tell (a link to elsewhere, a folder that is made anew) is seen after `interval`.

#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace contour::config {

class FileWatch {
 public:
  // The new text; or why the file can't be read, once until it can be read again. On the watch's
  // thread.
  using Changed = std::function<void(const absl::StatusOr<std::string>& now)>;

  // `text`: what is known of the file; only other texts are news.
  FileWatch(std::string path, std::string text, Changed changed,
            std::chrono::milliseconds interval = std::chrono::seconds(10));
  ~FileWatch();  // waits for a call that is under way
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
  int inotify_ = -1;  // -1: only the interval
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace contour::config
