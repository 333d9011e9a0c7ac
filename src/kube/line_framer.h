// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of bytes into lines. In a Kubernetes watch each event is one JSON document and a
// line feed. Chunks may end anywhere.
//
// Example, given `std::string_view chunk`:
//   LineFramer framer(1 << 20);
//   framer.Feed(chunk, [&](std::string_view line) { return line != "the last one"; });
//
// A line longer than the limit is skipped, not kept: memory is bounded by the limit, and the lines
// after it are read as usual. Empty lines are left out; a carriage return before the line feed
// belongs to the line end. For one thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace contour::kube {

class LineFramer {
 public:
  // `max_line`: bytes of the longest line that is delivered.
  explicit LineFramer(std::size_t max_line) : max_line_(max_line) {}

  // Calls `line` for each line that ends in `chunk`, in order; its view is valid during the call.
  // If `line` returns false, the rest of the chunk is dropped and Feed returns false. `line` may
  // call Reset.
  template <typename Line>
  bool Feed(std::string_view chunk, Line&& line) {
    while (!chunk.empty()) {
      const std::size_t end = chunk.find('\n');
      if (end == std::string_view::npos) {
        Keep(chunk);
        return true;
      }
      const std::string_view piece = chunk.substr(0, end);
      chunk.remove_prefix(end + 1);
      if (skipping_) {  // the end of a line that was too long
        skipping_ = false;
        continue;
      }
      if (partial_.size() + piece.size() > max_line_) {
        ++skipped_;
        partial_.clear();
        continue;
      }
      if (partial_.empty()) {
        if (!Deliver(piece, line)) return false;
        continue;
      }
      std::string whole;
      whole.swap(partial_);
      whole += piece;
      const bool go_on = Deliver(whole, line);
      if (partial_.empty()) {  // keep the buffer for the next long line
        whole.clear();
        partial_.swap(whole);
      }
      if (!go_on) return false;
    }
    return true;
  }

  // Drops an unfinished line, for a new stream.
  void Reset();

  // Returns the number of bytes kept of the unfinished line.
  std::size_t pending() const { return partial_.size(); }
  // Returns the number of lines skipped so far because they were longer than the limit.
  std::uint64_t skipped() const { return skipped_; }

 private:
  void Keep(std::string_view piece);

  template <typename Line>
  static bool Deliver(std::string_view text, Line&& line) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return text.empty() || line(text);
  }

  std::size_t max_line_;
  std::string partial_;    // the beginning of a line whose end hasn't come
  bool skipping_ = false;  // inside a line that is too long
  std::uint64_t skipped_ = 0;
};

}  // namespace contour::kube
