// SPDX-License-Identifier: Apache-2.0

#include "kube/curl_io.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <map>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/strings.h"
#include "kube/url.h"

namespace contour::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kMostRetryAfter{24 * 60 * 60};
// The usual limit of HTTP/2, which API servers have too.
constexpr std::size_t kStreamsPerConnection = 100;
constexpr seconds kOpenerPatience{2};

void GlobalInit() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

std::optional<int> ParseInt(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Returns a blob of the text, which the request keeps as long as the handle lives.
curl_blob Blob(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY};
}

class StringList {
 public:
  StringList() = default;
  ~StringList() { curl_slist_free_all(list_); }
  StringList(const StringList&) = delete;
  StringList& operator=(const StringList&) = delete;

  void Add(const std::string& text) { list_ = curl_slist_append(list_, text.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

// One running request.
struct Transfer {
  Transfer(Transport::RequestId i, HttpRequest r, HttpHandler& h)
      : id(i), request(std::move(r)), handler(&h), easy(curl_easy_init()) {}
  ~Transfer() { curl_easy_cleanup(easy); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  const Transport::RequestId id;
  const HttpRequest request;
  HttpHandler* handler;  // nullptr: cancelled
  CURL* const easy;
  StringList headers;
  StringList connect_to;
  std::array<char, CURL_ERROR_SIZE> error{};
  HttpHead head;
  bool head_delivered = false;
  std::optional<TimePoint>* last_received = nullptr;
};

std::size_t OnHeader(char* data, std::size_t one, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.handler == nullptr) return 0;
  *transfer.last_received = Clock::now();
  const std::string_view line = Trim(std::string_view(data, one * size));
  if (line.starts_with("HTTP/")) {  // a final response may follow a 1xx
    transfer.head = {};
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      transfer.head.status = ParseInt(line.substr(space + 1, 3)).value_or(0);
    }
  } else if (line.empty()) {
    if (transfer.head.status >= 200 && !std::exchange(transfer.head_delivered, true)) {
      transfer.handler->OnHead(transfer.head);
    }
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    if (LowerCase(line.substr(0, colon)) == "retry-after") {
      const std::optional<int> wait = ParseInt(Trim(line.substr(colon + 1)));
      if (wait && *wait >= 0) transfer.head.retry_after = std::min(seconds(*wait), kMostRetryAfter);
    }
  }
  return one * size;
}

std::size_t OnBody(char* data, std::size_t one, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.handler == nullptr) return 0;
  *transfer.last_received = Clock::now();
  if (size > 0) transfer.handler->OnBody({data, one * size});
  return one * size;
}

int OnSocket(void* user, curl_socket_t socket, curlsocktype) {
  const auto& options = *static_cast<const CurlIo::Options*>(user);
  const auto set = [socket](int level, int name, std::int64_t value) {
    const int number = static_cast<int>(value);
    setsockopt(socket, level, name, &number, sizeof number);  // without it we still work
  };
  const std::int64_t interval = std::max<std::int64_t>(1, options.keepalive_interval.count());
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, std::max<std::int64_t>(1, options.keepalive_idle.count()));
  set(IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set(IPPROTO_TCP, TCP_KEEPCNT,
      std::clamp<std::int64_t>(options.user_timeout.count() / 1000 / interval, 1, 100));
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout.count());
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  return CURL_SOCKOPT_OK;
}

int OnReady(void* user, char*, char*, int, int) {
  const auto& transfer = *static_cast<const Transfer*>(user);
  return transfer.handler != nullptr && transfer.request.may_start() ? CURL_PREREQFUNC_OK
                                                                     : CURL_PREREQFUNC_ABORT;
}

absl::Status StatusOf(CURLcode code, const Transfer& transfer) {
  if (code == CURLE_OK) return absl::OkStatus();
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    return absl::FailedPreconditionError("no longer allowed to start");
  }
  std::string text = curl_easy_strerror(code);
  if (transfer.error[0] != '\0') text += fmt::format(": {}", Trim(transfer.error.data()));
  if (code == CURLE_OPERATION_TIMEDOUT) return absl::DeadlineExceededError(text);
  return absl::UnavailableError(text);
}

}  // namespace

