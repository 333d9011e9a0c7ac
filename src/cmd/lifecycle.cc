// SPDX-License-Identifier: Apache-2.0

#include "cmd/lifecycle.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "base/log.h"

namespace contour::cmd {

// Waits for the signals, since a handler may do next to nothing.
class Lifecycle::SignalThread {
 public:
  explicit SignalThread(Lifecycle& lifecycle) {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR2}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this, &lifecycle] {
      int received = 0;
      bool second = false;
      while (sigwait(&set_, &received) == 0 && received != SIGUSR2) {
        if (second) _exit(128 + received);
        second = true;
        log::Info("serve", "stopping", {{"signal", received == SIGTERM ? "SIGTERM" : "SIGINT"}});
        lifecycle.End(0);
      }
    });
  }
  ~SignalThread() {
    pthread_kill(thread_.native_handle(), SIGUSR2);
    thread_.join();
  }
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  sigset_t set_{};
  std::thread thread_;
};

Lifecycle::Lifecycle() : signals_(std::make_unique<SignalThread>(*this)) {}
Lifecycle::~Lifecycle() = default;

void Lifecycle::Post(std::function<void()> work) {
  {
    const MutexLock lock(mutex_);
    work_.push_back(std::move(work));
  }
  wake_.NotifyAll();
}

void Lifecycle::End(int exit_code) {
  {
    const MutexLock lock(mutex_);
    if (!ended_) exit_code_ = exit_code;
    ended_ = true;
  }
  wake_.NotifyAll();
}

int Lifecycle::Run() {
  MutexLock lock(mutex_);
  while (true) {
    while (!ended_ && work_.empty()) wake_.Wait(mutex_);
    if (ended_) return exit_code_;
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    lock.Unlock();
    work();
    lock.Lock();
  }
}

}  // namespace contour::cmd
