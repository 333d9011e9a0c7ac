// SPDX-License-Identifier: Apache-2.0

#include "admin/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <httplib.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <list>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "admin/http_connections.h"
#include "base/mutex.h"
#include "base/status.h"

namespace contour::admin {
namespace {

using Clock = std::chrono::steady_clock;
using Phase = HttpConnections::Phase;

constexpr std::size_t kRequestBytes = (16 << 10) + (64 << 10);
constexpr std::size_t kBodyBytes = 64 << 10;
constexpr int kBacklog = 128;
constexpr std::chrono::seconds kIdleThread{10};  // after which a thread without work ends
constexpr std::chrono::milliseconds kStopLook{100};
constexpr std::chrono::milliseconds kCrowdedLook{10};
constexpr std::size_t kWaiting = 32;  // connections that are accepted and wait for a thread

bool IsAddress(const std::string& text) {
  in6_addr unused{};
  return inet_pton(AF_INET, text.c_str(), &unused) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &unused) == 1;
}

bool IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

// Returns the host of a Host header, without port and brackets.
std::string HostOf(const std::string& header) {
  if (header.starts_with('[')) return header.substr(1, header.find(']') - 1);
  return header.substr(0, header.rfind(':'));
}

struct Endpoint {
  std::string address;
  int port = 0;
};

// Returns an address of the socket. `name` is getpeername or getsockname.
Endpoint EndpointOf(int socket, int (*name)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (name(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(),
                  port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  return {host.data(), std::atoi(port.data())};
}

// Waits for one of `events`; returns 0 if none comes before the deadline. If that has passed, it
// only checks once.
int Await(int socket, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd one{.fd = socket, .events = events, .revents = 0};
    const int found = poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (found >= 0 || errno != EINTR) return found > 0 ? one.revents : found;
  }
}

// The stream that the library reads and writes. The library's own stream limits each read and write
// alone, so that single bytes could keep a connection for ever. Here the whole request has a
// deadline and a size, and so has the answer.
class ClientStream final : public httplib::Stream {
 public:
  ClientStream(int socket, HttpConnections::Connection& connection,
               const HttpServer::Options& options)
      : socket_(socket), connection_(connection), options_(options) {}

  // Waits for the first byte of the next request. Returns false if there is none in time, or the
  // port stops.
  bool AwaitRequest() {
    if (!connection_.Enter(Phase::kReading)) return false;
    if (begin_ == end_ && Await(socket_, POLLIN, Clock::now() + options_.idle) <= 0) return false;
    reading_until_ = Clock::now() + options_.request;
    bytes_left_ = kRequestBytes;
    writing_until_.reset();
    return true;
  }

  // True if the request was too slow or too large. The bytes after it are then no new request.
  bool failed() const { return failed_; }

  // True if the client has closed the connection.
  bool ClientLeft() const {
    const int events = Await(socket_, POLLRDHUP, Clock::now());
    return events != 0;
  }

  // httplib::Stream.
  bool is_readable() const override {
    return begin_ != end_ || Await(socket_, POLLIN, reading_until_) > 0;
  }
  bool is_writable() const override {
    return Await(socket_, POLLOUT, writing_until_.value_or(Clock::now() + options_.answer)) > 0;
  }
  ssize_t read(char* to, std::size_t size) override {
    if (begin_ == end_) {
      if (bytes_left_ == 0 || !is_readable()) {
        failed_ = true;
        return -1;
      }
      const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got <= 0) return got;
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
    }
    const std::size_t count = std::min({size, end_ - begin_, bytes_left_});
    if (count == 0) {
      failed_ = true;
      return -1;
    }
    std::memcpy(to, buffer_.data() + begin_, count);
    begin_ += count;
    bytes_left_ -= count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, std::size_t size) override {
    if (!writing_until_) {
      connection_.Enter(Phase::kWriting);
      writing_until_ = Clock::now() + options_.answer;
    }
    if (!is_writable()) return -1;
    const ssize_t sent = send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
  }
  void get_remote_ip_and_port(std::string& address, int& port) const override {
    const Endpoint peer = EndpointOf(socket_, getpeername);
    address = peer.address;
    port = peer.port;
  }
  void get_local_ip_and_port(std::string& address, int& port) const override {
    const Endpoint own = EndpointOf(socket_, getsockname);
    address = own.address;
    port = own.port;
  }
  // The library asks for this only to refuse descriptors that select() can't take; poll() takes
  // all.
  socket_t socket() const override { return 0; }

 private:
  const int socket_;
  HttpConnections::Connection& connection_;
  const HttpServer::Options& options_;
  Clock::time_point reading_until_;
  std::optional<Clock::time_point> writing_until_;  // nullopt: nothing is written yet
  std::size_t bytes_left_ = 0;                      // that the request may still have
  bool failed_ = false;
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// The connection that a thread serves, and its stream.
struct Serving {
  HttpConnections::Connection& connection;
  ClientStream& stream;
};
thread_local Serving* t_serving = nullptr;

// A thread for each connection, as many as there are connections.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  // `more_come`: says without waiting if a connection can be accepted.
  ConnectionThreads(HttpConnections& connections, std::size_t most, std::function<bool()> more_come)
      : connections_(connections), most_(most), more_come_(std::move(more_come)) {}

  // Returns when every connection has a thread, or the next one can be accepted.
  void enqueue(std::function<void()> serve) override {
    MutexLock lock(mutex_);
    Reap();
    waiting_.push_back(std::move(serve));
    changed_.NotifyAll();
    while (waiting_.size() > idle_ && !Spawn()) {
      const std::size_t waiting = waiting_.size();
      const std::size_t wanted = waiting - idle_;
      lock.Unlock();
      if (connections_.stopping()) return;  // shutdown() follows
      connections_.MakeRoom(wanted);
      if (waiting < kWaiting && more_come_()) return;
      lock.Lock();
      changed_.WaitUntil(mutex_, Clock::now() + kCrowdedLook);
    }
    connections_.RoomIsMade();
  }

  // Returns when every connection has ended.
  void shutdown() override {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
    while (threads_.size() > finished_.size()) {
      changed_.WaitUntil(mutex_, Clock::now() + kStopLook);
      lock.Unlock();
      connections_.EndUnread();
      lock.Lock();
    }
    Reap();
  }

 private:
  using Thread = std::list<std::thread>::iterator;

  // Starts a thread. Returns false at the limit, or if the system gives no more.
  bool Spawn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (threads_.size() >= most_) return false;
    const Thread own = threads_.emplace(threads_.end());
    try {
      *own = std::thread([this, own] { Run(own); });
    } catch (const std::system_error&) {
      threads_.erase(own);
      return false;
    }
    return true;
  }
  // Joins the threads that have ended.
  void Reap() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const Thread thread : std::exchange(finished_, {})) {
      thread->join();
      threads_.erase(thread);
    }
  }

  void Run(Thread own) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (Wait()) {
      const std::function<void()> serve = std::move(waiting_.front());
      waiting_.pop_front();
      changed_.NotifyAll();
      lock.Unlock();
      serve();
      lock.Lock();
    }
    finished_.push_back(own);
    changed_.NotifyAll();
  }
  // Waits for a connection. Returns false if the thread isn't needed any more.
  bool Wait() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Clock::time_point until = Clock::now() + kIdleThread;
    ++idle_;
    while (waiting_.empty() && !stopping_ && changed_.WaitUntil(mutex_, until)) {
    }
    --idle_;
    return !waiting_.empty();
  }

  HttpConnections& connections_;
  const std::size_t most_;
  const std::function<bool()> more_come_;
  Mutex mutex_;
  Condition changed_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::vector<Thread> finished_ ABSL_GUARDED_BY(mutex_);
  std::size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// The library's server, with connections that are served as above.
