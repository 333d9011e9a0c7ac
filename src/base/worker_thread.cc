// SPDX-License-Identifier: Apache-2.0

#include "base/worker_thread.h"

#include <utility>

namespace contour {

void WorkerThread::Start(Step step, Time first) {
  if (stopping_) return;
  thread_ = std::thread([this, step = std::move(step), first] { Run(step, first); });
}

void WorkerThread::Wake() {
  {
    const MutexLock lock(mutex_);
    woken_ = true;
  }
  changed_.NotifyAll();
}

void WorkerThread::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void WorkerThread::WaitFor(std::optional<Time> due) {
  while (!stopping_ && !woken_) {
    if (!due) {
      changed_.Wait(mutex_);
    } else if (!changed_.WaitUntil(mutex_, *due)) {
      return;
    }
  }
}

void WorkerThread::Run(const Step& step, Time first) {
  MutexLock lock(mutex_);
  WaitFor(first);
  while (!stopping_) {
    woken_ = false;
    lock.Unlock();
    const std::optional<Time> due = step();
    lock.Lock();
    WaitFor(due);
  }
}

}  // namespace contour
