// SPDX-License-Identifier: Apache-2.0
#include "cmd/envoy_shutdown_manager.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "admin/http_server.h"
#include "base/log.h"
#include "base/mutex.h"

namespace contour::cmd {
namespace {

// kubelet's hook is one request, from the node. Others may wait as well, but can't exclude it.
constexpr admin::HttpServer::Limit kWaiting{.at_most = 64, .per_address = 8};
constexpr std::size_t kConnections = 96;

}  // namespace

class ShutdownManager::Impl {
 public:
  Impl(std::string address, std::uint16_t port, std::string ready_file,
       std::chrono::milliseconds interval)
      : ready_file_(std::move(ready_file)),
        interval_(interval),
        server_({.name = "--serve-address, --serve-port",
                 .address = std::move(address),
                 .port = port,
                 .connections = kConnections,
                 .answer = std::chrono::seconds(10)}) {
    using enum admin::HttpServer::Method;
    server_.Handle(kGet, "/healthz",
                   [](const admin::HttpRequest&) { return admin::HttpResponse{"OK\n"}; });
    server_.Handle(
        kGet, "/shutdown",
        [this](const admin::HttpRequest& request) {
          if (WaitForFile(request)) return admin::HttpResponse{"OK\n"};
          return admin::HttpResponse{"stopped before Envoy was drained\n", 503};
        },
        kWaiting);
  }

  ~Impl() { Stop(); }

  absl::StatusOr<std::uint16_t> Start() { return server_.Start(); }

  void Stop() {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    stop_.NotifyAll();
    server_.Stop();
  }

 private:
  bool FileIsThere() const {
    std::error_code error;
    return std::filesystem::exists(ready_file_, error);
  }

  // Waits for the file. Returns false if the manager stops, or the client has gone.
  bool WaitForFile(const admin::HttpRequest& request) {
    log::Info("shutdown", "Envoy's end waits for the ready file", {{"path", ready_file_}});
    const MutexLock lock(mutex_);
    while (!FileIsThere()) {
      if (stopping_ || request.client_left()) return false;
      stop_.WaitUntil(mutex_, std::chrono::steady_clock::now() + interval_);
    }
    return true;
  }

  const std::string ready_file_;
  const std::chrono::milliseconds interval_;
  Mutex mutex_;
  Condition stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  admin::HttpServer server_;  // last: its handlers use the others
};

ShutdownManager::ShutdownManager(std::string address, std::uint16_t port, std::string ready_file,
                                 std::chrono::milliseconds interval)
    : impl_(std::make_unique<Impl>(std::move(address), port, std::move(ready_file), interval)) {}
ShutdownManager::~ShutdownManager() = default;
absl::StatusOr<std::uint16_t> ShutdownManager::Start() { return impl_->Start(); }
void ShutdownManager::Stop() { impl_->Stop(); }

}  // namespace contour::cmd