class Library final : public httplib::Server {
 public:
  explicit Library(const HttpServer::Options& options) : options_(options) {
    set_payload_max_length(kBodyBytes);
    // The library's own options let a second process share the port, which would then get a part of
    // the probes.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
      fcntl(socket, F_SETFD, FD_CLOEXEC);
    });
    new_task_queue = [this] {
      return new ConnectionThreads(connections_, options_.connections,
                                   [this] { return Await(svr_sock_, POLLIN, Clock::now()) > 0; });
    };
  }

  // To be called before stop().
  void BeginStop() { connections_.BeginStop(); }

  // After binding. The library's own queue is five connections long.
  void LengthenQueue() { ::listen(svr_sock_, kBacklog); }

 private:
  bool process_and_close_socket(socket_t socket) override {
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    Serve(socket);
    ::shutdown(socket, SHUT_RDWR);
    ::close(socket);
    return true;
  }

  void Serve(int socket) {
    HttpConnections::Connection connection(connections_, socket,
                                           EndpointOf(socket, getpeername).address);
    ClientStream stream(socket, connection, options_);
    Serving serving{connection, stream};
    t_serving = &serving;
    for (std::size_t left = keep_alive_max_count_; left > 0 && stream.AwaitRequest(); --left) {
      bool closed = false;
      if (!process_request(stream, /*close_connection=*/left == 1, closed, nullptr) || closed ||
          stream.failed())
        break;
      connection.LeaveGate();
    }
    t_serving = nullptr;
  }

  const HttpServer::Options& options_;
  HttpConnections connections_;
};

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)), server_(options_) {
    if (options_.refuse_names) {
      server_.set_pre_routing_handler(
          [](const httplib::Request& request, httplib::Response& response) {
            const std::string host = HostOf(request.get_header_value("Host"));
            if (host == "localhost" || IsAddress(host))
              return httplib::Server::HandlerResponse::Unhandled;
            response.status = 403;
            response.set_content("only by address or as localhost\n", "text/plain");
            return httplib::Server::HandlerResponse::Handled;
          });
    }
  }

  ~Impl() { Stop(); }

  void Handle(Method method, const std::string& path, Handler handler, std::optional<Limit> limit) {
    const HttpConnections::Gate* gate =
        limit ? &gates_.emplace_back(limit->at_most, limit->per_address) : nullptr;
    const auto handle = [handler = std::move(handler), gate](const httplib::Request& request,
                                                             httplib::Response& response) {
      HttpResponse made = Answer(handler, gate, request);
      response.status = made.status;
      response.set_content(made.body, made.type.c_str());
    };
    switch (method) {
      case Method::kGet:
        server_.Get(path, handle);
        return;
      case Method::kPost:
        server_.Post(path, handle);
        return;
      case Method::kPut:
        server_.Put(path, handle);
        return;
    }
  }

  absl::StatusOr<std::uint16_t> Start() {
    int bound = options_.port;
    if (options_.port == 0) {
      bound = server_.bind_to_any_port(options_.address);
    } else if (!server_.bind_to_port(options_.address, options_.port)) {
      bound = -1;
    }
    if (bound < 0)
      return Unavailable("{}: can't listen on {}:{}", options_.name, options_.address,
                         options_.port);
    server_.LengthenQueue();
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // A stop() before the loop has begun would be lost, and Stop() would wait for ever.
    while (!server_.is_running()) std::this_thread::yield();
    return static_cast<std::uint16_t>(bound);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    server_.BeginStop();
    server_.stop();
    thread_.join();
  }

 private:
  static HttpResponse Answer(const Handler& handler, const HttpConnections::Gate* gate,
                             const httplib::Request& request) {
    Serving& serving = *t_serving;
    if (!serving.connection.Enter(Phase::kHandling)) return {.status = 503};
    if (gate != nullptr && !serving.connection.PassGate(*gate))
      return {"too many requests for this path at a time; try again\n", 503};
    return handler({.parameter = [&](const std::string& name) -> std::optional<std::string> {
                      if (!request.has_param(name.c_str())) return std::nullopt;
                      return request.get_param_value(name.c_str());
                    },
                    .body = request.body,
                    .from_loopback = IsLoopback(request.remote_addr),
                    .client_left = [&] { return serving.stream.ClientLeft(); }});
  }

  const Options options_;
  std::deque<HttpConnections::Gate> gates_;
  Library server_;
  std::thread thread_;
};

HttpServer::HttpServer(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;
void HttpServer::Handle(Method method, const std::string& path, Handler handler,
                        std::optional<Limit> limit) {
  impl_->Handle(method, path, std::move(handler), limit);
}
absl::StatusOr<std::uint16_t> HttpServer::Start() { return impl_->Start(); }
void HttpServer::Stop() { impl_->Stop(); }

}  // namespace contour::admin
