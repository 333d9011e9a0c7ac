// SPDX-License-Identifier: Apache-2.0

#include "xds/fleet/dispatcher.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "xds/fleet/worker_figures.h"

namespace contour::xds {
namespace {

// The time between streams that end one after the other.
constexpr std::chrono::milliseconds kEndInterval{50};

// The first requests of a stream, so many, are opening ones (see Options::opening_reads).
constexpr std::size_t kOpeningRequests = 4;

// A value that was made for one Envoy is kept so long for the next one.
constexpr std::chrono::seconds kRecent{5};

// Number of names that are looked at between two looks at the clock.
constexpr std::size_t kNamesAtOnce = 200;

}  // namespace

class Dispatcher::Connection {
 public:
  Connection(Sink* to, StreamMode stream_mode, std::optional<ResourceType> default_type,
             std::string address)
      : mode(stream_mode), type(default_type), peer(std::move(address)), sink(to) {}

  // Calls f(sink) unless the stream is closed.
  template <typename Function>
  void WithSink(Function&& f) ABSL_LOCKS_EXCLUDED(mutex) {
    const MutexLock lock(mutex);
    if (sink != nullptr) f(*sink);
  }

  const StreamMode mode;
  const std::optional<ResourceType> type;
  const std::string peer;
  Worker* worker = nullptr;  // set before anyone else sees the connection

  Mutex mutex;
  Sink* sink ABSL_GUARDED_BY(mutex);

  // Used by the worker only.
  Session* session = nullptr;
  Stream* stream = nullptr;
  std::optional<std::uint64_t> early;  // its request before the first snapshot
  bool writing = false;
  bool finished = false;
  std::size_t requests = 0;  // that were handled
};

// Remembers the Envoys that are away, by node id: they come back on another connection, so to any
// worker. The latest state of an Envoy counts. Number and time are bounded. What any of them had
// acked is remembered longer, the last kTables different states of each type.
class Dispatcher::Memories {
 public:
  explicit Memories(const SnapshotPtr& past) {
    if (past == nullptr) return;
    past_ = MemoryOf(*past);
    past_until_ = std::chrono::steady_clock::now() + kTime;
  }
  void Put(const std::string& node_id, std::shared_ptr<const Memory> memory, Time now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    for (const TypeInfo& info : kTypes) {
      for (const Memory::State& state : memory->states[Index(info.type)]) {
        if (state.acked) Acked(info.type, state.table);
      }
    }
    if (node_id.empty()) return;
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      entries_.erase(by_time_.begin()->second);
      by_time_.erase(by_time_.begin());
    }
    const auto known = entries_.find(node_id);
    if (entries_.size() >= kEnvoys && known == entries_.end()) return;
    if (known != entries_.end()) by_time_.erase({known->second.until, node_id});
    by_time_.emplace(now + kTime, node_id);
    entries_.insert_or_assign(node_id, Entry{now + kTime, std::move(memory)});
  }
  std::shared_ptr<const Memory> Get(const std::string& node_id, Time now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (past_ != nullptr && past_until_ <= now) past_.reset();
    const auto at = entries_.find(node_id);
    return at == entries_.end() || at->second.until <= now ? past_ : at->second.memory;
  }
  // True if an Envoy that left is known to have acked the content.
  bool WasAcked(const ResourceKey& key, const Hash128& version) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const std::deque<Table>& tables = acked_[Index(key.type)];
    return std::any_of(tables.begin(), tables.end(), [&](const Table& table) {
      const ResourcePtr had = table.Find(key.resource);
      return had != nullptr && had->known && ContentVersion(*had, key.part) == version;
    });
  }

 private:
  static constexpr std::size_t kEnvoys = 10000;
  static constexpr std::size_t kTables = 16;
  static constexpr std::chrono::minutes kTime{10};
  struct Entry {
    Time until;
    std::shared_ptr<const Memory> memory;
  };

  void Acked(ResourceType type, const Table& table) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::deque<Table>& tables = acked_[Index(type)];
    const auto at = std::find_if(tables.begin(), tables.end(), [&](const Table& other) {
      return other.version() == table.version();
    });
    if (at != tables.end()) tables.erase(at);
    tables.push_front(table);
    if (tables.size() > kTables) tables.pop_back();
  }

  mutable Mutex mutex_;
  // The memory of Envoys that are not remembered by themselves; nullptr: there is none.
  std::shared_ptr<const Memory> past_ ABSL_GUARDED_BY(mutex_);
  Time past_until_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::array<std::deque<Table>, kResourceTypes> acked_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<Time, std::string>> by_time_ ABSL_GUARDED_BY(mutex_);  // when they end
};

