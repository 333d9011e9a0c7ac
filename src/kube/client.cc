// SPDX-License-Identifier: Apache-2.0

#include "kube/client.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "kube/api_status.h"
#include "kube/resources.h"
#include "kube/session.h"

namespace contour::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostBody = 4 * 1024 * 1024;
constexpr seconds kShortestPause{1};  // of a 429 that says nothing

}  // namespace

class Client::Impl {
 public:
  Impl(std::shared_ptr<Credentials> credentials, ClientOptions options, Loop& loop,
       Transport& transport)
      : options_(std::move(options)),
        loop_(loop),
        session_(std::make_unique<Session>(std::move(credentials), loop, transport)),
        tokens_(options_.burst),
        refilled_(loop.Now()),
        pump_timer_(std::make_unique<Timer>(loop)) {}

  ~Impl() {
    loop_.Run([this] {  // after all that was posted before
      queue_.clear();
      exchanges_.clear();
      pump_timer_.reset();
      session_.reset();
    });
  }

  RequestId Send(Request request, Done done) {
    const auto id = static_cast<RequestId>(++last_id_);
    const TimePoint deadline = loop_.Now() + request.deadline;
    loop_.Post(
        [this, id, deadline, request = std::move(request), done = std::move(done)]() mutable {
          auto exchange =
              std::make_unique<Exchange>(*this, id, std::move(request), std::move(done), deadline);
          Exchange& added = *exchanges_.emplace(id, std::move(exchange)).first->second;
          added.Enqueue();
        });
    return id;
  }

  void Cancel(RequestId id) {
    loop_.Run([this, id] { exchanges_.erase(id); });
  }

 private:
  // One request under way, with its repetitions.
  class Exchange final : public HttpHandler {
   public:
    Exchange(Impl& client, RequestId id, Request request, Done done, TimePoint deadline)
        : client_(client),
          id_(id),
          request_(std::move(request)),
          done_(std::move(done)),
          deadline_(deadline),
          deadline_timer_(client.loop_) {
      deadline_timer_.Set(deadline - client.loop_.Now(), [this] {
        Finish({.status = absl::DeadlineExceededError(
                    fmt::format("no answer within {} ms", request_.deadline.count()))});
      });
    }
    ~Exchange() { Abort(); }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    void Enqueue() {
      if (request_.urgent) return Start();
      client_.queue_.push_back(id_);
      client_.Pump();
    }

    void Start() {
      head_ = {};
      body_.clear();
      ApiRequest request;
      request.method = request_.method;
      request.path = request_.path;
      request.content_type = request_.content_type;
      request.body = request_.body;
      request.may_start = request_.may_start;
      call_ = client_.session_->Start(std::move(request), *this);
    }

   private:
    void OnHead(const HttpHead& head) override { head_ = head; }

    void OnBody(std::string_view bytes) override {
      body_ += bytes;
      if (body_.size() <= kMostBody) return;
      Finish({.status = absl::ResourceExhaustedError(
                  fmt::format("the answer is larger than {} bytes", kMostBody)),
              .http_status = head_.status});
    }

    void OnEnd(const absl::Status& status) override {
      call_.reset();
      if (!status.ok()) return Finish({.status = status, .http_status = head_.status});
      const ApiStatus api = ParseApiStatus(head_.status, head_.status >= 300 ? body_ : "");
      Response response{
          .status = ToStatus(api), .http_status = head_.status, .retry_after = head_.retry_after};
      if (!response.retry_after) response.retry_after = api.retry_after;
      if (head_.status == 429) {
        const seconds pause =
            std::max(response.retry_after.value_or(kShortestPause), kShortestPause);
        if (client_.loop_.Now() + pause < deadline_) {
          client_.Pause(pause);
          client_.queue_.push_front(id_);
          return client_.Pump();
        }
      }
      response.body = std::move(body_);
      Finish(response);
    }

    void Finish(const Response& response) {
      const auto self = client_.exchanges_.extract(id_);  // until the end of this function
      Abort();
      if (done_) done_(response);
    }

    void Abort() {
      if (call_) client_.session_->Cancel(*std::exchange(call_, std::nullopt));
    }

    Impl& client_;
    const RequestId id_;
    const Request request_;
    const Done done_;
    const TimePoint deadline_;
    Timer deadline_timer_;
    std::optional<Session::CallId> call_;
    HttpHead head_;
    std::string body_;
  };

  // Starts the requests that the bucket permits.
  void Pump() {
    const TimePoint now = loop_.Now();
    const std::chrono::duration<double> since = now - refilled_;
    tokens_ = std::min<double>(options_.burst, tokens_ + since.count() * options_.per_second);
    refilled_ = now;
    while (!queue_.empty() && now >= paused_until_ && tokens_ >= 1) {
      const RequestId id = queue_.front();
      queue_.pop_front();
      const auto found = exchanges_.find(id);
      if (found == exchanges_.end()) continue;  // cancelled, or its deadline passed
      tokens_ -= 1;
      found->second->Start();
    }
    if (queue_.empty()) return;
    const std::chrono::duration<double> refill((1 - tokens_) / options_.per_second);
    const auto next = std::max(paused_until_, now + std::chrono::ceil<milliseconds>(refill));
    pump_timer_->Set(next - now, [this] { Pump(); });
  }

  void Pause(seconds pause) { paused_until_ = std::max(paused_until_, loop_.Now() + pause); }

  const ClientOptions options_;
  Loop& loop_;
  std::atomic<std::uint64_t> last_id_ = 0;

  // The following are used on the loop's thread only.
  std::unique_ptr<Session> session_;
  std::map<RequestId, std::unique_ptr<Exchange>> exchanges_;
  std::deque<RequestId> queue_;  // of those that wait for the bucket
  double tokens_;
  TimePoint refilled_;
  TimePoint paused_until_;
  std::unique_ptr<Timer> pump_timer_;
};

Client::Client(std::shared_ptr<Credentials> credentials, ClientOptions options)
    : io_(std::make_unique<CurlIo>(options.io)),
      impl_(std::make_unique<Impl>(std::move(credentials), std::move(options), *io_, *io_)) {}

Client::Client(std::shared_ptr<Credentials> credentials, ClientOptions options, Loop& loop,
               Transport& transport)
    : impl_(std::make_unique<Impl>(std::move(credentials), std::move(options), loop, transport)) {}

Client::~Client() = default;

Client::RequestId Client::Send(Request request, Done done) {
  return impl_->Send(std::move(request), std::move(done));
}

void Client::Cancel(RequestId id) { impl_->Cancel(id); }

Response Client::Call(Request request) {
  Notification ended;
  Response result;
  impl_->Send(std::move(request), [&](const Response& response) {
    result = response;
    ended.Notify();
  });
  ended.Wait();
  return result;
}

Request MergePatchStatus(const api::ObjectRef& ref, std::string_view resource_version,
                         std::string_view status) {
  Request request;
  request.method = "PATCH";
  request.path = fmt::format("{}/status?fieldManager={}", ObjectPath(ref), kFieldManager);
  request.content_type = "application/merge-patch+json";
  request.body = fmt::format(R"({{"metadata":{{"resourceVersion":{}}},"status":{}}})",
                             nlohmann::json(std::string(resource_version)).dump(), status);
  return request;
}

}  // namespace contour::kube