class CurlIo::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)), random_(std::random_device()()) {
    GlobalInit();
    SetMulti();
    thread_ = std::thread([this] { Main(); });
  }

  ~Impl() { Stop(); }

  void Stop() {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
      if (wakeup_target_ != nullptr) curl_multi_wakeup(wakeup_target_);
    }
    std::call_once(joined_, [this] { thread_.join(); });
  }

  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  TimerId RunAfter(Clock::duration delay, std::function<void()> task) {
    const auto id = static_cast<TimerId>(++last_id_);
    const TimePoint when = Clock::now() + delay;
    timers_.emplace(std::pair(when, id), std::move(task));
    timer_times_.emplace(id, when);
    return id;
  }

  void CancelTimer(TimerId timer) {
    const auto found = timer_times_.find(timer);
    if (found == timer_times_.end()) return;
    timers_.erase({found->second, timer});
    timer_times_.erase(found);
  }

  void Post(std::function<void()> task) {
    const MutexLock lock(mutex_);
    if (stopping_) return;  // `task` is a parameter: it dies after the lock
    posted_.push_back(std::move(task));
    if (posted_.size() == 1) curl_multi_wakeup(wakeup_target_);
  }

  void Run(const std::function<void()>& task) {
    if (std::this_thread::get_id() == thread_id_.load()) return task();
    // Notified when the posted task has run or was dropped.
    struct Ticket {
      Notification& gone;
      ~Ticket() { gone.Notify(); }
    };
    Notification gone;
    std::atomic<bool> ran = false;
    Post([&task, &ran, ticket = std::make_shared<Ticket>(gone)] {
      task();
      ran = true;
    });
    gone.Wait();
    if (!ran) task();
  }

  RequestId Start(HttpRequest request, HttpHandler& handler) {
    const auto id = static_cast<RequestId>(++last_id_);
    started_.push_back(std::make_unique<Transfer>(id, std::move(request), handler));
    return id;
  }

  void Cancel(RequestId id) {
    const auto waiting = std::find_if(started_.begin(), started_.end(),
                                      [id](const auto& transfer) { return transfer->id == id; });
    if (waiting != started_.end()) {
      started_.erase(waiting);
      return;
    }
    if (const auto ended = ended_.find(id); ended != ended_.end()) {
      ended->second->handler = nullptr;
      return;
    }
    const auto found = running_.find(id);
    if (found == running_.end() || found->second->handler == nullptr) return;
    // This may be called in one of its callbacks, so it is removed after curl_multi_perform.
    found->second->handler = nullptr;
    cancelled_.push_back(id);
  }

  std::optional<TimePoint> LastReceived() const { return last_received_; }

  void ResetConnections() { reset_wanted_ = true; }

 private:
  void Main() {
    thread_id_ = std::this_thread::get_id();
    pthread_setname_np(pthread_self(), options_.name.substr(0, 15).c_str());
    // A write to a connection that the server has closed must be an error, not the end of the
    // process.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    while (RunPosted()) {
      RunTimers();
      if (std::exchange(reset_wanted_, false)) Reset();
      AddStarted();
      RemoveCancelled();
      int unused = 0;
      if (const CURLMcode code = curl_multi_perform(multi_, &unused); code != CURLM_OK) {
        log::Error("kube", "HTTP transport failed", {{"error", curl_multi_strerror(code)}});
      }
      Reap();
      RemoveCancelled();
      curl_multi_poll(multi_, nullptr, 0, static_cast<int>(PollTime().count()), nullptr);
    }
    for (auto& [id, transfer] : running_) curl_multi_remove_handle(multi_, transfer->easy);
    running_.clear();
    started_.clear();
    timers_.clear();
    curl_multi_cleanup(multi_);
  }

  // Runs the posted tasks. Returns false if the thread is to stop.
  bool RunPosted() {
    std::vector<std::function<void()>> tasks;
    {
      const MutexLock lock(mutex_);
      tasks.swap(posted_);
      if (stopping_) {
        wakeup_target_ = nullptr;
        return false;
      }
    }
    for (std::function<void()>& task : tasks) std::exchange(task, nullptr)();
    return true;
  }

  void RunTimers() {
    const TimePoint now = Clock::now();  // what is set meanwhile waits for the next round
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      auto due = timers_.extract(timers_.begin());
      timer_times_.erase(due.key().second);
      due.mapped()();
    }
  }

  milliseconds PollTime() {
    milliseconds time{60'000};
    if (reset_wanted_) time = milliseconds(0);
    if (!started_.empty()) time = std::min(time, OpenerWait().value_or(milliseconds(0)));
    if (!timers_.empty()) {
      const auto left = timers_.begin()->first.first - Clock::now();
      time = std::min(time, std::chrono::ceil<milliseconds>(left));
    }
    return std::max(time, milliseconds(0));
  }

  void SetMulti() {
    multi_ = curl_multi_init();
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi_, CURLMOPT_MAX_CONCURRENT_STREAMS,
                      static_cast<long>(kStreamsPerConnection));
    const MutexLock lock(mutex_);
    wakeup_target_ = multi_;
    if (!posted_.empty()) curl_multi_wakeup(multi_);
  }

  void Reset() {
    ended_.swap(running_);
    cancelled_.clear();
    CURLM* const old = multi_;
    for (auto& [id, transfer] : ended_) curl_multi_remove_handle(old, transfer->easy);
    SetMulti();
    curl_multi_cleanup(old);
    for (auto& [id, transfer] : ended_) {  // a handler may cancel others of those that ended
      if (HttpHandler* const handler = std::exchange(transfer->handler, nullptr)) {
        handler->OnEnd(absl::UnavailableError("connection given up: nothing came over it"));
      }
    }
    ended_.clear();
  }

  void AddStarted() {
    while (!started_.empty() && !OpenerWait()) {
      std::unique_ptr<Transfer> transfer = std::move(started_.front());
      started_.erase(started_.begin());
      const RequestId id = transfer->id;
      if (!running_.empty() && running_.size() % kStreamsPerConnection == 0) {
        opener_ = id;
        opener_begun_ = Clock::now();
      }
      Prepare(*transfer);
      curl_multi_add_handle(multi_, transfer->easy);
      running_.emplace(id, std::move(transfer));
    }
  }

  // Returns how long the other requests wait for the one that opens the next connection; nullopt:
  // they don't wait. While all connections are full, libcurl 7.88 would make one for each request
  // instead of waiting for the first.
  std::optional<milliseconds> OpenerWait() {
    if (!opener_) return std::nullopt;
    const auto opener = running_.find(*opener_);
    const auto left = opener_begun_ + kOpenerPatience - Clock::now();
    if (opener == running_.end() || opener->second->head_delivered ||
        left <= Clock::duration::zero()) {
      opener_.reset();
      return std::nullopt;
    }
    return std::chrono::ceil<milliseconds>(left);
  }

  void Prepare(Transfer& transfer) {
    const HttpRequest& request = transfer.request;
    CURL* const easy = transfer.easy;
    transfer.last_received = &last_received_;
    const auto set = [easy](CURLoption option, auto value) {
      curl_easy_setopt(easy, option, value);
    };

    set(CURLOPT_PRIVATE, static_cast<void*>(&transfer));
    set(CURLOPT_ERRORBUFFER, transfer.error.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // never wait for a name look-up that was given up
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    // Waits for a connection that is being made rather than make a second one. Over plain HTTP/1.1
    // the wait would last until the first request has ended, which a watch doesn't.
    if (request.url.starts_with("https:")) set(CURLOPT_PIPEWAIT, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
    if (request.timeout) {
      set(CURLOPT_TIMEOUT_MS,
          static_cast<long>(std::max<std::int64_t>(1, request.timeout->count())));
    }
    set(CURLOPT_BUFFERSIZE, options_.buffer_bytes);
    if (request.accept_gzip) set(CURLOPT_ACCEPT_ENCODING, "gzip");
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_USERAGENT, options_.user_agent.c_str());
    set(CURLOPT_SOCKOPTFUNCTION, OnSocket);
    set(CURLOPT_SOCKOPTDATA, static_cast<void*>(&options_));
    set(CURLOPT_HEADERFUNCTION, OnHeader);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, OnBody);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));

    for (const auto& [name, value] : request.headers)
      transfer.headers.Add(fmt::format("{}: {}", name, value));
    transfer.headers.Add("Expect:");  // no round trip before a body
    if (request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.c_str());
    }
    if (request.method != "GET") set(CURLOPT_CUSTOMREQUEST, request.method.c_str());

    if (request.may_start) {
      set(CURLOPT_PREREQFUNCTION, OnReady);
      set(CURLOPT_PREREQDATA, static_cast<void*>(&transfer));
    }
    // The proxy has been chosen (proxy.h), since libcurl has other rules for the environment.
    set(CURLOPT_PROXY, request.proxy.c_str());
    set(CURLOPT_NOPROXY, "");
    std::string url = request.url;
    if (request.tls != nullptr) PrepareTls(transfer, &url);
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, transfer.headers.get());
  }

  static void PrepareTls(Transfer& transfer, std::string* url) {
    const TlsOptions& tls = *transfer.request.tls;
    CURL* const easy = transfer.easy;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!tls.ca_pem.empty()) {
      const curl_blob blob = Blob(tls.ca_pem);
      curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
      // The packaged library would trust the system's folder too.
      curl_easy_setopt(easy, CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!tls.cert_pem.empty()) {
      const curl_blob cert = Blob(tls.cert_pem);
      const curl_blob key = Blob(tls.key_pem);
      curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert);
      curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
      curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
      curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
    }
    if (tls.skip_verify) {
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
      curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (!tls.server_name.empty()) {
      // libcurl checks the certificate against the URL's host. So the URL gets the name, the
      // connection goes to the address, and the server sees the address as before.
      const Url address = SplitUrl(*url);
      transfer.headers.Add("Host: " + address.authority);
      transfer.connect_to.Add(
          fmt::format("{}:{}:{}:{}", tls.server_name, address.port, address.host, address.port));
      curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer.connect_to.get());
      *url =
          fmt::format("{}://{}:{}{}", address.scheme, tls.server_name, address.port, address.path);
    }
  }

  void Reap() {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      void* user = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      const auto node = running_.extract(static_cast<Transfer*>(user)->id);
      Transfer& transfer = *node.mapped();
      curl_multi_remove_handle(multi_, transfer.easy);
      if (transfer.handler == nullptr) continue;
      absl::Status status = StatusOf(code, transfer);
      if (status.ok() && !transfer.head_delivered) {
        status = absl::UnavailableError("the answer has no HTTP status");
      }
      transfer.handler->OnEnd(status);
    }
  }

  void RemoveCancelled() {
    for (const RequestId id : std::exchange(cancelled_, {})) {
      const auto found = running_.find(id);
      if (found == running_.end()) continue;
      curl_multi_remove_handle(multi_, found->second->easy);
      running_.erase(found);
    }
  }

  Options options_;
  std::mt19937_64 random_;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_;
  std::once_flag joined_;

  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  CURLM* wakeup_target_ ABSL_GUARDED_BY(mutex_) = nullptr;  // multi_ while the thread runs

  // The following are used on the loop's thread only.
  CURLM* multi_ = nullptr;
  std::uint64_t last_id_ = 0;
  std::map<std::pair<TimePoint, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, TimePoint> timer_times_;
  std::vector<std::unique_ptr<Transfer>> started_;  // not yet handed to libcurl
  std::map<RequestId, std::unique_ptr<Transfer>> running_;
  std::optional<RequestId> opener_;  // of running_; see OpenerWait
  TimePoint opener_begun_;
  std::vector<RequestId> cancelled_;                      // of running_
  std::map<RequestId, std::unique_ptr<Transfer>> ended_;  // those that a reset ends, while it does
  bool reset_wanted_ = false;
  std::optional<TimePoint> last_received_;
};

CurlIo::CurlIo(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
CurlIo::~CurlIo() = default;
void CurlIo::Stop() { impl_->Stop(); }
TimePoint CurlIo::Now() const { return Clock::now(); }
double CurlIo::Random() { return impl_->Random(); }
Loop::TimerId CurlIo::RunAfter(Clock::duration delay, std::function<void()> task) {
  return impl_->RunAfter(delay, std::move(task));
}
void CurlIo::CancelTimer(TimerId timer) { impl_->CancelTimer(timer); }
void CurlIo::Post(std::function<void()> task) { impl_->Post(std::move(task)); }
void CurlIo::Run(const std::function<void()>& task) { impl_->Run(task); }
Transport::RequestId CurlIo::Start(HttpRequest request, HttpHandler& handler) {
  return impl_->Start(std::move(request), handler);
}
void CurlIo::Cancel(RequestId id) { impl_->Cancel(id); }
std::optional<TimePoint> CurlIo::LastReceived() const { return impl_->LastReceived(); }
void CurlIo::ResetConnections() { impl_->ResetConnections(); }

}  // namespace contour::kube
