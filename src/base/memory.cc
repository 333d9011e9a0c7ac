// SPDX-License-Identifier: Apache-2.0

#include "base/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <stop_token>

namespace contour {

HeapUse MeasureHeap() {
  HeapUse heap;
  const struct mallinfo2 info = ::mallinfo2();
  heap.used = info.uordblks + info.hblkhd;
  std::size_t pages = 0;
  std::size_t resident = 0;
  std::size_t of_files = 0;
  std::ifstream statm("/proc/self/statm");
  if (statm >> pages >> resident >> of_files && resident > of_files) {
    heap.resident = (resident - of_files) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }
  return heap;
}

void ShareArenas() { ::mallopt(M_ARENA_MAX, 2); }

bool WorthReturning(const HeapUse& heap, std::size_t kept) {
  constexpr std::size_t kLeast = std::size_t{1} << 20;
  return heap.Free() > kept + std::max(kLeast, heap.used / 16);
}

MemoryKeeper::MemoryKeeper(std::chrono::milliseconds period)
    : thread_([period](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        std::size_t kept = 0;
        while (!wake.wait_for(lock, stop, period, [&] { return stop.stop_requested(); })) {
          if (stop.stop_requested()) return;
          const HeapUse heap = MeasureHeap();
          kept = std::min(kept, heap.Free());
          if (!WorthReturning(heap, kept)) continue;
          ::malloc_trim(0);
          kept = MeasureHeap().Free();
        }
      }) {}

}  // namespace contour
