// SPDX-License-Identifier: Apache-2.0

#include "kube/testing_server.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <optional>

#include "base/strings.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

constexpr std::chrono::milliseconds kLook{10};

SSL_CTX* MakeContext(const TestServer::Tls& tls) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  BIO* bio = BIO_new_mem_buf(tls.certificate.cert_pem.data(), -1);
  X509* cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  SSL_CTX_use_certificate(context, cert);
  X509_free(cert);
  BIO_free(bio);
  bio = BIO_new_mem_buf(tls.certificate.key_pem.data(), -1);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  SSL_CTX_use_PrivateKey(context, key);
  EVP_PKEY_free(key);
  BIO_free(bio);
  if (!tls.client_ca_pem.empty()) {
    bio = BIO_new_mem_buf(tls.client_ca_pem.data(), -1);
    cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), cert);
    X509_free(cert);
    BIO_free(bio);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  return context;
}

}  // namespace

class TestServer::Connection final : public ServerStream {
 public:
  Connection(TestServer& server, int socket, int number, const std::shared_ptr<const Tls>& tls)
      : server_(server), socket_(socket), number_(number) {
    if (tls != nullptr) {
      context_ = MakeContext(*tls);
      ssl_ = SSL_new(context_);
      SSL_set_fd(ssl_, socket_);
    }
  }
  ~Connection() override {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    if (socket_ >= 0) close(socket_);
  }

  void Serve() {
    if (ssl_ != nullptr && SSL_accept(ssl_) != 1) return;
    while (!over_) {
      std::optional<ServerRequest> request = ReadRequest();
      if (!request) return;
      server_.handler_(*request, *this);
    }
  }

  void Answer(int status, std::string_view body, const std::vector<std::string>& headers) override {
    std::string text =
        fmt::format("HTTP/1.1 {} Words\r\nContent-Length: {}\r\n", status, body.size());
    for (const std::string& header : headers) text += header + "\r\n";
    Raw(text + "\r\n" + std::string(body));
  }
  void Head(int status, const std::vector<std::string>& headers) override {
    std::string text = fmt::format("HTTP/1.1 {} Words\r\nTransfer-Encoding: chunked\r\n", status);
    for (const std::string& header : headers) text += header + "\r\n";
    Raw(text + "\r\n");
  }
  void Chunk(std::string_view bytes) override {
    if (!bytes.empty()) Raw(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes));
  }
  void End() override { Raw("0\r\n\r\n"); }
  void Raw(std::string_view bytes) override {
    while (!bytes.empty() && !over_) {
      const ssize_t sent = ssl_ != nullptr
                               ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                               : send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        over_ = true;
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void Hang() override {
    while (Sleep(std::chrono::hours(1))) {
    }
  }
  void Drop() override {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(std::exchange(socket_, -1));
    over_ = true;
  }
  bool Sleep(std::chrono::milliseconds time) override {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!over_ && std::chrono::steady_clock::now() < end) {
      pollfd look{socket_, POLLRDHUP, 0};
      poll(&look, 1, static_cast<int>(kLook.count()));
      if ((look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 || server_.stopping_) over_ = true;
    }
    return !over_;
  }

 private:
  // Appends received bytes to buffer_. Returns false if no more will come.
  bool Fill() {
    while (!server_.stopping_) {
      pollfd look{socket_, POLLIN, 0};
      const bool ready = (ssl_ != nullptr && SSL_pending(ssl_) > 0) ||
                         poll(&look, 1, static_cast<int>(kLook.count())) > 0;
      if (!ready) continue;
      char bytes[16 * 1024];
      const ssize_t got = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes)
                                          : recv(socket_, bytes, sizeof bytes, 0);
      if (got <= 0) return false;
      buffer_.append(bytes, static_cast<std::size_t>(got));
      return true;
    }
    return false;
  }

  std::optional<ServerRequest> ReadRequest() {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return std::nullopt;
    }
    ServerRequest request;
    request.connection = number_;
    std::vector<std::string> lines = SplitList(std::string_view(buffer_).substr(0, end), '\n');
    buffer_.erase(0, end + 4);
    const std::vector<std::string> words = SplitList(lines.front(), ' ');
    request.method = words.at(0);
    request.target = words.at(1);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::size_t colon = lines[i].find(':');
      if (colon != std::string::npos) {
        request.headers[LowerCase(lines[i].substr(0, colon))] =
            Trim(std::string_view(lines[i]).substr(colon + 1));
      }
    }
    const std::string length = request.header("content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    while (buffer_.size() < size) {
      if (!Fill()) return std::nullopt;
    }
    request.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    if (ssl_ != nullptr) {
      if (X509* const peer = SSL_get1_peer_certificate(ssl_)) {
        char name[200] = "";
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
        request.client_name = name;
        X509_free(peer);
      }
    }
    return request;
  }

  TestServer& server_;
  int socket_;
  const int number_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  std::string buffer_;
  bool over_ = false;
};

