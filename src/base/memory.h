// SPDX-License-Identifier: Apache-2.0
// Gives memory that was freed back to the system.
//
// glibc's allocator keeps it, spread over an arena per thread: after 200 Envoys had connected at
// 10,000 hosts, four fifths of the resident memory was free. So every `period` it is compared what
// is resident and what is in use, and if a good part of it is free, that is given back. This
// takes some ten milliseconds, during which allocations may wait, and nothing when there is little
// to gain: what lies between used blocks can't be given back, and isn't tried for again.

#pragma once

#include <chrono>
#include <cstddef>
#include <thread>

namespace contour {

// Two arenas for all threads. By default glibc makes up to eight per processor, and each keeps free
// blocks of its own; contour computes on one thread and serialises once for all streams, so
// threads hardly meet. To be called before any other thread begins.
void ShareArenas();

// Bytes that the allocator has from the system and in RAM; and of these in use.
struct HeapUse {
  std::size_t resident = 0;
  std::size_t used = 0;
  std::size_t Free() const { return resident > used ? resident - used : 0; }
};
HeapUse MeasureHeap();  // Linux and glibc

// Whether giving back is worth its time: more than 1 MiB, and a sixteenth of what is in use, above
// the `kept` bytes that stayed free the last time.
bool WorthReturning(const HeapUse& heap, std::size_t kept);

class MemoryKeeper {
 public:
  explicit MemoryKeeper(std::chrono::milliseconds period = std::chrono::seconds(5));
  // Ends at once, whatever it waits for.
  ~MemoryKeeper() = default;
  MemoryKeeper(const MemoryKeeper&) = delete;
  MemoryKeeper& operator=(const MemoryKeeper&) = delete;

 private:
  std::jthread thread_;
};

}  // namespace contour
