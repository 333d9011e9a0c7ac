// SPDX-License-Identifier: Apache-2.0
// The life of a serving process as events on its main thread: what is to be done next, or that it
// is to end.

#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace contour::cmd {

// SIGTERM and SIGINT end Run(); a second one ends the process at once.
class Lifecycle {
 public:
  // Blocks the two signals in this thread and in those it will start; so make it before any other
  // thread.
  Lifecycle();
  ~Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  // Runs `work` on the thread that is in Run(). From any thread.
  void Post(std::function<void()> work);

  // Run() returns `exit_code`, the first that was given. From any thread.
  void End(int exit_code);

  // Works until End or a signal.
  int Run();

 private:
  class SignalThread;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;
  bool ended_ = false;
  int exit_code_ = 0;
  std::unique_ptr<SignalThread> signals_;  // last: it uses the others
};

}  // namespace contour::cmd
