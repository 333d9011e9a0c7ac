// SPDX-License-Identifier: Apache-2.0
// A loop and transport for tests: the test moves the clock and gives the answers. For one thread.
//
// Example:
//   FakeIo io;
//   // …something starts on (io, io) and asks for the path.
//   FakeIo::Exchange& watch = io.Next("/api/v1/services");  // the oldest request without a head
//   watch.Head(200).Body("…");
//   io.Advance(5min);  // timers fire in their order

#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kube/loop.h"
#include "kube/transport.h"

namespace contour::kube {

class FakeIo final : public Loop, public Transport {
 public:
  // One request and the test's answer. Answers reach the handler at once; then the tasks that it
  // queued run.
  class Exchange {
   public:
    Exchange(FakeIo& io, HttpRequest r, HttpHandler& handler)
        : request(std::move(r)), io_(io), handler_(&handler) {}

    Exchange& Head(int status, std::optional<std::chrono::seconds> retry_after = {}) {
      answered_ = true;
      return Tell([&](HttpHandler& handler) { handler.OnHead({status, retry_after}); });
    }
    Exchange& Body(std::string_view bytes) {
      io_.last_received_ = io_.now_;
      return Tell([&](HttpHandler& handler) { handler.OnBody(bytes); });
    }
    void End(const absl::Status& status = absl::OkStatus()) {
      answered_ = true;
      if (HttpHandler* const handler = std::exchange(handler_, nullptr)) {
        handler->OnEnd(status);
        io_.RunPosted();
      }
    }
    // Gives a whole answer.
    void Answer(int status, std::string_view body,
                std::optional<std::chrono::seconds> retry_after = {}) {
      Head(status, retry_after);
      if (!body.empty()) Body(body);
      End();
    }
    // True if the request was cancelled or has ended.
    bool gone() const { return handler_ == nullptr; }
    bool answered() const { return answered_; }

    std::string path() const {
      const std::size_t scheme = request.url.find("://");
      const std::size_t slash = request.url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
      return slash == std::string::npos ? "" : request.url.substr(slash);
    }
    std::string header(std::string_view name) const {
      for (const auto& [key, value] : request.headers) {
        if (key == name) return value;
      }
      return "";
    }

    const HttpRequest request;

   private:
    friend class FakeIo;
    template <typename Call>
    Exchange& Tell(Call&& call) {
      EXPECT_FALSE(gone()) << request.url;
      if (handler_ != nullptr) call(*handler_);
      io_.RunPosted();
      return *this;
    }

    FakeIo& io_;
    HttpHandler* handler_;
    bool answered_ = false;
  };

  // ---- For the test

  void RunPosted() {
    while (!posted_.empty()) {
      const std::function<void()> task = std::move(posted_.front());
      posted_.pop_front();
      task();
    }
  }

  void Advance(Clock::duration time) {
    RunPosted();
    const TimePoint end = now_ + time;
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto due = timers_.extract(timers_.begin());
      now_ = std::max(now_, due.key().first);
      due.mapped()();
      RunPosted();
    }
    now_ = end;
  }

  // Returns the oldest request for a path with this beginning that isn't gone and has no head yet;
  // the test fails if there is none.
  Exchange& Next(std::string_view path) {
    Exchange* const found = Find(path);
    if (found != nullptr) return *found;
    ADD_FAILURE() << "no request for " << path << "; open: " << Open();
    static FakeIo nowhere;
    static NullHandler nobody;
    nowhere.exchanges_.push_back(std::make_unique<Exchange>(nowhere, HttpRequest{}, nobody));
    return *nowhere.exchanges_.back();
  }
  // Returns the same request, nullptr if there is none.
  Exchange* Find(std::string_view path) {
    RunPosted();
    for (const auto& exchange : exchanges_) {
      if (!exchange->gone() && !exchange->answered() && exchange->path().starts_with(path))
        return exchange.get();
    }
    return nullptr;
  }
  // Returns the oldest such request for this path and no longer one.
  Exchange& NextAt(std::string_view path) {
    RunPosted();
    for (const auto& exchange : exchanges_) {
      if (!exchange->gone() && !exchange->answered() && exchange->path() == path) return *exchange;
    }
    return Next(fmt::format("{} exactly", path));  // which fails
  }
  // Returns the number of requests made so far for paths with this beginning.
  int Count(std::string_view path) {
    RunPosted();
    int count = 0;
    for (const auto& exchange : exchanges_) count += exchange->path().starts_with(path) ? 1 : 0;
    return count;
  }
  std::string Open() const {
    std::string text;
    for (const auto& exchange : exchanges_) {
      if (!exchange->gone())
        text += exchange->path() + (exchange->answered() ? " (answered) " : " ");
    }
    return text;
  }
  void set_random(double random) { random_ = random; }
  int resets() const { return resets_; }

  // ---- Loop

  TimePoint Now() const override { return now_; }
  double Random() override { return random_; }
  TimerId RunAfter(Clock::duration delay, std::function<void()> task) override {
    const auto id = static_cast<TimerId>(++last_id_);
    timers_.emplace(std::pair(now_ + delay, id), std::move(task));
    return id;
  }
  void CancelTimer(TimerId timer) override {
    for (auto entry = timers_.begin(); entry != timers_.end(); ++entry) {
      if (entry->first.second == timer) {
        timers_.erase(entry);
        return;
      }
    }
  }
  void Post(std::function<void()> task) override { posted_.push_back(std::move(task)); }
  void Run(const std::function<void()>& task) override {
    RunPosted();
    task();
  }

  // ---- Transport

  RequestId Start(HttpRequest request, HttpHandler& handler) override {
    const auto id = static_cast<RequestId>(++last_id_);
    exchanges_.push_back(std::make_unique<Exchange>(*this, std::move(request), handler));
    ids_[id] = exchanges_.back().get();
    Exchange& exchange = *exchanges_.back();
    if (exchange.request.may_start) {
      Post([&exchange] {
        if (!exchange.request.may_start())
          exchange.End(absl::FailedPreconditionError("no longer allowed to start"));
      });
    }
    return id;
  }
  void Cancel(RequestId id) override {
    const auto found = ids_.find(id);
    if (found != ids_.end()) found->second->handler_ = nullptr;
  }
  std::optional<TimePoint> LastReceived() const override { return last_received_; }
  void ResetConnections() override {
    ++resets_;
    Post([this] {
      for (std::size_t i = 0, count = exchanges_.size(); i < count; ++i) {
        if (HttpHandler* const handler = std::exchange(exchanges_[i]->handler_, nullptr)) {
          exchanges_[i]->answered_ = true;
          handler->OnEnd(absl::UnavailableError("connection given up"));
        }
      }
    });
  }

 private:
  struct NullHandler final : HttpHandler {
    void OnHead(const HttpHead&) override {}
    void OnBody(std::string_view) override {}
    void OnEnd(const absl::Status&) override {}
  };

  TimePoint now_ = TimePoint(std::chrono::hours(1000));
  double random_ = 0.5;
  std::uint64_t last_id_ = 0;
  std::map<std::pair<TimePoint, TimerId>, std::function<void()>> timers_;
  std::deque<std::function<void()>> posted_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::map<RequestId, Exchange*> ids_;
  std::optional<TimePoint> last_received_;
  int resets_ = 0;
};

}  // namespace contour::kube
