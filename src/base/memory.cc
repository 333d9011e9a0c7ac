// SPDX-License-Identifier: Apache-2.0

#include "base/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

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

HeapTrimmer::HeapTrimmer(std::chrono::milliseconds period) {
  const auto next = [period] { return WorkerThread::Clock::now() + period; };
  worker_.Start(
      [next, kept = std::size_t{0}]() mutable -> std::optional<WorkerThread::Time> {
        const HeapUse heap = MeasureHeap();
        kept = std::min(kept, heap.Free());
        if (WorthReturning(heap, kept)) {
          ::malloc_trim(0);
          kept = MeasureHeap().Free();
        }
        return next();
      },
      next());
}

}  // namespace contour
