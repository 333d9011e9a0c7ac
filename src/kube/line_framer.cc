// SPDX-License-Identifier: Apache-2.0

#include "kube/line_framer.h"

namespace contour::kube {

// A larger buffer is freed when it is empty, so that one big object doesn't cost its size for ever.
constexpr std::size_t kKeptCapacity = 256 * 1024;

void LineFramer::Keep(std::string_view piece) {
  if (skipping_) return;
  if (partial_.size() + piece.size() > max_line_) {
    skipping_ = true;
    ++skipped_;
    std::string().swap(partial_);
    return;
  }
  if (partial_.empty() && partial_.capacity() > kKeptCapacity) std::string().swap(partial_);
  partial_ += piece;
}

void LineFramer::Reset() {
  partial_.clear();
  skipping_ = false;
}

}  // namespace contour::kube