TestServer::TestServer(Handler handler, std::shared_ptr<const Tls> tls, int port)
    : handler_(std::move(handler)), tls_(std::move(tls)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener_, 128), 0);
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

TestServer::~TestServer() {
  stopping_ = true;
  acceptor_.join();
  close(listener_);
  for (std::thread& thread : threads_) thread.join();
}

std::string TestServer::url() const {
  const std::lock_guard lock(const_cast<std::mutex&>(mutex_));
  return fmt::format("{}://127.0.0.1:{}", tls_ != nullptr ? "https" : "http", port_);
}

void TestServer::SetTls(std::shared_ptr<const Tls> tls) {
  const std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
}

void TestServer::Accept() {
  sigset_t broken_pipe;  // here and in the threads made here
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  while (!stopping_) {
    pollfd look{listener_, POLLIN, 0};
    if (poll(&look, 1, static_cast<int>(kLook.count())) <= 0) continue;
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int number = ++connections_;
    std::shared_ptr<const Tls> tls;
    {
      const std::lock_guard lock(mutex_);
      tls = tls_;
    }
    threads_.emplace_back([this, socket, number, tls = std::move(tls)] {
      Connection(*this, socket, number, tls).Serve();
    });
  }
}

void ScriptedApi::On(const std::string& prefix, Step step) {
  const std::lock_guard lock(mutex_);
  steps_[prefix].push_back(std::move(step));
}

void ScriptedApi::Handle(const ServerRequest& request, ServerStream& stream) {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    std::size_t longest = 0;
    std::deque<Step>* best = nullptr;
    for (auto& [prefix, steps] : steps_) {
      if (!steps.empty() && request.target.starts_with(prefix) && prefix.size() >= longest) {
        longest = prefix.size();
        best = &steps;
      }
    }
    if (best != nullptr) {
      step = std::move(best->front());
      best->pop_front();
    }
    changed_.notify_all();
  }
  if (step) return step(request, stream);
  stream.Head(200);
  stream.Chunk(BookmarkAt(request.target, 1));
  stream.Hang();
}

std::vector<ServerRequest> ScriptedApi::Requests(const std::string& prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<ServerRequest> found;
  for (const ServerRequest& request : requests_) {
    if (request.target.starts_with(prefix)) found.push_back(request);
  }
  return found;
}

bool ScriptedApi::WaitForRequests(const std::string& prefix, std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
    return std::count_if(requests_.begin(), requests_.end(), [&](const ServerRequest& request) {
             return request.target.starts_with(prefix);
           }) >= static_cast<std::ptrdiff_t>(count);
  });
}

std::string StoredGzip(std::string_view text) {
  std::uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
  }
  crc = ~crc;
  std::string gzip("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11);
  const auto little = [&gzip](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) gzip += static_cast<char>((value >> (8 * i)) & 0xff);
  };
  const auto size = static_cast<std::uint32_t>(text.size());
  little(size, 2);
  little(~size, 2);
  gzip += text;
  little(crc, 4);
  little(size, 4);
  return gzip;
}

}  // namespace contour::kube
