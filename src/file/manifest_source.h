// SPDX-License-Identifier: Apache-2.0
// Objects from a folder of manifests: read once, then followed.
//
//   ManifestSource source("/etc/contour/manifests");
//   CONTOUR_RETURN_IF_ERROR(source.Start(sink));  // Apply with all objects, Synced, then Apply with each change
//   …
//   source.Stop();                                // or the destructor
//
// What is promised
// - A file counts as a whole. If it can't be read, or any document of it is wrong, that is named
// with line and column and
//   its last good content stays in force; the others go on. A file that was never good contributes nothing.
// - A change is applied as soon as its file is closed or moved into place, in one batch with what
// else came meanwhile;
//   nothing is sent for what means the same as before.
// - A file that vanishes keeps its objects for `removal_grace`, so that replacing it in two steps
// (as editors do) is no
//   outage; a file that takes over its objects does so at once. While the folder itself is missing or can't be read
//   nothing is removed: only what a readable folder no longer holds is.
// - An object in two files comes from the first path in byte order; the other is named. Secrets
// that nothing could refer
//   to (api::IsUsable) are passed over.
// - Objects have no uid and resourceVersion unless the manifest gives them.
//
// Which files count, and links, are told in folder_watch.h. Where inotify is exhausted or the file
// system of another host changes, scanning at intervals finds what was missed.
//
// Threads: one of its own, from which it calls the sink, the log and `on_problem`. Start and Stop
// from one thread; Problems and Stats from any.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/source.h"
#include "base/yaml.h"

namespace contour::file {

// What is wrong with a file, or with a folder, now.
struct ManifestProblem {
  enum class Kind {
    kUnread,    // its last good content, if any, stays in force
    kShadowed,  // an object of it isn't in force: another file has it too
    kUnwatched  // changes are found by scanning only
  };
  Kind kind = Kind::kUnread;
  std::string path;
  std::string message;  // "line 3, column 7: …"

  bool operator==(const ManifestProblem&) const = default;
};

struct ManifestStats {
  std::size_t files = 0;     // that are known
  std::size_t objects = 0;   // in force
  std::size_t problems = 0;  // of files, now
  std::uint64_t reads = 0;   // of a file whose content is new, since the start
  std::uint64_t failed_reads = 0;
  std::uint64_t scans = 0;  // of the whole folder
};

struct ManifestSourceOptions {
  std::string default_namespace = "default";
  std::size_t max_file_bytes = 64 << 20;
  YamlLimits yaml_limits;
  std::chrono::milliseconds removal_grace{100};
  // A file is taken for complete if its writer has been still for this long without closing it.
  std::chrono::milliseconds write_grace{2000};
  // Wrong content that a scan finds this soon after it was written may be half of it, and is read
  // once more.
  std::chrono::milliseconds fresh_file_grace{250};
  std::chrono::milliseconds scan_interval{60'000};
  std::chrono::milliseconds unwatched_scan_interval{2000};
  // Each new problem, once. Must not call back into the source.
  std::function<void(const ManifestProblem&)> on_problem;
};

class ManifestSource {
 public:
  explicit ManifestSource(std::string folder, ManifestSourceOptions options = {});
  ~ManifestSource();
  ManifestSource(const ManifestSource&) = delete;
  ManifestSource& operator=(const ManifestSource&) = delete;

  // kNotFound if there is no such folder; kFailedPrecondition if it was started before. `sink` must
  // live until Stop.
  absl::Status Start(api::Sink& sink);
  // Waits for the file that is being read. After it the sink isn't called.
  void Stop();

  // Sorted by path, then kind.
  std::vector<ManifestProblem> Problems() const;
  ManifestStats Stats() const;
  // Returns which files and folders Synced waits for as they can't be read, and why; empty: none.
  std::string NeverRead() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace contour::file
