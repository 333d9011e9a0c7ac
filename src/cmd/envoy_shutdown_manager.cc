// SPDX-License-Identifier: Apache-2.0
#include "cmd/envoy_shutdown_manager.h"

#include <httplib.h>

#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"

namespace contour::cmd {
namespace {

// How many may wait at a time, the rest queues.
constexpr std::size_t kThreads = 16;

}  // namespace

class ShutdownManager::Impl {
 public:
  Impl(std::string address, std::uint16_t port, std::string ready_file,
       std::chrono::milliseconds interval)
      : address_(std::move(address)),
        port_(port),
        ready_file_(std::move(ready_file)),
        interval_(interval) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_read_timeout(10, 0);
    server_.set_write_timeout(10, 0);
    server_.set_payload_max_length(2048);
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("OK\n", "text/plain");
    });
    server_.Get("/shutdown", [this](const httplib::Request&, httplib::Response& response) {
      const bool ready = WaitForFile();
      response.status = ready ? 200 : 503;
      response.set_content(ready ? "OK\n" : "stopped before Envoy was drained\n", "text/plain");
    });
  }

  ~Impl() { Stop(); }

  absl::StatusOr<std::uint16_t> Start() {
    int bound = port_;
    if (port_ == 0) {
      bound = server_.bind_to_any_port(address_);
    } else if (!server_.bind_to_port(address_, port_)) {
      bound = -1;
    }
    if (bound < 0)
      return Unavailable("--serve-address, --serve-port: can't listen on {}:{}", address_, port_);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // A stop() before the loop has begun would be lost, and Stop() would wait for ever.
    while (!server_.is_running()) std::this_thread::yield();
    return static_cast<std::uint16_t>(bound);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    stop_.NotifyAll();
    server_.stop();
    thread_.join();
  }

 private:
  bool FileIsThere() const {
    std::error_code error;
    return std::filesystem::exists(ready_file_, error);
  }

  bool WaitForFile() {
    log::Info("shutdown", "Envoy's end waits for the ready file", {{"path", ready_file_}});
    const MutexLock lock(mutex_);
    while (!FileIsThere()) {
      if (stopping_) return false;
      stop_.WaitUntil(mutex_, std::chrono::steady_clock::now() + interval_);
    }
    return true;
  }

  std::string address_;
  std::uint16_t port_;
  std::string ready_file_;
  std::chrono::milliseconds interval_;
  Mutex mutex_;
  Condition stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  httplib::Server server_;
  std::thread thread_;
};

ShutdownManager::ShutdownManager(std::string address, std::uint16_t port, std::string ready_file,
                                 std::chrono::milliseconds interval)
    : impl_(std::make_unique<Impl>(std::move(address), port, std::move(ready_file), interval)) {}
ShutdownManager::~ShutdownManager() = default;
absl::StatusOr<std::uint16_t> ShutdownManager::Start() { return impl_->Start(); }
void ShutdownManager::Stop() { impl_->Stop(); }

}  // namespace contour::cmd
