// SPDX-License-Identifier: Apache-2.0
// Takes profiles of the running process in pprof's format (`go tool pprof`, `google-pprof`), see
// docs/profiling.md.
//
// CPU: gperftools' profiler takes 100 samples a second of CPU time over all threads. It runs only
// while a profile is taken, one at a time.
//
// Heap: memory that was allocated and not freed, by sampling. It needs tcmalloc in the process,
// which isn't linked (docs/decisions/0026): LD_PRELOAD=libtcmalloc.so.4 with
// TCMALLOC_SAMPLE_PARAMETER=524288.
//
// Any thread.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace contour::admin {

class Profiles {
 public:
  // Samples for `time` and returns the profile. kUnavailable: another one is being taken, or it was
  // cancelled. kUnimplemented: this is a build without the profiler (sanitizers).
  absl::StatusOr<std::string> CPU(std::chrono::seconds time);

  // Returns kFailedPrecondition if the allocator can't sample.
  absl::StatusOr<std::string> Heap();

  // Ends a CPU profile that is being taken, and refuses others, since the process stops.
  void Cancel();

 private:
  Mutex mutex_;
  Condition wake_;
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

// Answers a request of pprof: turns addresses as "0x1234+0x5678" into lines "0x1234\tname". Names
// come from the program's own symbol table, so there are none if that was stripped.
std::string Symbols(std::string_view addresses);

// Returns the arguments of the process, separated by NUL.
std::string CommandLine();

// Returns each thread with its name and CPU time, as text.
std::string Threads();

}  // namespace contour::admin
