// SPDX-License-Identifier: Apache-2.0
// std::mutex with the annotations that clang's thread-safety analysis checks. Not absl::Mutex: the
// packaged absl is built without the thread sanitizer, which then sees none of its locks and
// reports races everywhere.
//
//   Mutex mutex_;
//   int value_ ABSL_GUARDED_BY(mutex_);
//   { const MutexLock lock(mutex_); ++value_; }

#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace contour::kube {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Something that happens once and is waited for. The waiter may destroy it as soon as Wait returns.
class Notification {
 public:
  Notification() = default;
  ~Notification() { const std::lock_guard lock(mutex_); }  // until Notify has let go
  Notification(const Notification&) = delete;
  Notification& operator=(const Notification&) = delete;

  void Notify() {
    const std::lock_guard lock(mutex_);
    happened_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool happened_ = false;
};

}  // namespace contour::kube
