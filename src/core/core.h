// SPDX-License-Identifier: Apache-2.0
// Runs the core thread: it takes the changes of all sources, runs the pipeline and passes the
// results on.
//
// Example, given `const Core::Options& options` and `std::vector<api::Change> changes`:
//   Core core(options, [](const Pipeline::Output& output) { /* output.snapshot is served */ });
//   api::Sink& sink = core.AddSource();
//   core.Start();
//   sink.Apply(changes);  // a source does so on its own thread
//   sink.Synced();
//   core.Stop();
//
// There is no fixed hold-off: the first change is applied at once, and changes that arrive
// meanwhile are the next batch. `floor` is the least time between the beginnings of two batches,
// which limits the work when changes come by the thousand.
//
// Nothing is passed on before every source has called Synced. All changes until then are one batch,
// the first build.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/source.h"
#include "base/latency.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "core/pipeline.h"

namespace contour::core {

class Core {
 public:
  // The latest build, for those who count.
  struct Batch {
    const std::vector<api::Change>& changes;
    const Pipeline::Output& output;
    std::chrono::nanoseconds derived;  // how long the pipeline took
  };
  struct Options {
    Pipeline::Options pipeline;
    std::chrono::milliseconds floor{5};
    std::function<void(const Batch&)> observer;  // after the handler, on the core thread; optional
  };
  // Called on the core thread after each batch, the first build included.
  using Handler = std::function<void(const Pipeline::Output&)>;

  Core(Options options, Handler handler);
  ~Core();  // stops
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Returns the sink of one more source. REQUIRES: Start wasn't called, or there is no source yet.
  // Otherwise the core could build without the source's objects, so the process aborts. The sink
  // lives as long as the core. Its functions may be called on any thread, and return at once.
  api::Sink& AddSource();

  void Start();
  // Takes no new work, waits for the batch that is under way and ends the thread. Changes that are
  // still queued are dropped: the sources have them.
  void Stop();

  bool built() const { return built_; }  // the first build is done

  // Calls Pipeline::Follow before the next batch. Any thread; returns at once.
  void Follow(xds::StandInNeeds needs);

  // Runs `question` on the core thread between two batches and returns its answer; nullopt if that
  // takes longer than `patience`, or if the core isn't running. It may be called on any thread but
  // the core's.
  //
  // Example, given `Core& core` and `const std::string& host`:
  //   const auto view = core.Ask(
  //       [host](const Pipeline& pipeline) { return pipeline.DescribeHost(host); }, 2s);
  //
  // The question should be short, since nothing is derived meanwhile. It must own all that it uses:
  // it may still run when the caller has given up. It doesn't begin after that.
  template <typename Question>
  auto Ask(Question question, std::chrono::milliseconds patience)
      -> std::optional<std::invoke_result_t<Question, const Pipeline&>> {
    using Answer = std::invoke_result_t<Question, const Pipeline&>;
    auto promise = std::make_shared<std::promise<Answer>>();
    std::future<Answer> future = promise->get_future();
    const auto asker = std::make_shared<const bool>(true);  // lives as long as somebody waits
    PostQuestion([question = std::move(question), promise = std::move(promise),
                  waits = std::weak_ptr(asker)](const Pipeline& pipeline) {
      if (!waits.expired()) promise->set_value(question(pipeline));
    });
    try {
      if (future.wait_for(patience) == std::future_status::ready) return future.get();
    } catch (const std::future_error&) {  // nobody will answer
    }
    return std::nullopt;
  }

  struct Statistics {
    std::uint64_t batches = 0;
    std::uint64_t changes = 0;
    std::chrono::nanoseconds busy{0};  // in the pipeline and the handler
    LatencyValues wait;                // of each batch: from its oldest change to its beginning
    LatencyValues derive;              // of each batch: in the pipeline
    Pipeline::NameCounts names;        // now
  };
  Statistics statistics() const;

 private:
  class SourceSink;

  // Answers questions, and builds the next batch if it is time for it. Returns the time for the
  // next.
  std::optional<WorkerThread::Time> Work() ABSL_LOCKS_EXCLUDED(mutex_);
  // True if there is something to build from and something to do.
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Build(const std::vector<api::Change>& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void Enqueue(std::vector<api::Change> changes);
  void PostQuestion(std::function<void(const Pipeline&)> question);
  // Runs the questions, with `mutex_` unlocked meanwhile.
  void AnswerQuestions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Synced();

  Options options_;
  Handler handler_;
  Pipeline pipeline_;  // used on the core thread only
  std::vector<std::unique_ptr<SourceSink>> sinks_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> built_ = false;

  mutable Mutex mutex_;
  std::vector<api::Change> queue_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point queued_since_ ABSL_GUARDED_BY(mutex_);  // the oldest
  std::vector<std::function<void(const Pipeline&)>> questions_ ABSL_GUARDED_BY(mutex_);
  std::optional<xds::StandInNeeds> follow_ ABSL_GUARDED_BY(mutex_);  // from the next batch on
  std::size_t unsynced_ ABSL_GUARDED_BY(mutex_) = 0;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);  // without the latencies
  Latency wait_;
  Latency derive_;

  WorkerThread::Time last_;  // when the latest batch began; used on the core thread only
  WorkerThread worker_;
};

}  // namespace contour::core
