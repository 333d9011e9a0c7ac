// SPDX-License-Identifier: Apache-2.0

#include "cmd/lifecycle.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.h"

namespace contour::cmd {
namespace {

// docs/reliability.md has this as a table.
constexpr std::array kStop = {SIGTERM, SIGINT, SIGQUIT};
// Their default is to end the process. They are read, so that the log can name the sender.
constexpr std::array kLogged = {SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM};
// These would end the process too, but aren't read: there may be many of them, or a library has a
// handler of its own for a while (the profiler for SIGPROF).
constexpr std::array kIgnored = {SIGPIPE, SIGPROF, SIGIO, SIGXFSZ, SIGSTKFLT, SIGPWR};

std::string_view SignalName(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? "?" : name;
}

}  // namespace

// Reads the signals from a descriptor, since a handler may call hardly any function.
class Lifecycle::SignalThread {
 public:
  explicit SignalThread(Lifecycle& lifecycle) : lifecycle_(lifecycle) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kStop) sigaddset(&set, signal);
    for (const int signal : kLogged) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    for (const int signal : kIgnored) ::signal(signal, SIG_IGN);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ::signal(signal, SIG_IGN);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC);
    end_ = eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { Run(); });
  }
  ~SignalThread() {
    eventfd_write(end_, 1);
    thread_.join();
    close(signals_);
    close(end_);
  }
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  void Run() {
    while (true) {
      std::array<pollfd, 2> both{{{signals_, POLLIN, 0}, {end_, POLLIN, 0}}};
      if (poll(both.data(), both.size(), -1) < 0) continue;  // EINTR, by a debugger
      if (both[1].revents != 0) return;
      signalfd_siginfo received{};
      if (read(signals_, &received, sizeof(received)) == sizeof(received)) Handle(received);
    }
  }

  void Handle(const signalfd_siginfo& received) {
    const int signal = static_cast<int>(received.ssi_signo);
    const std::string name = "SIG" + std::string(SignalName(signal));
    if (std::find(kStop.begin(), kStop.end(), signal) == kStop.end()) {
      log::Info("serve", "signal ignored; files are watched, nothing needs to be told to reload",
                {{"signal", name}, {"sender", received.ssi_pid}});
      return;
    }
    if (std::exchange(stopping_, true)) _exit(128 + signal);
    log::Info("serve", "stopping", {{"signal", name}});
    lifecycle_.End(0);
  }

  Lifecycle& lifecycle_;
  bool stopping_ = false;  // of the thread
  int signals_ = -1;
  int end_ = -1;
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
