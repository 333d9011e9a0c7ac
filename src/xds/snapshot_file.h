// SPDX-License-Identifier: Apache-2.0
// A snapshot on disk, so that a process which starts while the API server is away can serve what
// was served last.
//
//   CONTOUR_RETURN_IF_ERROR(WriteSnapshotFile(path, *snapshot, now));
//   CONTOUR_ASSIGN_OR_RETURN(const SavedSnapshot saved, ReadSnapshotFile(path));
//   saved.snapshot->Version() == snapshot->Version()
//
// The file holds PRIVATE KEYS (as xDS Secrets do): it is made with mode 0600, whatever the umask,
// and belongs on a volume that is no more readable than the Secrets are.
//
// A file is whole or isn't there: written beside its place, flushed to disk, renamed. What is read
// is checked: format, checksum of every byte, and that the resources have the version that was
// written.
//
// Format 1, numbers little-endian: "contour snapshot\n", u32 format; frames of u32 length and that
// many bytes; a frame of length 0, then the checksum (16 bytes). The checksum is chained: that of a
// frame is HashPair(the one before in hex, the frame's bytes), beginning with "". In the frames are
// records, see the .cc. Everything that belongs to Resource and Part is in it: a new member there
// is a new format.
//
// These are slow (disk): not on the core thread. SnapshotKeeper has a thread for them.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "xds/snapshot.h"

namespace contour::xds {

struct SavedSnapshot {
  SnapshotPtr snapshot;             // never null
  std::int64_t written = 0;         // seconds since 1970
  bool readable_by_others = false;  // the mode of the file allows more than its owner
};

// `now` in seconds since 1970. Errors (kUnavailable) name the path; an older file is then as it
// was.
absl::Status WriteSnapshotFile(const std::string& path, const Snapshot& snapshot, std::int64_t now);

// kNotFound: there is no file. kInvalidArgument: it can't be used, and why. kUnavailable: it can't
// be read.
absl::StatusOr<SavedSnapshot> ReadSnapshotFile(const std::string& path);

// The same without the file.
std::string EncodeSnapshot(const Snapshot& snapshot, std::int64_t now);
absl::StatusOr<SavedSnapshot> DecodeSnapshot(std::string_view bytes);

// Writes the latest snapshot on a thread of its own, and not too often: at once after a quiet time,
// then not before `interval` has passed, or twenty times what writing took. Stop() writes what is
// left. What is on disk already isn't written. A failure (disk full) is warned about, once until it
// works again, and tried again after the interval: serving doesn't depend on it.
class SnapshotKeeper {
 public:
  struct Options {
    std::string path;
    std::chrono::milliseconds interval{5'000};
    std::optional<Hash128> on_disk;  // the version of the file that is there
  };
  struct Statistics {
    std::uint64_t written = 0;
    std::uint64_t failures = 0;
    std::int64_t last_written = 0;  // seconds since 1970; 0: not yet
  };

  explicit SnapshotKeeper(Options options);
  ~SnapshotKeeper();  // stops
  SnapshotKeeper(const SnapshotKeeper&) = delete;
  SnapshotKeeper& operator=(const SnapshotKeeper&) = delete;

  void Start();
  void Stop();
  void Offer(SnapshotPtr snapshot);  // any thread; returns at once; not null

  Statistics statistics() const;

 private:
  void Run();

  const Options options_;
  mutable Mutex mutex_;
  Condition wake_;
  SnapshotPtr next_ ABSL_GUARDED_BY(mutex_);  // nullptr: nothing to write
  std::optional<Hash128> on_disk_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace contour::xds
