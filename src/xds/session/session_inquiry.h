// SPDX-License-Identifier: Apache-2.0
// Asks the sessions of all workers something, for a debug page: each worker answers between its
// other work, and who asks waits without a lock and not for ever.
//
//   auto inquiry = dispatcher.Ask([&] { return std::make_unique<ViewQuestion>(filter); });
//   for (auto& answer : inquiry->Await(deadline)) …   // of the workers that answered in time
//
// Threads: a question is asked of one worker's sessions on its thread, and read by who asked when
// the worker is done.

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "xds/session/session.h"
#include "xds/session/views.h"

namespace contour::xds {

// One question to the sessions of one worker.
class SessionQuestion {
 public:
  virtual ~SessionQuestion() = default;
  virtual bool Concerns(const Session::Identity& session) const = 0;
  // Looks at one session after the other, in the order of node ids and addresses, for a few
  // milliseconds each. Returns false if the following ones aren't needed.
  virtual bool Look(const Session& session, Time now) = 0;
};

class SessionInquiry {
 public:
  using Answers = std::vector<std::unique_ptr<SessionQuestion>>;

  explicit SessionInquiry(std::size_t workers) : outstanding_(workers) {}

  // Returns the answers of the workers that are done by then. Later ones are dropped.
  Answers Await(std::chrono::steady_clock::time_point deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  // True if nobody waits any more. Asked by the workers.
  bool abandoned() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes the answer of one worker; nullptr: it has none. Called once per worker, by its
  // InquiryTask.
  void Answer(std::unique_ptr<SessionQuestion> answer) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  Condition changed_;
  Answers answers_ ABSL_GUARDED_BY(mutex_);
  std::size_t outstanding_ ABSL_GUARDED_BY(mutex_);
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

// One worker's part of an inquiry. If it is dropped, as a worker ends, nobody waits for it.
class InquiryTask {
 public:
  InquiryTask(std::shared_ptr<SessionInquiry> inquiry, std::unique_ptr<SessionQuestion> question)
      : inquiry_(std::move(inquiry)), question_(std::move(question)) {}
  ~InquiryTask();
  InquiryTask(const InquiryTask&) = delete;
  InquiryTask& operator=(const InquiryTask&) = delete;

  // Takes the sessions that there are, and sorts them. Called first.
  void Begin(std::vector<const Session*> sessions);
  bool begun() const { return begun_; }

  // Looks at sessions for a few milliseconds. `exists` returns true for a session that hasn't ended
  // since Begin. Returns true if it is done, or nobody waits any more.
  bool Continue(const std::function<bool(const Session*)>& exists, Time now);

 private:
  const std::shared_ptr<SessionInquiry> inquiry_;
  std::unique_ptr<SessionQuestion> question_;  // null: answered
  bool begun_ = false;
  std::vector<const Session*> left_;  // the last one is next
};

// Collects what a worker's sessions show, by a filter.
class ViewQuestion final : public SessionQuestion {
 public:
  explicit ViewQuestion(ViewFilter filter)
      : filter_(std::move(filter)), entries_left_(filter_.most_entries) {}
  bool Concerns(const Session::Identity& session) const override;
  bool Look(const Session& session, Time now) override;

  // Returns the pages of all workers as one.
  static SessionViews Merge(const SessionInquiry::Answers& answers, const ViewFilter& filter,
                            std::size_t workers);

 private:
  const ViewFilter filter_;
  std::size_t entries_left_;
  std::vector<SessionView> views_;
  bool more_ = false;
};

// Collects what became of some resources on a worker's sessions.
class FateQuestion final : public SessionQuestion {
 public:
  using Resources = std::shared_ptr<const std::vector<ResourceQuestion>>;
  explicit FateQuestion(Resources resources)
      : resources_(std::move(resources)), fates_(resources_->size()) {}
  bool Concerns(const Session::Identity&) const override { return true; }
  bool Look(const Session& session, Time now) override;

  static FleetFates Merge(const SessionInquiry::Answers& answers, std::size_t resources,
                          std::size_t workers);

 private:
  const Resources resources_;
  std::size_t envoys_ = 0;
  std::vector<ResourceFates> fates_;
};

}  // namespace contour::xds
