// SPDX-License-Identifier: Apache-2.0
#include "leader/election.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "kube/client.h"
#include "kube/curl_io.h"
#include "kube/event.h"
#include "kube/object_watch.h"
#include "kube/resources.h"
#include "kube/session.h"
#include "kube/url.h"

namespace contour::leader {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kContext = "leader";
constexpr std::size_t kMostEvents = 8;  // that wait for the API server

std::string ApiVersion(LockKind kind) {
  return kind == LockKind::kLease ? "coordination.k8s.io/v1" : "v1";
}

std::string Collection(const Options& options) {
  return kube::CollectionPath(ApiVersion(options.kind),
                              options.kind == LockKind::kLease ? "leases" : "configmaps",
                              options.ns);
}

kube::CurlIo::Options IoOptions(const Options& options) {
  kube::CurlIo::Options io{.name = "kube-lock"};
  // A dead connection must be noticed within the renew deadline.
  io.connect_timeout = options.renew_deadline / 3;
  io.user_timeout = std::max<milliseconds>(options.renew_deadline / 2, seconds(2));
  io.keepalive_idle = seconds(3);
  io.keepalive_interval = seconds(1);
  return io;
}

// Returns an Event as client-go's recorder makes it.
kube::Event EventOf(const Options& options, const Reading& lock, std::string_view what,
                    std::chrono::system_clock::time_point now) {
  const auto nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  kube::Event event;
  event.name = fmt::format("{}.{:x}", options.name, nanoseconds);
  event.object = {ApiVersion(options.kind),
                  options.kind == LockKind::kLease ? "Lease" : "ConfigMap",
                  options.ns,
                  options.name,
                  lock.uid,
                  lock.resource_version};
  event.reason = "LeaderElection";
  event.message = fmt::format("{} {}", options.identity, what);
  event.time = FormatTime(LockKind::kConfigMap, now);
  event.instance = options.identity;
  return event;
}

// Reads and writes the lock's object by the client.
class ApiLock final : public Lock {
 public:
  ApiLock(const Options& options, kube::Client& client, std::function<void()> on_no_answer)
      : options_(options), client_(client), on_no_answer_(std::move(on_no_answer)) {}

  void Read(Done done) override { Send("GET", path(), "", std::move(done)); }
  void Create(const Record& record, Done done) override {
    Send("POST", Collection(options_), NewObject(options_, record), std::move(done));
  }
  void Update(const Reading& base, const Record& record, Done done) override {
    Send("PUT", path(), WithRecord(options_.kind, base, record), std::move(done));
  }

 private:
  std::string path() const {
    return fmt::format("{}/{}", Collection(options_), kube::UrlEncode(options_.name));
  }
  void Send(const char* method, std::string path, std::string body, Done done) {
    kube::Request request;
    request.method = method;
    request.path = std::move(path);
    request.body = std::move(body);
    request.urgent = true;
    request.deadline = std::max(options_.renew_deadline * 2 / 5, milliseconds(500));
    client_.Send(std::move(request), [this, done = std::move(done)](const kube::Response& answer) {
      if (absl::IsDeadlineExceeded(answer.status)) on_no_answer_();
      if (!answer.status.ok()) return done(answer.status);
      done(Parse(options_.kind, answer.body));
    });
  }

  const Options& options_;
  kube::Client& client_;
  const std::function<void()> on_no_answer_;
};

}  // namespace

