// SPDX-License-Identifier: Apache-2.0

#include "core/core.h"

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace contour::core {

using Clock = std::chrono::steady_clock;

class Core::SourceSink : public api::Sink {
 public:
  explicit SourceSink(Core& core) : core_(core) {}
  void Apply(std::vector<api::Change> changes) override { core_.Enqueue(std::move(changes)); }
  void Synced() override { core_.Synced(); }

 private:
  Core& core_;
};

Core::Core(Options options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)), pipeline_(options_.pipeline) {}

Core::~Core() { Stop(); }

api::Sink& Core::AddSource() {
  const MutexLock lock(mutex_);
  if (running_ && !sinks_.empty()) {
    std::fputs("core: AddSource after Start\n", stderr);
    std::abort();
  }
  ++unsynced_;
  return *sinks_.emplace_back(std::make_unique<SourceSink>(*this));
}

void Core::Start() {
  {
    const MutexLock lock(mutex_);
    running_ = true;
  }
  worker_.Start([this] { return Work(); });
}

void Core::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    questions_.clear();
  }
  worker_.Stop();
}

void Core::Enqueue(std::vector<api::Change> changes) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    if (queue_.empty()) {
      queue_ = std::move(changes);
      queued_since_ = Clock::now();
    } else {
      queue_.insert(queue_.end(), std::make_move_iterator(changes.begin()),
                    std::make_move_iterator(changes.end()));
    }
  }
  worker_.Wake();
}

void Core::Follow(xds::StandInNeeds needs) {
  {
    const MutexLock lock(mutex_);
    follow_ = std::move(needs);
  }
  worker_.Wake();
}

void Core::PostQuestion(std::function<void(const Pipeline&)> question) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || !running_) return;
    questions_.push_back(std::move(question));
  }
  worker_.Wake();
}

void Core::AnswerQuestions() {
  while (!stopping_ && !questions_.empty()) {
    const auto questions = std::exchange(questions_, {});
    mutex_.Unlock();
    for (const auto& question : questions) question(pipeline_);
    mutex_.Lock();
  }
}

void Core::Synced() {
  {
    const MutexLock lock(mutex_);
    --unsynced_;
  }
  worker_.Wake();
}

bool Core::HasWork() const {
  // Without a source nothing is known, which differs from knowing that there are no objects.
  if (sinks_.empty() || unsynced_ > 0) return false;
  return !queue_.empty() || follow_ || !built_;
}

std::optional<WorkerThread::Time> Core::Work() {
  std::vector<api::Change> batch;
  {
    const MutexLock lock(mutex_);
    AnswerQuestions();
    if (stopping_ || !HasWork()) return std::nullopt;
    // After a quiet time this has passed already, and the change is taken at once.
    if (Clock::now() < last_ + options_.floor) return last_ + options_.floor;
    if (!queue_.empty()) wait_.Observe(Clock::now() - queued_since_);
    if (follow_) pipeline_.Follow(*std::exchange(follow_, std::nullopt));
    batch = std::exchange(queue_, {});
  }
  Build(batch);
  return std::nullopt;  // what came meanwhile wakes the thread again
}

void Core::Build(const std::vector<api::Change>& batch) {
  last_ = Clock::now();
  const Pipeline::Output output = pipeline_.Apply(batch);
  const std::chrono::nanoseconds derived = Clock::now() - last_;
  derive_.Observe(derived);
  built_ = true;
  handler_(output);
  if (options_.observer) options_.observer({batch, output, derived});

  const MutexLock lock(mutex_);
  ++statistics_.batches;
  statistics_.changes += batch.size();
  statistics_.names = output.names;
  statistics_.busy += Clock::now() - last_;
}

Core::Statistics Core::statistics() const {
  const MutexLock lock(mutex_);
  Statistics statistics = statistics_;
  statistics.wait = wait_.values();
  statistics.derive = derive_.values();
  return statistics;
}

}  // namespace contour::core
