// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server on loopback for tests, with or without TLS. It has a thread for each
// connection and calls a function of the test for each request. ScriptedApi is such a function,
// with a script of answers per path.
//
// Example:
//   TestServer server(
//       [](const ServerRequest& request, ServerStream& stream) { stream.Answer(200, "text"); });
//   const std::string url = server.url() + "/x";

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kube/testing_certificates.h"

namespace contour::kube {

struct ServerRequest {
  std::string method;
  std::string target;                          // as in the request line
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string client_name;  // common name of the client's certificate
  int connection = 0;       // number of the connection, from 1

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// The answer to one request. All calls return at once when the server stops or the client has gone.
class ServerStream {
 public:
  virtual ~ServerStream() = default;
  // Gives a whole answer with Content-Length.
  virtual void Answer(int status, std::string_view body,
                      const std::vector<std::string>& headers = {}) = 0;
  // These give the answer in pieces: Head, then Chunk for each, then End.
  virtual void Head(int status, const std::vector<std::string>& headers = {}) = 0;
  virtual void Chunk(std::string_view bytes) = 0;
  virtual void End() = 0;
  // Sends bytes as they are.
  virtual void Raw(std::string_view bytes) = 0;
  // Keeps the connection open and silent until the client has gone.
  virtual void Hang() = 0;
  // Closes the connection with a reset.
  virtual void Drop() = 0;
  // Waits. Returns false if the server stops or the client has gone.
  virtual bool Sleep(std::chrono::milliseconds time) = 0;
};

class TestServer {
 public:
  using Handler = std::function<void(const ServerRequest&, ServerStream&)>;
  struct Tls {
    TestCertificate certificate;
    std::string client_ca_pem;  // empty: clients aren't asked for a certificate
  };

  // Starts the server. `port` 0: any port.
  explicit TestServer(Handler handler, std::shared_ptr<const Tls> tls = nullptr, int port = 0);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  int port() const { return port_; }
  std::string url() const;
  int connections() const { return connections_; }
  // Sets the certificate of connections that are made from now on.
  void SetTls(std::shared_ptr<const Tls> tls);

 private:
  class Connection;
  void Accept();

  const Handler handler_;
  std::mutex mutex_;
  std::shared_ptr<const Tls> tls_;  // guarded by mutex_
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::vector<std::thread> threads_;  // of connections; the accepting thread's until it is joined
  std::thread acceptor_;
};

// Answers by path. Each request takes the next step of the longest matching prefix. Without one it
// gets an empty streaming list and then silence.
class ScriptedApi {
 public:
  using Step = TestServer::Handler;

  void On(const std::string& prefix, Step step);
  void Handle(const ServerRequest& request, ServerStream& stream);
  TestServer::Handler AsHandler() {
    return [this](const ServerRequest& request, ServerStream& stream) { Handle(request, stream); };
  }

  // Returns the requests so far whose targets have this beginning.
  std::vector<ServerRequest> Requests(const std::string& prefix) const;
  // Waits until there are as many. Returns false if that takes longer than ten seconds.
  bool WaitForRequests(const std::string& prefix, std::size_t count) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, std::deque<Step>> steps_;
  std::vector<ServerRequest> requests_;
};

// Returns a gzip member whose content isn't compressed; at most 65,535 bytes.
std::string StoredGzip(std::string_view text);

}  // namespace contour::kube
