// SPDX-License-Identifier: Apache-2.0
// Profiles of the running process in pprof's format (`go tool pprof`, `google-pprof`), see
// docs/profiling.md.
//
// CPU: gperftools' profiler, 100 samples a second of CPU time over all threads; nothing runs while
// none is taken. One at a time.
//
// Heap: what was allocated and not freed, by sampling. Needs tcmalloc in the process, which isn't
// linked (docs/decisions/0026): LD_PRELOAD=libtcmalloc.so.4 with TCMALLOC_SAMPLE_PARAMETER=524288.
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
  // Takes this long. kUnavailable: another is being taken, or it was cancelled; kUnimplemented:
  // built without the profiler (sanitizers).
  absl::StatusOr<std::string> CPU(std::chrono::seconds time);

  // kFailedPrecondition: the allocator can't.
  absl::StatusOr<std::string> Heap();

  // Ends a CPU profile that is being taken, and refuses others: the process stops.
  void Cancel();

 private:
  Mutex mutex_;
  Condition wake_;
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

// Answers a request of pprof: addresses as "0x1234+0x5678" into lines "0x1234\tname". Names come
// from the program's own symbol table, so not if that was stripped.
std::string Symbols(std::string_view addresses);

// The arguments of the process, separated by NUL.
std::string CommandLine();

// Each thread with its name and the CPU time that it took, as text.
std::string Threads();

}  // namespace contour::admin