class Election::Impl final : public Elector::Listener, public kube::ObjectWatch::Listener {
 public:
  Impl(std::shared_ptr<kube::Credentials> credentials, const Options& options,
       AddressOptions address, std::function<void(const View&)> on_view)
      : options_(options),
        on_view_(std::move(on_view)),
        io_(IoOptions(options)),
        client_(std::make_unique<kube::Client>(credentials, kube::ClientOptions(), io_, io_)),
        // If the server doesn't answer, its connection may be dead, so the next try takes a new
        // one.
        lock_(options_, *client_, [this] { io_.ResetConnections(); }),
        elector_(std::make_unique<Elector>(
            options_, Elector::Clocks{BootNow, [] { return std::chrono::system_clock::now(); }},
            io_, lock_, *this)),
        ticked_(BootNow().count()) {
    io_.Run([&] {
      session_ = std::make_unique<kube::Session>(credentials, io_, io_);
      watch_ = std::make_unique<kube::ObjectWatch>(
          *session_, Collection(options_), options_.name,
          kube::ObjectWatch::Options{.backoff = {milliseconds(500), milliseconds(5'000)}}, *this);
      address_ = std::make_unique<leader::Address>(
          std::move(address), *client_, io_, [this] { return MayWrite(); },
          [this](const Address::State& state) {
            view_.address = state;
            Show();
          });
      tick_timer_ = std::make_unique<kube::Timer>(io_);
      Tick();
    });
  }

  ~Impl() {
    io_.Run([this] {
      tick_timer_.reset();
      address_.reset();
      watch_.reset();
      session_.reset();
      // Its timers belong to the loop. Answers that come later are dropped.
      client_.reset();
      elector_.reset();
    });
    io_.Stop();
  }

  void Start() {
    io_.Run([this] {
      log::Info(
          kContext, "leader election",
          {{"lock", fmt::format("{} {}/{}", KindName(options_.kind), options_.ns, options_.name)},
           {"identity", options_.identity}});
      elector_->Start();
      watch_->Start();
    });
  }

  void Contend() {
    io_.Run([this] { elector_->Contend(); });
  }

  void PublishAddress() {
    io_.Post([this] {
      if (elector_->state().role == Role::kLeader) address_->Publish();
    });
  }

  void Stop(milliseconds patience) {
    struct Release {
      Mutex mutex;
      Condition changed;
      bool done ABSL_GUARDED_BY(mutex) = false;
    };
    const auto release = std::make_shared<Release>();
    io_.Post([this, release] {
      elector_->Release([release] {
        const MutexLock lock(release->mutex);
        release->done = true;
        release->changed.NotifyAll();
      });
    });
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const MutexLock lock(release->mutex);
    while (!release->done) {
      if (release->changed.WaitUntil(release->mutex, deadline)) continue;
      log::Warning(kContext, "the lock was not released in time",
                   {{"milliseconds", patience.count()}});
      return;
    }
  }

  bool MayWrite() const { return elector_->MayWrite(); }

  View view() const {
    const MutexLock lock(mutex_);
    return shown_;
  }

  std::string NotAlive() const {
    const auto silent = BootNow() - BootTime(ticked_.load());
    const auto limit = options_.lease_duration + options_.renew_deadline;
    if (silent <= limit) return "";
    return fmt::format("leader election: its thread has done nothing for {} s",
                       std::chrono::duration_cast<seconds>(silent).count());
  }

 private:
  // Implements Elector::Listener.
  void OnState(const Elector::State& state) override {
    if (state.role != Role::kLeader) address_->Withdraw();
    const bool reached = state.sight == Sight::kClear;
    view_.elector = state;
    Show();
    if (reached) SendEvents();
  }
  void OnTurn(std::string_view what, const Reading& lock) override {
    if (events_.size() == kMostEvents) events_.pop_front();
    events_.push_back(EventOf(options_, lock, what, std::chrono::system_clock::now()));
  }

  // Implements kube::ObjectWatch::Listener.
  void OnOpen() override { Watching(true); }
  void OnObject(std::string_view object, bool deleted) override {
    if (deleted) return elector_->OnDeleted();
    absl::StatusOr<Reading> reading = Parse(options_.kind, object);
    if (reading.ok()) elector_->OnChanged(*std::move(reading));
  }
  void OnClosed(const absl::Status& status) override {
    if (!status.ok()) {
      log::Debug(kContext, "the watch of the lock ended", {{"error", Message(status)}});
    }
    Watching(false);
  }

  void Watching(bool watching) {
    view_.watching = watching;
    Show();
    elector_->OnWatching(watching);
  }

  void SendEvents() {
    for (const kube::Event& event : std::exchange(events_, {})) {
      client_->Send(kube::CreateEvent(event), [](const kube::Response& response) {
        if (!response.status.ok()) {
          log::Warning(kContext, "failed to create an Event",
                       {{"error", Message(response.status)}});
        }
      });
    }
  }

  void Show() {
    {
      const MutexLock lock(mutex_);
      shown_ = view_;
    }
    on_view_(view_);
  }

  // Notes that the thread is alive, and that no answer is awaited for too long.
  void Tick() {
    const auto busy = elector_->busy_since();
    if (!busy || BootNow() - *busy < options_.renew_deadline) ticked_ = BootNow().count();
    tick_timer_->Set(options_.retry_period / 2, [this] { Tick(); });
  }

  const Options options_;
  const std::function<void(const View&)> on_view_;
  mutable Mutex mutex_;
  View shown_ ABSL_GUARDED_BY(mutex_);
  kube::CurlIo io_;
  std::unique_ptr<kube::Client> client_;
  ApiLock lock_;
  std::unique_ptr<Elector> elector_;
  std::atomic<BootTime::rep> ticked_;
  // The following are used on the loop's thread only.
  View view_;
  std::unique_ptr<kube::Session> session_;
  std::unique_ptr<kube::ObjectWatch> watch_;
  std::unique_ptr<leader::Address> address_;
  std::unique_ptr<kube::Timer> tick_timer_;
  std::deque<kube::Event> events_;
};

Election::Election(std::shared_ptr<kube::Credentials> credentials, const Options& options,
                   AddressOptions address, std::function<void(const View&)> on_view)
    : impl_(std::make_unique<Impl>(std::move(credentials), options, std::move(address),
                                   std::move(on_view))) {}
Election::~Election() = default;
void Election::Start() { impl_->Start(); }
void Election::Contend() { impl_->Contend(); }
void Election::Stop(milliseconds patience) { impl_->Stop(patience); }
bool Election::MayWrite() const { return impl_->MayWrite(); }
void Election::PublishAddress() { impl_->PublishAddress(); }
View Election::view() const { return impl_->view(); }
std::string Election::NotAlive() const { return impl_->NotAlive(); }

std::string Election::NotReady() const {
  const View now = view();
  const bool tell = now.elector.sight == Sight::kRefused && !now.elector.worked;
  return tell ? now.elector.problem : std::string();
}

}  // namespace contour::leader
