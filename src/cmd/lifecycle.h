// SPDX-License-Identifier: Apache-2.0
// Runs the main thread of a serving process: it does the work that is posted, until the process is
// to end.

#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "base/mutex.h"

namespace contour::cmd {

// SIGTERM, SIGINT and SIGQUIT end Run(); a second one ends the process at once. Other signals that
// by default end a process are ignored, SIGHUP, SIGUSR1 and SIGUSR2 with a line in the log
// (docs/reliability.md lists all). A fault of the process itself (SIGSEGV, SIGABRT, …) ends it.
class Lifecycle {
 public:
  // Blocks signals in this thread and in those that it starts. So it must be made before any other
  // thread.
  Lifecycle();
  ~Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  // Runs `work` on the thread that is in Run(). May be called on any thread.
  void Post(std::function<void()> work);

  // Lets Run() return `exit_code`, the first that was given. May be called on any thread.
  void End(int exit_code);

  // Runs posted work until End or a signal.
  int Run();

 private:
  class SignalThread;

  Mutex mutex_;
  Condition wake_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  int exit_code_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<SignalThread> signals_;  // last: it uses the others
};

}  // namespace contour::cmd
