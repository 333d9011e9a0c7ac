// SPDX-License-Identifier: Apache-2.0
#include "kube/object_watch.h"

#include <fmt/core.h>

#include <utility>

#include "base/status.h"
#include "kube/api_status.h"
#include "kube/url.h"
#include "kube/watch_event.h"

namespace contour::kube {
namespace {

constexpr std::size_t kMostErrorBytes = 64 * 1024;

}  // namespace

ObjectWatch::ObjectWatch(Session& session, std::string collection_path, std::string name,
                         Options options, Listener& listener)
    : session_(session),
      collection_path_(std::move(collection_path)),
      name_(std::move(name)),
      options_(options),
      listener_(listener),
      framer_(options.max_event_bytes),
      backoff_(options.backoff),
      wait_timer_(session.loop()),
      silence_timer_(session.loop()) {}

ObjectWatch::~ObjectWatch() { Abort(); }

void ObjectWatch::Start() {
  Loop& loop = session_.loop();
  http_status_ = 0;
  error_body_.clear();
  framer_.Reset();
  last_bytes_ = loop.Now();
  const auto range = static_cast<double>((options_.longest - options_.shortest).count());
  const auto seconds = options_.shortest.count() + static_cast<std::int64_t>(range * loop.Random());
  call_ = session_.Start(
      {.path = fmt::format("{}?watch=true&allowWatchBookmarks=true&fieldSelector={}"
                           "&timeoutSeconds={}",
                           collection_path_, UrlEncode("metadata.name=" + name_), seconds),
       .accept_gzip = false},
      *this);
  silence_timer_.Set(options_.silence_limit, [this] { CheckSilence(); });
}

void ObjectWatch::OnHead(const HttpHead& head) {
  http_status_ = head.status;
  last_bytes_ = session_.loop().Now();
  if (head.status != 200) return;
  open_ = true;
  backoff_.Reset();
  listener_.OnOpen();
}

void ObjectWatch::OnBody(std::string_view bytes) {
  last_bytes_ = session_.loop().Now();
  if (open_) {
    framer_.Feed(bytes, [this](std::string_view line) { return OnLine(line); });
  } else if (error_body_.size() < kMostErrorBytes) {
    error_body_ += bytes;
  }
}

void ObjectWatch::OnEnd(const absl::Status& status) {
  call_.reset();
  if (!status.ok()) return Closed(status);
  Closed(http_status_ == 200 ? absl::OkStatus()
                             : ToStatus(ParseApiStatus(http_status_, error_body_)));
}

bool ObjectWatch::OnLine(std::string_view line) {
  simdjson::dom::parser parser;
  const absl::StatusOr<WatchEvent> event = ParseWatchEvent(parser, line);
  if (!event.ok() || event->type == WatchEvent::Type::kError) {
    Abort();
    Closed(event.ok() ? ToStatus(event->status) : event.status());
    return false;
  }
  if (event->type == WatchEvent::Type::kBookmark || event->item.name != name_) return true;
  const std::string object = simdjson::minify(event->item.object);
  listener_.OnObject(object, event->type == WatchEvent::Type::kDeleted);
  return call_.has_value();
}

void ObjectWatch::Abort() {
  if (call_) session_.Cancel(*std::exchange(call_, std::nullopt));
}

void ObjectWatch::Closed(const absl::Status& status) {
  silence_timer_.Clear();
  const bool was_open = std::exchange(open_, false);
  listener_.OnClosed(status);
  // A request that ended in time is followed by the next at once.
  const bool at_once = was_open && status.ok();
  wait_timer_.Set(at_once ? Clock::duration::zero() : backoff_.Next(session_.loop().Random()),
                  [this] { Start(); });
}

void ObjectWatch::CheckSilence() {
  const auto left = last_bytes_ + options_.silence_limit - session_.loop().Now();
  if (left > Clock::duration::zero()) {
    silence_timer_.Set(left, [this] { CheckSilence(); });
    return;
  }
  Abort();
  Closed(absl::UnavailableError("the watch fell silent"));
}

}  // namespace contour::kube
