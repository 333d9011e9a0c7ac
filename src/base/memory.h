// SPDX-License-Identifier: Apache-2.0
// Gives memory that was freed back to the system.
//
// glibc's allocator keeps freed memory, spread over an arena per thread: after 200 Envoys had
// connected at 10,000 hosts, four fifths of the resident memory was free. So the memory that is
// resident is compared with the memory in use every `period`, and if a large part of it is free, it
// is given back. This takes some ten milliseconds, during which allocations may wait. It isn't done
// when there is little to gain: free blocks between used ones can't be given back, and aren't tried
// again.

#pragma once

#include <chrono>
#include <cstddef>

#include "base/worker_thread.h"

namespace contour {

// Limits the allocator to two arenas for all threads. By default glibc makes up to eight per
// processor, and each keeps free blocks of its own. Contour computes on one thread and serializes
// once for all streams, so threads rarely wait for each other. To be called before any other thread
// begins.
void ShareArenas();

// The bytes that the allocator has in RAM, and how many of them are in use.
struct HeapUse {
  std::size_t resident = 0;
  std::size_t used = 0;
  std::size_t Free() const { return resident > used ? resident - used : 0; }
};
HeapUse MeasureHeap();  // Linux and glibc

// True if giving memory back is worth its time: the free memory, above the `kept` bytes that stayed
// free the last time, is more than 1 MiB and more than a sixteenth of the memory in use.
bool WorthReturning(const HeapUse& heap, std::size_t kept);

// Does so every `period` on a thread of its own.
class HeapTrimmer {
 public:
  explicit HeapTrimmer(std::chrono::milliseconds period = std::chrono::seconds(5));
  ~HeapTrimmer() = default;  // ends at once, whatever it waits for
  HeapTrimmer(const HeapTrimmer&) = delete;
  HeapTrimmer& operator=(const HeapTrimmer&) = delete;

 private:
  WorkerThread worker_;
};

}  // namespace contour
