// SPDX-License-Identifier: Apache-2.0

#include "status/status_writer.h"

#include <random>
#include <utility>

namespace contour::status {
namespace {

using Clock = std::chrono::steady_clock;

double Random() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.0, 1.0)(random);
}

}  // namespace

StatusWriter::StatusWriter(Patch patch, Read read, StatusPlan::Options options)
    : patch_(std::move(patch)), read_(std::move(read)), plan_(options, Random) {}

StatusWriter::~StatusWriter() { Stop(); }

void StatusWriter::Start() {
  worker_.Start([this] { return GiveOut(); });
}

void StatusWriter::Stop() {
  worker_.Stop();
  const MutexLock lock(mutex_);  // Drain has either seen that we stop or waits
  settled_.NotifyAll();
}

void StatusWriter::Observe(const std::vector<api::Change>& changes) {
  {
    const MutexLock lock(mutex_);
    plan_.Observe(changes, Clock::now());
  }
  worker_.Wake();
}

void StatusWriter::Want(const api::ObjectRef& ref, std::optional<std::string> fields) {
  {
    const MutexLock lock(mutex_);
    plan_.Want(ref, std::move(fields), Clock::now());
  }
  worker_.Wake();
}

void StatusWriter::SetActive(bool active) {
  {
    const MutexLock lock(mutex_);
    plan_.SetActive(active, Clock::now());
  }
  worker_.Wake();
}

bool StatusWriter::Drain(std::chrono::milliseconds deadline) {
  const Clock::time_point end = Clock::now() + deadline;
  const MutexLock lock(mutex_);
  while (!worker_.stopping() && !IsSettled() && settled_.WaitUntil(mutex_, end)) {
  }
  return IsSettled();
}

bool StatusWriter::IsSettled() const {
  const StatusPlan::Statistics statistics = plan_.statistics();
  return !statistics.active || statistics.waiting == 0;
}

std::optional<WorkerThread::Time> StatusWriter::GiveOut() {
  MutexLock lock(mutex_);
  while (!worker_.stopping()) {
    if (std::optional<StatusPlan::Write> write = plan_.Next(Clock::now())) {
      lock.Unlock();
      patch_(*write, [this, write = *write](const Outcome& outcome) { Finished(write, outcome); });
      lock.Lock();
      continue;
    }
    if (const std::optional<api::ObjectRef> ref = plan_.NextInquiry()) {
      lock.Unlock();
      read_(*ref, [this, ref = *ref](std::string_view object) { Inquired(ref, object); });
      lock.Lock();
      continue;
    }
    return plan_.NextDue();
  }
  return std::nullopt;
}

void StatusWriter::Finished(const StatusPlan::Write& write, const Outcome& outcome) {
  {
    const MutexLock lock(mutex_);
    plan_.Finished(write, outcome, Clock::now());
  }
  worker_.Wake();
  settled_.NotifyAll();
}

void StatusWriter::Inquired(const api::ObjectRef& ref, std::string_view object) {
  const MutexLock lock(mutex_);
  plan_.Inquired(ref, object);
}

StatusPlan::Statistics StatusWriter::statistics() const {
  const MutexLock lock(mutex_);
  return plan_.statistics();
}

std::vector<StatusPlan::Fight> StatusWriter::Fights(std::size_t most) const {
  const MutexLock lock(mutex_);
  return plan_.Fights(most, Clock::now());
}

}  // namespace contour::status