// A thread with the sessions that belong to it.
class Dispatcher::Worker {
 public:
  Worker(const Options& options, std::shared_ptr<SharedTables> shared, Encoder& encoder,
         Memories& memories, Quarantine& quarantine)
      : options_(options),
        shared_tables_(std::move(shared)),
        encoder_(encoder),
        memories_(memories),
        quarantine_(quarantine) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "xds-worker");
      Run();
    });
  }
  ~Worker() {
    {
      const MutexLock lock(queue_mutex_);
      quit_ = true;
      wake_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
  }

  bool Open(const ConnectionPtr& connection) {
    return Post({Event::Kind::kOpen, connection, {}}, /*unless_stopped=*/true);
  }
  void Requested(const ConnectionPtr& connection, std::string bytes) {
    Post({Event::Kind::kRequest, connection, std::move(bytes)}, false);
  }
  void Written(const ConnectionPtr& connection) {
    Post({Event::Kind::kWritten, connection, {}}, false);
  }
  void Closed(const ConnectionPtr& connection) {
    Post({Event::Kind::kClosed, connection, {}}, false);
  }
  // Asks the Envoys about a content, and answers the quarantine.
  void Inquire(std::uint64_t ticket, const ResourceKey& key, const Hash128& version) {
    Post({Event::Kind::kInquiry, nullptr, {}, Inquiry{ticket, key, version}}, false);
  }

  void Publish(DeliveryPtr delivery) ABSL_LOCKS_EXCLUDED(queue_mutex_) {
    const MutexLock lock(queue_mutex_);
    published_ = std::move(delivery);
    wake_ = true;
    changed_.NotifyAll();
  }

  // Refuses new streams; of those that are open, one in `of` ends. Returns true if any is left.
  bool EndSome(std::size_t of) ABSL_LOCKS_EXCLUDED(queue_mutex_, core_mutex_) {
    {
      const MutexLock lock(queue_mutex_);
      closing_ = true;
    }
    const MutexLock lock(core_mutex_);
    std::size_t open = 0;
    for (const ConnectionPtr& connection : connections_) open += connection->finished ? 0 : 1;
    const std::size_t count = (open + of - 1) / of;
    std::size_t ended = 0;
    for (const ConnectionPtr& connection : connections_) {
      if (ended == count) break;
      if (connection->finished) continue;
      End(*connection, Unavailable("the xDS server is stopping"));
      ++ended;
    }
    return ended < open;
  }

  void Stop() ABSL_LOCKS_EXCLUDED(queue_mutex_) {
    const MutexLock lock(queue_mutex_);
    stop_ = true;
    wake_ = true;
    changed_.NotifyAll();
    while (!stopped_) changed_.Wait(queue_mutex_);
  }

  void AddMetrics(Metrics& metrics) const {
    figures_.AddTo(metrics, std::chrono::steady_clock::now());
  }

  void Ask(std::unique_ptr<InquiryTask> task) {
    Post({Event::Kind::kQuestion, nullptr, {}, std::nullopt, std::move(task)}, false);
  }

 private:
  struct Inquiry {
    std::uint64_t ticket = 0;
    ResourceKey key;
    Hash128 version;
  };
  struct Event {
    enum class Kind { kOpen, kRequest, kWritten, kClosed, kInquiry, kQuestion };
    Kind kind;
    ConnectionPtr connection;  // null only of an inquiry and a question
    std::string bytes;
    std::optional<Inquiry> inquiry = std::nullopt;
    std::unique_ptr<InquiryTask> question = nullptr;
  };
  struct Slot {
    std::unique_ptr<Session> session;
    std::optional<std::pair<std::string, std::string>> key;  // of `shared_`
    std::unordered_map<Stream*, ConnectionPtr> connections;
    std::optional<Time> deadline;  // its entry in `deadlines_`
    std::deque<Event> inbox;       // requests, and responses that were written
    std::deque<Stream*> to_write;  // may have something to write; some of them may have ended
    Stream* unfinished = nullptr;  // whose next response is being made: it goes on before all else
    std::optional<std::list<Session*>::iterator> queued;  // in `runnable_`
  };

  bool Post(Event event, bool unless_stopped) ABSL_LOCKS_EXCLUDED(queue_mutex_) {
    const MutexLock lock(queue_mutex_);
    if (unless_stopped && (stop_ || closing_)) return false;
    events_.push_back(std::move(event));
    wake_ = true;
    changed_.NotifyAll();
    return true;
  }

  void Run() ABSL_LOCKS_EXCLUDED(queue_mutex_, core_mutex_) {
    std::optional<Time> deadline;  // of the next slice; Time::min(): now
    bool ended = false;
    for (;;) {
      std::deque<Event> events;
      DeliveryPtr published;
      bool stop = false;
      {
        const MutexLock lock(queue_mutex_);
        while (!wake_) {
          if (!deadline.has_value()) {
            changed_.Wait(queue_mutex_);
          } else if (*deadline == Time::min() || !changed_.WaitUntil(queue_mutex_, *deadline)) {
            break;
          }
        }
        wake_ = false;
        if (quit_) return;
        events.swap(events_);
        published = published_;
        stop = stop_;
      }
      {
        const MutexLock lock(core_mutex_);
        now_ = std::chrono::steady_clock::now();
        TakeIn(std::move(events), published);
        StartOpeningReads();
        RunOneSession();
        AgeRecent();
        if (stop && !ended) EndAll();
        deadline = NextDeadline();
      }
      if (stop && !ended) {
        ended = true;
        const MutexLock lock(queue_mutex_);
        stopped_ = true;
        changed_.NotifyAll();
      }
    }
  }

  // Distributes what has come to the sessions.
  void TakeIn(std::deque<Event> events, const DeliveryPtr& published)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (published != delivery_) {
      delivery_ = published;
      for (auto& [session, slot] : sessions_) {
        session->Offer(delivery_->For(session->identity().node_id));
        Queue(session, slot);
      }
      for (auto& [number, event] : std::exchange(early_, {})) {
        event.connection->early.reset();
        TakeIn(std::move(event));
      }
    }
    for (Event& event : events) TakeIn(std::move(event));
    for (auto at = deadlines_.begin(); at != deadlines_.end() && at->first <= now_; ++at)
      Queue(at->second, sessions_.at(at->second));
  }

  void TakeIn(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (event.inquiry.has_value()) {
      Answer(*event.inquiry);
      return;
    }
    if (event.question != nullptr) {
      Continue(std::move(event.question));
      return;
    }
    Connection& connection = *event.connection;
    switch (event.kind) {
      case Event::Kind::kInquiry:
      case Event::Kind::kQuestion:
        return;
      case Event::Kind::kOpen:
        connections_.insert(event.connection);
        figures_.StreamOpened();
        Read(event.connection);
        return;
      case Event::Kind::kRequest:
        if (connection.finished || !connections_.contains(event.connection)) return;
        if (delivery_ == nullptr) {
          EndOpeningRead(connection);
          connection.early = ++early_numbers_;
          early_.emplace(*connection.early, std::move(event));
          return;
        }
        TakeInRequest(std::move(event));
        return;
      case Event::Kind::kWritten:
        connection.writing = false;
        if (connection.stream == nullptr) return;
        Post(connection.session, std::move(event));
        return;
      case Event::Kind::kClosed:
        if (connections_.erase(event.connection) > 0) figures_.StreamClosed();
        EndOpeningRead(connection);
        if (connection.early.has_value()) early_.erase(*connection.early);
        if (connection.stream != nullptr) Leave(connection);
        return;
    }
  }

  // The first request of a stream says to which session it belongs.
  void TakeInRequest(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    const ConnectionPtr& connection = event.connection;
    if (connection->stream == nullptr) {
      const absl::StatusOr<std::string> node_id =
          ReadNodeId(event.bytes, ProtocolOf(connection->mode));
      if (!node_id.ok()) {
        Refuse(*connection, node_id.status());
        return;
      }
      Join(connection, *node_id);
    }
    Session* session = connection->session;
    Post(session, std::move(event));
  }

  void Post(Session* session, Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    Slot& slot = sessions_.at(session);
    slot.inbox.push_back(std::move(event));
    Queue(session, slot);
  }

  void Queue(Session* session, Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (!slot.queued.has_value()) slot.queued = runnable_.insert(runnable_.end(), session);
  }

  // Works on the session that has waited longest. If it isn't done, it goes to the end of the
  // queue.
  void RunOneSession() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (runnable_.empty()) return;
    Session* session = runnable_.front();
    runnable_.pop_front();
    Slot& slot = sessions_.at(session);
    slot.queued.reset();
    const Time end = now_ + options_.slice;
    while (Step(*session, slot)) {
      if (std::chrono::steady_clock::now() < end) continue;
      NoteFigures(*session);
      Queue(session, slot);
      return;
    }
    NoteFigures(*session);
    const std::optional<Time> deadline = session->NextDeadline();
    if (deadline == slot.deadline) return;
    if (slot.deadline.has_value()) deadlines_.erase({*slot.deadline, session});
    if (deadline.has_value()) deadlines_.emplace(*deadline, session);
    slot.deadline = deadline;
  }

  // Does one thing for the session; false: there is nothing to do.
  bool Step(Session& session, Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (slot.unfinished != nullptr) {
      Write(slot, *slot.connections.at(slot.unfinished));
    } else if (!session.RefreshSome(kNamesAtOnce)) {
      return true;
    } else if (!slot.inbox.empty()) {
      Event event = std::move(slot.inbox.front());
      slot.inbox.pop_front();
      Handle(event, slot);
    } else if (!slot.to_write.empty()) {
      const auto at = slot.connections.find(slot.to_write.front());
      slot.to_write.pop_front();
      if (at != slot.connections.end()) Write(slot, *at->second);
    } else {
      const std::vector<Stream*> ready = session.TakeReady(now_);
      if (ready.empty()) return false;
      slot.to_write.assign(ready.begin(), ready.end());
    }
    return true;
  }

  void Handle(Event& event, Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    Connection& connection = *event.connection;
    if (connection.stream == nullptr) return;  // it ended meanwhile
    if (event.kind == Event::Kind::kWritten) {
      slot.to_write.push_back(connection.stream);
      return;
    }
    if (connection.finished) return;
    absl::StatusOr<Request> parsed = ParseRequest(event.bytes, ProtocolOf(connection.mode));
    if (!parsed.ok()) {
      Refuse(connection, parsed.status());
      return;
    }
    event.bytes = {};
    Request request = *std::move(parsed);
    if (request.type_url.empty() && connection.type.has_value())
      request.type_url = Info(*connection.type).url;
    ++connection.requests;
    const absl::Status status = connection.stream->OnRequest(request, now_);
    if (status.ok()) {
      Read(event.connection);
    } else {
      Refuse(connection, status);
    }
    EndOpeningRead(connection);
  }

  // Reads the next request of the stream, now or when its turn comes.
  void Read(const ConnectionPtr& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (!IsAggregated(connection->mode) || connection->requests >= kOpeningRequests) {
      connection->WithSink([](Sink& sink) { sink.Read(); });
    } else {
      // A stream that has begun goes first: an Envoy whose clusters aren't acked for long is taken
      // for warming.
      if (connection->requests > 0) {
        waiting_reads_.push_front(connection);
      } else {
        waiting_reads_.push_back(connection);
      }
      StartOpeningReads();
    }
  }

  void StartOpeningReads() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    while (!opening_reads_.empty() && opening_reads_.front().second <= now_)
      opening_reads_.pop_front();
    while (!waiting_reads_.empty() && opening_reads_.size() < options_.opening_reads) {
      const ConnectionPtr connection = std::move(waiting_reads_.front());
      waiting_reads_.pop_front();
      if (connection->finished || !connections_.contains(connection)) continue;
      opening_reads_.emplace_back(connection.get(), now_ + options_.opening_time);
      connection->WithSink([](Sink& sink) { sink.Read(); });
    }
  }

  void EndOpeningRead(const Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    const auto at = std::find_if(opening_reads_.begin(), opening_reads_.end(),
                                 [&](const auto& read) { return read.first == &connection; });
    if (at != opening_reads_.end()) opening_reads_.erase(at);
    StartOpeningReads();
  }

  // Returns the time at which to go on at the latest.
  std::optional<Time> NextDeadline() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (!runnable_.empty()) return Time::min();
    std::optional<Time> next = age_at_;
    const auto consider = [&](Time time) { next = std::min(next.value_or(time), time); };
    if (!deadlines_.empty()) consider(deadlines_.begin()->first);
    if (!waiting_reads_.empty()) consider(opening_reads_.front().second);
    return next;
  }

  // Lets go of what no Envoy was sent for a while.
  void AgeRecent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (age_at_.has_value() && *age_at_ <= now_) {
      recent_->Age();
      age_at_.reset();
    }
    if (!age_at_.has_value() && !recent_->empty()) age_at_ = now_ + kRecent;
  }

  void Answer(const Inquiry& inquiry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    Opinion opinion;
    opinion.runs = memories_.WasAcked(inquiry.key, inquiry.version);
    for (const auto& [session, slot] : sessions_) {
      Opinion one = session->OpinionOn(inquiry.key, inquiry.version);
      opinion.runs = opinion.runs || one.runs;
      if (!opinion.good) opinion.good = std::move(one.good);
    }
    quarantine_.Answer(inquiry.ticket, std::move(opinion));
  }

  Session::Options OptionsOfSession(const std::string& peer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    static std::atomic<std::uint64_t> sessions{0};
    const std::uint64_t id = ++sessions;
    Session::Options options;
    options.warm_timeout = options_.warm_timeout;
    options.differences = differences_;
    options.shared = shared_tables_;
    options.recent = recent_;
    options.on_rejection = options_.on_rejection;
    options.on_culprit = [this, id](Culprit culprit) {
      quarantine_.Report(id, std::move(culprit));
    };
    options.on_ignore_reports = [this, id] { quarantine_.IgnoreReports(id); };
    options.on_dispute = [this](const ResourceKey& key, const Hash128& version) {
      quarantine_.MarkRunning(key, version);
    };
    options.on_node_fault = options_.on_node_fault;
    options.on_unknown_type = [peer](const std::string& url) {
      log::Warning("xds", "a type that isn't served was asked for; the answer is empty",
                   {{"peer", peer}, {"type", url}});
    };
    return options;
  }

  // The first request says to which session the stream belongs.
  void Join(const ConnectionPtr& connection, const std::string& node_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    const bool aggregated = IsAggregated(connection->mode);
    std::optional<std::pair<std::string, std::string>> key;
    if (!aggregated && !node_id.empty()) key.emplace(node_id, connection->peer);
    Session* session = nullptr;
    if (key.has_value()) {
      if (const auto at = shared_.find(*key); at != shared_.end()) session = at->second;
    }
    if (session == nullptr) {
      Slot slot;
      slot.session =
          std::make_unique<Session>(Session::Identity{node_id, connection->peer, aggregated},
                                    OptionsOfSession(connection->peer), delivery_->For(node_id),
                                    memories_.Get(node_id, now_));
      slot.key = key;
      session = slot.session.get();
      if (key.has_value()) shared_.emplace(*key, session);
      sessions_.emplace(session, std::move(slot));
    }
    connection->session = session;
    connection->stream = &session->Attach(ProtocolOf(connection->mode));
    sessions_.at(session).connections.emplace(connection->stream, connection);
    NoteFigures(*session);
  }

  void Leave(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    Session* session = std::exchange(connection.session, nullptr);
    Stream* stream = std::exchange(connection.stream, nullptr);
    Slot& slot = sessions_.at(session);
    slot.connections.erase(stream);
    if (slot.unfinished == stream) slot.unfinished = nullptr;
    session->Detach(*stream, now_);
    Queue(session, slot);
    if (!session->empty()) return;
    NoteFigures(*session);
    figures_.End(session);
    const std::string& node_id = session->identity().node_id;
    memories_.Put(node_id, session->TakeMemory(), now_);
    runnable_.erase(*slot.queued);
    if (slot.deadline.has_value()) deadlines_.erase({*slot.deadline, session});
    if (slot.key.has_value()) shared_.erase(*slot.key);
    sessions_.erase(session);
  }

  void NoteFigures(const Session& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    figures_.Set(&session, {.node_id = session.identity().node_id,
                            .counters = session.counters(),
                            .held = session.Held(),
                            .unknown_secrets = session.UnknownSecrets(),
                            .node_faults = session.NodeFaults(),
                            .unanswered_since = session.OldestUnanswered()});
  }

  // Answers a question for a few milliseconds. What is left of it comes after the other events.
  void Continue(std::unique_ptr<InquiryTask> task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (!task->begun()) {
      std::vector<const Session*> sessions;
      sessions.reserve(sessions_.size());
      for (const auto& [session, slot] : sessions_) sessions.push_back(session);
      task->Begin(std::move(sessions));
    }
    const auto exists = [this](const Session* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
      return sessions_.contains(const_cast<Session*>(session));
    };
    if (!task->Continue(exists, now_)) Ask(std::move(task));
  }

  // Writes what the stream is to be sent next, or works on it for a while.
  void Write(Slot& slot, Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (connection.writing || connection.finished) {
      slot.unfinished = nullptr;
      return;
    }
    std::optional<Response> response = connection.stream->Next(now_, kNamesAtOnce);
    slot.unfinished = connection.stream->unfinished() ? connection.stream : nullptr;
    if (!response.has_value()) return;
    Payload payload = encoder_.Encode(*response, connection.mode);
    for (const Slice& slice : payload.slices) {
      if (slice.bytes.size() >= Encoder::kSharedResponse) recent_->Use(slice.owner);
    }
    // Before the Envoy has it: who has seen the response finds it counted.
    figures_.Sent(payload.size);
    NoteFigures(*connection.session);
    connection.writing = true;
    connection.WithSink([&](Sink& sink) { sink.Write(std::move(payload)); });
  }

  void End(Connection& connection, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    if (std::exchange(connection.finished, true)) return;
    connection.WithSink([&](Sink& sink) { sink.Finish(status); });
  }

  void Refuse(Connection& connection, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    log::Error("xds", "stream terminated", {{"peer", connection.peer}, {"error", Message(status)}});
    End(connection, status);
  }

  void EndAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(core_mutex_) {
    for (const ConnectionPtr& connection : connections_)
      End(*connection, Unavailable("the xDS server is stopping"));
  }

  const Options& options_;
  const std::shared_ptr<SharedTables> shared_tables_;
  Encoder& encoder_;
  Memories& memories_;
  Quarantine& quarantine_;

  Mutex queue_mutex_ ABSL_ACQUIRED_AFTER(core_mutex_);
  Condition changed_;
  std::deque<Event> events_ ABSL_GUARDED_BY(queue_mutex_);
  DeliveryPtr published_ ABSL_GUARDED_BY(queue_mutex_);
  bool wake_ ABSL_GUARDED_BY(queue_mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(queue_mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(queue_mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(queue_mutex_) = false;
  bool quit_ ABSL_GUARDED_BY(queue_mutex_) = false;

  // Held by the thread while it works; others only look.
  mutable Mutex core_mutex_;
  Time now_ ABSL_GUARDED_BY(core_mutex_);
  DeliveryPtr delivery_ ABSL_GUARDED_BY(core_mutex_);  // null before the first
  std::set<ConnectionPtr> connections_ ABSL_GUARDED_BY(core_mutex_);
  // Requests before the first snapshot, in the order in which they came.
  std::map<std::uint64_t, Event> early_ ABSL_GUARDED_BY(core_mutex_);
  std::uint64_t early_numbers_ ABSL_GUARDED_BY(core_mutex_) = 0;
  std::unordered_map<Session*, Slot> sessions_ ABSL_GUARDED_BY(core_mutex_);
  std::map<std::pair<std::string, std::string>, Session*> shared_
      ABSL_GUARDED_BY(core_mutex_);  // node id, peer
  const std::shared_ptr<DifferenceCache> differences_ ABSL_GUARDED_BY(core_mutex_) =
      std::make_shared<DifferenceCache>();
  const std::shared_ptr<Recent> recent_ ABSL_GUARDED_BY(core_mutex_) = std::make_shared<Recent>();
  std::optional<Time> age_at_ ABSL_GUARDED_BY(core_mutex_);  // of `recent_`
  // Opening requests that are being read, and until when they count; those that aren't read yet.
  std::deque<std::pair<const Connection*, Time>> opening_reads_ ABSL_GUARDED_BY(core_mutex_);
  std::deque<ConnectionPtr> waiting_reads_ ABSL_GUARDED_BY(core_mutex_);
  std::set<std::pair<Time, Session*>> deadlines_ ABSL_GUARDED_BY(core_mutex_);
  std::list<Session*> runnable_ ABSL_GUARDED_BY(core_mutex_);  // with something to do
  WorkerFigures figures_;

  std::thread thread_;  // last: it uses the others
};

Dispatcher::Dispatcher(Options options, const SnapshotPtr& past)
    : options_(std::move(options)),
      encoder_(options_.adapt),
      memories_(std::make_unique<Memories>(past)),
      quarantine_(
          options_.quarantine,
          [this](std::uint64_t ticket, const ResourceKey& key, const Hash128& version) {
            for (const auto& worker : workers_) worker->Inquire(ticket, key, version);
            return workers_.size();
          },
          [this](const DeliveryPtr& delivery) {
            for (const auto& worker : workers_) worker->Publish(delivery);
          },
          options_.follow) {
  const auto shared = std::make_shared<SharedTables>();
  for (std::size_t i = 0; i < options_.workers; ++i) {
    workers_.push_back(
        std::make_unique<Worker>(options_, shared, encoder_, *memories_, quarantine_));
  }
}

Dispatcher::~Dispatcher() = default;

Dispatcher::ConnectionPtr Dispatcher::Open(Sink* sink, StreamMode mode,
                                           std::optional<ResourceType> type, std::string peer) {
  Worker& worker = *workers_[HashBytes(peer).low % workers_.size()];
  auto connection = std::make_shared<Connection>(sink, mode, type, std::move(peer));
  connection->worker = &worker;
  return connection;
}

bool Dispatcher::Start(const ConnectionPtr& connection) {
  return connection->worker->Open(connection);
}

void Dispatcher::OnRequest(const ConnectionPtr& connection, std::string bytes) {
  connection->worker->Requested(connection, std::move(bytes));
}

void Dispatcher::OnWritten(const ConnectionPtr& connection) {
  connection->worker->Written(connection);
}

void Dispatcher::Close(const ConnectionPtr& connection) {
  {
    const MutexLock lock(connection->mutex);
    connection->sink = nullptr;
  }
  connection->worker->Closed(connection);
}

void Dispatcher::Publish(const SnapshotPtr& snapshot) { quarantine_.Publish(snapshot); }

void Dispatcher::Stop(std::chrono::milliseconds spread) {
  for (auto left = static_cast<std::size_t>(spread / kEndInterval); left > 0; --left) {
    bool open = false;
    for (const auto& worker : workers_) open = worker->EndSome(left) || open;
    if (!open) break;
    std::this_thread::sleep_for(kEndInterval);
  }
  for (const auto& worker : workers_) worker->Stop();
}

Metrics Dispatcher::GetMetrics() const {
  Metrics metrics;
  for (const auto& worker : workers_) worker->AddMetrics(metrics);
  const Quarantine::Totals totals = quarantine_.totals();
  metrics.quarantined = totals.now;
  metrics.quarantined_fleet = totals.fleet;
  metrics.quarantined_total = totals.quarantined;
  metrics.released_total = totals.released;
  return metrics;
}

std::shared_ptr<SessionInquiry> Dispatcher::Ask(
    const std::function<std::unique_ptr<SessionQuestion>()>& make) const {
  auto inquiry = std::make_shared<SessionInquiry>(workers_.size());
  for (const auto& worker : workers_) worker->Ask(std::make_unique<InquiryTask>(inquiry, make()));
  return inquiry;
}

}  // namespace contour::xds
