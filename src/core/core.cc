// SPDX-License-Identifier: Apache-2.0

#include "core/core.h"

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace contour::core {

using Clock = std::chrono::steady_clock;

class Core::Door : public api::Sink {
 public:
  explicit Door(Core& core) : core_(core) {}
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
  if (running_ && !doors_.empty()) {
    std::fputs("core: AddSource after Start\n", stderr);
    std::abort();
  }
  ++unsynced_;
  return *doors_.emplace_back(std::make_unique<Door>(*this));
}

void Core::Start() {
  {
    const MutexLock lock(mutex_);
    running_ = true;
  }
  thread_ = std::thread([this] { Run(); });
}

void Core::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    questions_.clear();
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
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
  wake_.NotifyAll();
}

void Core::Follow(xds::StandInNeeds needs) {
  {
    const MutexLock lock(mutex_);
    follow_ = std::move(needs);
  }
  wake_.NotifyAll();
}

void Core::PostQuestion(std::function<void(const Pipeline&)> question) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || !running_) return;
    questions_.push_back(std::move(question));
  }
  wake_.NotifyAll();
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
  wake_.NotifyAll();
}

std::optional<std::vector<api::Change>> Core::TakeBatch(Clock::time_point last) {
  const MutexLock lock(mutex_);
  AnswerQuestions();
  // Before there is a source nothing is known, which isn't the same as knowing that there is
  // nothing.
  while (!stopping_ &&
         (doors_.empty() || unsynced_ > 0 || (queue_.empty() && !follow_ && built_))) {
    wake_.Wait(mutex_);
    AnswerQuestions();
  }
  // After a quiet time this is over already, and the change goes at once.
  while (!stopping_ && wake_.WaitUntil(mutex_, last + options_.floor)) {
  }
  if (stopping_) return std::nullopt;
  if (!queue_.empty()) wait_.Observe(Clock::now() - queued_since_);
  if (follow_) pipeline_.Follow(*std::exchange(follow_, std::nullopt));
  return std::exchange(queue_, {});
}

void Core::Run() {
  Clock::time_point last = Clock::now() - options_.floor;
  while (const std::optional<std::vector<api::Change>> batch = TakeBatch(last)) {
    last = Clock::now();
    const Pipeline::Output output = pipeline_.Apply(*batch);
    const std::chrono::nanoseconds derived = Clock::now() - last;
    derive_.Observe(derived);
    built_ = true;
    handler_(output);
    if (options_.observer) options_.observer({*batch, output, derived});

    const MutexLock lock(mutex_);
    ++statistics_.batches;
    statistics_.changes += batch->size();
    statistics_.names = output.names;
    statistics_.busy += Clock::now() - last;
  }
}

Core::Statistics Core::statistics() const {
  const MutexLock lock(mutex_);
  Statistics statistics = statistics_;
  statistics.wait = wait_.values();
  statistics.derive = derive_.values();
  return statistics;
}

}  // namespace contour::core
