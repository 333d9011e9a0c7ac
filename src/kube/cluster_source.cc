// SPDX-License-Identifier: Apache-2.0

#include "kube/cluster_source.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "kube/session.h"

namespace contour::kube {
namespace {

constexpr api::Kind kKinds[] = {
    api::Kind::kService,
    api::Kind::kEndpointSlice,
    api::Kind::kSecret,
    api::Kind::kIngress,
    api::Kind::kIngressClass,
    api::Kind::kIngressRoute,
    api::Kind::kTLSCertificateDelegation,
};

// Returns the names sorted, each once; {""} (all namespaces) for an empty list.
std::vector<std::string> Namespaces(std::vector<std::string> names) {
  if (names.empty()) return {""};
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool Contains(const std::vector<api::Kind>& kinds, api::Kind kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

void AddUnknown(const ReflectorStats& one, TimePoint now, KindStats& sum) {
  if (!one.unknown_since) return;
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(now - *one.unknown_since);
  sum.unknown_for = std::max(sum.unknown_for.value_or(time), time);
  sum.trouble = std::max(sum.trouble, one.trouble);
}

// Returns "Secret: HTTP 403 Forbidden: … (missing right: list secrets in all namespaces)".
std::string Describe(const KindStats& kind) {
  std::string text(api::KindName(kind.kind));
  if (!kind.last_error.empty()) text += ": " + kind.last_error;
  if (!kind.missing_right.empty()) text += " (missing right: " + kind.missing_right + ")";
  return text;
}

template <typename Wanted>
std::string DescribeEach(const ClusterSourceStats& stats, Wanted&& wanted) {
  std::string text;
  for (const KindStats& kind : stats.kinds) {
    if (kind.unknown_for && wanted(kind)) text += (text.empty() ? "" : "; ") + Describe(kind);
  }
  return text;
}

}  // namespace

bool IsAway(const ClusterSourceStats& stats) {
  bool failed = false;
  for (const KindStats& kind : stats.kinds) {
    if (kind.lists > 0 || kind.trouble > Trouble::kNoAnswer) return false;
    failed = failed || kind.trouble == Trouble::kNoAnswer;
  }
  return failed;
}

std::string NeverKnown(const ClusterSourceStats& stats) {
  return DescribeEach(stats, [](const KindStats& kind) {
    return !kind.synced && kind.trouble > Trouble::kNoAnswer;
  });
}

std::string NotKnownNow(const ClusterSourceStats& stats, std::chrono::milliseconds at_least) {
  return DescribeEach(
      stats, [&](const KindStats& kind) { return kind.synced && *kind.unknown_for >= at_least; });
}

class ClusterSource::Impl final : public Reflector::Owner {
 public:
  Impl(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options, Loop& loop,
       Transport& transport)
      : options_(std::move(options)),
        loop_(loop),
        transport_(transport),
        credentials_(std::move(credentials)) {}

  void Start(api::Sink& sink) {
    loop_.Run([this, &sink] {
      sink_ = &sink;
      session_ = std::make_unique<Session>(credentials_, loop_, transport_);
      const std::shared_ptr<Reflector::JsonParser> parser = Reflector::NewJsonParser();
      for (const api::Kind kind : kKinds) {
        if (Contains(options_.without, kind)) continue;
        const bool own = kind == api::Kind::kSecret && !options_.secret_namespaces.empty();
        const std::vector<std::string> namespaces =
            !api::IsNamespaced(kind)
                ? std::vector<std::string>{""}
                : Namespaces(own ? options_.secret_namespaces : options_.watch_namespaces);
        // A contour that is limited to namespaces need not have a right to cluster-wide kinds.
        const bool may_be_left_out = !api::IsNamespaced(kind) && !options_.watch_namespaces.empty();
        for (const std::string& ns : namespaces) {
          reflectors_.push_back(
              std::make_unique<Reflector>(Reflector::Scope{kind, ns, may_be_left_out},
                                          options_.watch, *session_, parser, *this));
        }
      }
      unsynced_ = reflectors_.size();
      {
        const MutexLock lock(mutex_);
        for (const auto& reflector : reflectors_) stats_.push_back({reflector->kind(), {}});
      }
      for (const auto& reflector : reflectors_) reflector->Start();
    });
  }

  void Stop() {
    loop_.Run([this] {
      reflectors_.clear();
      session_.reset();
    });
  }

  ClusterSourceStats GetStats() const {
    const TimePoint now = loop_.Now();
    ClusterSourceStats all;
    const MutexLock lock(mutex_);
    all.synced = synced_;
    for (const auto& [kind, one] : stats_) {
      if (all.kinds.empty() || all.kinds.back().kind != kind) {
        all.kinds.push_back({.kind = kind, .synced = true});
      }
      KindStats& sum = all.kinds.back();
      sum.objects += one.objects;
      sum.events += one.events;
      sum.lists += one.lists;
      sum.watches += one.watches;
      sum.failures += one.failures;
      sum.bad_objects += one.bad_objects;
      sum.synced = sum.synced && one.synced;
      sum.forbidden = sum.forbidden || one.forbidden;
      sum.absent = sum.absent || one.absent;
      sum.left_out = sum.left_out || one.left_out;
      if (sum.last_error.empty()) sum.last_error = one.last_error;
      if (sum.missing_right.empty()) sum.missing_right = one.missing_right;
      AddUnknown(one, now, sum);
      if (one.last_received) {
        const auto since =
            std::chrono::duration_cast<std::chrono::milliseconds>(now - *one.last_received);
        sum.since_last_received = std::min(sum.since_last_received.value_or(since), since);
      }
    }
    return all;
  }

 private:
  void Deliver(std::vector<api::Change> changes) override { sink_->Apply(std::move(changes)); }

  void ReflectorSynced(Reflector& reflector) override {
    log::Info("kube", "listed",
              {{"kind", api::KindName(reflector.kind())},
               {"namespace", reflector.ns()},
               {"objects", reflector.stats().objects}});
    if (--unsynced_ > 0) return;
    {
      const MutexLock lock(mutex_);
      synced_ = true;
    }
    sink_->Synced();
  }

  void ServerReached(Reflector& reflector) override {
    for (const auto& other : reflectors_) {
      if (other.get() != &reflector) other->ServerIsReachable();
    }
  }

  void StatsChanged(Reflector& reflector) override {
    const auto found =
        std::find_if(reflectors_.begin(), reflectors_.end(),
                     [&](const auto& candidate) { return candidate.get() == &reflector; });
    const MutexLock lock(mutex_);
    stats_[static_cast<std::size_t>(found - reflectors_.begin())].second = reflector.stats();
  }

  const ClusterSourceOptions options_;
  Loop& loop_;
  Transport& transport_;
  const std::shared_ptr<Credentials> credentials_;

  // The loop's thread only.
  api::Sink* sink_ = nullptr;
  std::unique_ptr<Session> session_;
  std::vector<std::unique_ptr<Reflector>> reflectors_;
  std::size_t unsynced_ = 0;

  mutable Mutex mutex_;
  bool synced_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::pair<api::Kind, ReflectorStats>> stats_
      ABSL_GUARDED_BY(mutex_);  // as reflectors_
};

ClusterSource::ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options)
    : io_(std::make_unique<CurlIo>(options.io)),
      impl_(std::make_unique<Impl>(std::move(credentials), std::move(options), *io_, *io_)) {}

ClusterSource::ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options,
                             Loop& loop, Transport& transport)
    : impl_(std::make_unique<Impl>(std::move(credentials), std::move(options), loop, transport)) {}

ClusterSource::~ClusterSource() { Stop(); }

void ClusterSource::Start(api::Sink& sink) { impl_->Start(sink); }

void ClusterSource::Stop() {
  impl_->Stop();
  if (io_ != nullptr) io_->Stop();
}

ClusterSourceStats ClusterSource::GetStats() const { return impl_->GetStats(); }

}  // namespace contour::kube
