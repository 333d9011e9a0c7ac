// SPDX-License-Identifier: Apache-2.0
// Keeps a snapshot on disk, so that a process which starts while the API server is away can serve
// what was served last.
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
// written. The generation before stays beside it (PreviousSnapshotFile), for the case that the file
// can't be used.
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
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

struct SavedSnapshot {
  std::string path;                 // of the file that was read
  SnapshotPtr snapshot;             // never null
  std::int64_t written = 0;         // seconds since 1970
  bool readable_by_others = false;  // the mode of the file allows more than its owner
};

// Returns the path of the generation before.
std::string PreviousSnapshotFile(const std::string& path);

// Says what becomes of the file that is there.
enum class OldFile : std::uint8_t {
  kKeep,  // it is the previous generation from then on
  kDrop,  // since it can't be used
};
// `now` in seconds since 1970. Errors (kUnavailable) name the path; the files are then as they
// were.
absl::Status WriteSnapshotFile(const std::string& path, const Snapshot& snapshot, std::int64_t now,
                               OldFile old);

// kNotFound: there is no file. kInvalidArgument: it can't be used, and why. kUnavailable: it can't
// be read.
absl::StatusOr<SavedSnapshot> ReadSnapshotFile(const std::string& path);

// These do the same without the file.
std::string EncodeSnapshot(const Snapshot& snapshot, std::int64_t now);
absl::StatusOr<SavedSnapshot> DecodeSnapshot(std::string_view bytes);

// The size of a snapshot, counted in things that people know.
struct SnapshotSize {
  std::size_t virtual_hosts = 0;
  std::size_t clusters = 0;
  std::size_t reachable = 0;  // assignments with an endpoint
  std::size_t secrets = 0;

  bool operator==(const SnapshotSize&) const = default;
};
SnapshotSize SizeOf(const Snapshot& snapshot);
// True if more than half of any of these is gone.
bool IsSuspiciouslySmaller(const SnapshotSize& after, const SnapshotSize& before);

// Writes the latest snapshot on a thread of its own, and not too often: at once after a quiet time,
// then not before `interval` has passed, or twenty times what writing took. Stop() writes what is
// left. What is on disk already isn't written. A failure (disk full) is warned about, once until it
// works again, and tried again after the interval: serving doesn't depend on it.
//
// A snapshot that is suspiciously smaller than the file isn't written until it has been so for
// `hold`, or somebody removes the file: most of the hosts may have gone at once by a fault of the
// API server, and the file is what a process falls back on then.
class SnapshotKeeper {
 public:
  struct Options {
    std::string path;
    std::chrono::milliseconds interval{5'000};
    std::chrono::milliseconds hold{3'600'000};
    SnapshotPtr on_disk =
        nullptr;                // what was read of the file, or of the one before; nullptr: nothing
    bool write_anyway = false;  // the first snapshot even if it is equal to `on_disk`
    OldFile old = OldFile::kKeep;  // what becomes of the file that is there
  };
  struct Statistics {
    std::uint64_t written = 0;
    std::uint64_t failures = 0;
    std::int64_t last_written = 0;  // seconds since 1970; 0: not yet
    bool held_back = false;         // a snapshot isn't written, as it is suspiciously smaller
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
  using Clock = std::chrono::steady_clock;
  // The part of the file's content that is compared.
  struct OnDisk {
    Hash128 version;
    SnapshotSize size;
  };

  void Run();
  bool HoldsBack(const SnapshotSize& size);
  absl::Status Write(const Snapshot& snapshot, std::int64_t now);

  const std::string path_;
  const std::chrono::milliseconds interval_;
  const std::chrono::milliseconds hold_;
  // Used by the thread only.
  std::optional<OnDisk> on_disk_;
  bool write_anyway_;
  OldFile old_;
  std::optional<Clock::time_point> held_since_;
  bool failing_ = false;

  mutable Mutex mutex_;
  Condition wake_;
  SnapshotPtr next_ ABSL_GUARDED_BY(mutex_);  // nullptr: nothing to write
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace contour::xds
