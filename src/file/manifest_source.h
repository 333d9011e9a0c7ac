// SPDX-License-Identifier: Apache-2.0
// Reads objects from a folder of manifests, and follows the changes of its files.
//
// Example, given `api::Sink& sink`:
//   ManifestSource source("/etc/contour/manifests");
//   CONTOUR_RETURN_IF_ERROR(source.Start(sink));  // Apply, Synced, then Apply with each change
//   source.Stop();                                // or the destructor
//
// Its promises:
//
// - A file counts as a whole. If it can't be read, or one of its documents is wrong, the log names
//   line and column, and the last good content of the file stays in force; other files aren't
//   affected. A file that was never good contributes nothing.
// - A change is applied as soon as its file is closed or moved into place, in one batch with other
//   changes that came meanwhile. Nothing is sent for objects whose meaning didn't change.
// - A file that vanishes keeps its objects for `removal_grace`, so that replacing it in two steps
//   (as editors do) is no outage. Another file that has its objects takes them over at once. While
//   the folder itself is missing or can't be read, nothing is removed: objects go only if a folder
//   that can be read no longer has their file.
// - An object in two files comes from the first path in byte order; the other file is named.
//   Secrets that nothing could refer to (see api::IsUsable) are ignored.
// - Objects have no uid and resourceVersion unless the manifest gives them.
//
// folder_watch.h says which files count, and how links are followed. Where inotify is exhausted or
// another host changes the file system, scanning at intervals finds changes that were missed.
//
// It has one thread, on which it calls the sink, the log and `on_problem`. Start and Stop must be
// called on one thread; Problems and Stats may be called on any.

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

// A problem that a file or folder has now.
struct ManifestProblem {
  enum class Kind {
    kUnread,    // its last good content, if any, stays in force
    kShadowed,  // one of its objects isn't in force, since another file has it too
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
  std::size_t problems = 0;  // of files and folders, now
  std::uint64_t reads = 0;   // of files whose content was new, since the start
  std::uint64_t failed_reads = 0;
  std::uint64_t scans = 0;  // of the whole folder
};

struct ManifestSourceOptions {
  std::string default_namespace = "default";
  std::size_t max_file_bytes = 64 << 20;
  YamlLimits yaml_limits;
  std::chrono::milliseconds removal_grace{100};
  // A file is taken for complete if its writer has written nothing for this long without closing
  // it.
  std::chrono::milliseconds write_grace{2000};
  // Wrong content that a scan finds this soon after it was written may be half of it, and is read
  // once more.
  std::chrono::milliseconds fresh_file_grace{250};
  std::chrono::milliseconds scan_interval{60'000};
  std::chrono::milliseconds unwatched_scan_interval{2000};
  // Called once for each new problem. Must not call back into the source.
  std::function<void(const ManifestProblem&)> on_problem;
};

class ManifestSource {
 public:
  explicit ManifestSource(std::string folder, ManifestSourceOptions options = {});
  ~ManifestSource();
  ManifestSource(const ManifestSource&) = delete;
  ManifestSource& operator=(const ManifestSource&) = delete;

  // Starts the source. Errors: kNotFound if there is no such folder; kFailedPrecondition if it was
  // started before. `sink` must live until Stop.
  absl::Status Start(api::Sink& sink);
  // Waits for the file that is being read. After it the sink isn't called.
  void Stop();

  // Returns the current problems, sorted by path, then kind.
  std::vector<ManifestProblem> Problems() const;
  ManifestStats Stats() const;
  // Returns a text about the files and folders that can't be read, for which Synced waits; empty:
  // none.
  std::string NeverRead() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace contour::file
