// SPDX-License-Identifier: Apache-2.0

#include "kube/reflector.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "api/parse_element.h"
#include "api/secret.h"
#include "base/log.h"
#include "base/status.h"
#include "kube/resources.h"
#include "kube/url.h"
#include "kube/watch_event.h"

namespace contour::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostErrorBody = 64 * 1024;
constexpr std::size_t kKeptParser =
    1024 * 1024;  // bytes of the largest document before buffers are given back
constexpr int kAbsentAnswersToBelieve = 3;
constexpr int kFaultsToListAgain = 3;
constexpr int kStreamingFailuresToFallBack = 2;
constexpr milliseconds kShortLife{500};  // a watch that ends before isn't opened again at once
constexpr seconds kGoodLife{5};  // a request that lived as long shows that the server is well
constexpr milliseconds kWakeSpread{200};
constexpr seconds kLongestRetryAfter{120};

// Secrets of these types can't hold what we look for and may be many and large.
constexpr std::string_view kSecretSelector =
    "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

// resourceVersions of one kind are numbers that grow (Kubernetes 1.35 says so; etcd always did it).
bool IsOlder(std::string_view a, std::string_view b) {
  std::uint64_t left = 0;
  std::uint64_t right = 0;
  const auto number = [](std::string_view text, std::uint64_t* value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size();
  };
  return number(a, &left) && number(b, &right) && left < right;
}

}  // namespace

struct Reflector::JsonParser {
  simdjson::dom::parser parser;

  // Gives back what an unusually large document took.
  void Shrink() {
    if (parser.capacity() > kKeptParser) parser = simdjson::dom::parser();
  }
};

struct Reflector::Item : ItemHead {
  explicit Item(const ItemHead& head) : ItemHead(head) {}
  Key key() const { return {ns, name}; }
};

std::shared_ptr<Reflector::JsonParser> Reflector::NewJsonParser() {
  return std::make_shared<JsonParser>();
}

std::size_t Reflector::KeyHash::operator()(const Key& key) const {
  const std::hash<std::string_view> hash;
  return hash(key.name) * 31 + hash(key.ns);
}
std::size_t Reflector::KeyHash::operator()(const Known& known) const {
  return (*this)(KeyEqual::Of(known));
}

Reflector::Reflector(api::Kind kind, std::string ns, const WatchOptions& options, Session& session,
                     std::shared_ptr<JsonParser> parser, Owner& owner)
    : kind_(kind),
      ns_(std::move(ns)),
      options_(options),
      session_(session),
      parser_(std::move(parser)),
      owner_(owner),
      framer_(options.max_event_bytes),
      page_size_(std::max(1, options.page_size)),
      streaming_(options.streaming_lists),
      backoff_(options.backoff),
      wait_timer_(session.loop()),
      silence_timer_(session.loop()),
      history_timer_(session.loop()) {}

Reflector::~Reflector() { Abort(); }

void Reflector::Start() { Next(); }

void Reflector::ServerIsReachable() {
  if (waiting_ != Waiting::kForServer || !may_be_woken_) return;
  may_be_woken_ = false;  // until something has worked: a server that only answers to hang up
                          // mustn't keep us busy
  WaitFor(std::chrono::duration_cast<milliseconds>(kWakeSpread * session_.loop().Random()),
          Waiting::kForTime);
}

// ---- Requests

void Reflector::Next() {
  waiting_ = Waiting::kNo;
  if (resource_version_.empty()) {
    BeginList();
  } else {
    BeginWatch();
  }
}

void Reflector::BeginList() {
  ++mark_;
  pending_.clear();
  continue_token_.clear();
  if (!streaming_) return BeginPage();
  Request(Phase::kListStream,
          "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
          "allowWatchBookmarks=true&timeoutSeconds=" +
              WatchSeconds());
}

void Reflector::BeginPage() {
  std::string query = fmt::format("limit={}", page_size_);
  if (!continue_token_.empty()) query += "&continue=" + UrlEncode(continue_token_);
  Request(Phase::kListPages, query);
}

void Reflector::BeginWatch() {
  Request(Phase::kWatch,
          fmt::format("watch=true&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds={}",
                      UrlEncode(resource_version_), WatchSeconds()));
}

void Reflector::CheckHistory() { Request(Phase::kHistoryCheck, "limit=1"); }

std::string Reflector::WatchSeconds() {
  const auto span = static_cast<double>((options_.longest_watch - options_.shortest_watch).count());
  return fmt::format("{}", options_.shortest_watch.count() +
                               static_cast<std::int64_t>(span * session_.loop().Random()));
}

void Reflector::Request(Phase phase, const std::string& query) {
  Abort();
  phase_ = phase;
  head_ = {};
  body_.clear();
  framer_.Reset();
  request_begun_ = session_.loop().Now();
  last_bytes_ = request_begun_;
  ApiRequest request;
  request.path = CollectionPath(kind_, ns_) + "?" + query;
  if (kind_ == api::Kind::kSecret) {
    request.path += "&fieldSelector=" + UrlEncode(kSecretSelector);
  }
  request.accept_gzip = OnePage();
  call_ = session_.Start(std::move(request), *this);
  WatchForSilence();
}

void Reflector::Abort() {
  wait_timer_.Clear();
  silence_timer_.Clear();
  history_timer_.Clear();
  if (call_) session_.Cancel(*std::exchange(call_, std::nullopt));
}

// ---- Answers

void Reflector::OnHead(const HttpHead& head) {
  head_ = head;
  last_bytes_ = session_.loop().Now();
  // What an outage taught the backoff doesn't count once the server answers: while it comes up it
  // refuses (403, 429, 5xx) for a second or two.
  if (std::exchange(unreachable_, false)) backoff_.Reset();
  if (head.status == 200) {
    absent_answers_ = 0;
    forbidden_since_.reset();
    stats_.forbidden = false;
    if (std::exchange(stats_.absent, false)) {
      log::Info("kube", "kind is installed now", {{"kind", api::KindName(kind_)}});
    }
    if (!OnePage()) ++stats_.watches;
    if (phase_ == Phase::kWatch && history_unsure_) {
      history_timer_.Set(options_.history_check, [this] { CheckHistory(); });
    }
    if (phase_ == Phase::kWatch && !stats_.last_error.empty()) {
      log::Info("kube", "watching again", {{"kind", api::KindName(kind_)}, {"namespace", ns_}});
      stats_.last_error.clear();
    }
    owner_.StatsChanged(*this);
  }
  owner_.ServerReached(*this);
}

void Reflector::OnBody(std::string_view bytes) {
  last_bytes_ = session_.loop().Now();
  if (head_.status != 200) {
    if (body_.size() < kMostErrorBody) body_ += bytes.substr(0, kMostErrorBody - body_.size());
    return;
  }
  stats_.last_received = last_bytes_;
  if (OnePage()) {
    body_ += bytes;
    if (body_.size() <= options_.max_page_bytes) return;
    if (phase_ == Phase::kHistoryCheck) {  // one object as big as that: then without the check
      std::string().swap(body_);
      history_unsure_ = false;
      return Next();
    }
    std::string().swap(body_);
    Abort();
    const int smaller = std::max(1, page_size_ / 4);
    const bool smallest = page_size_ == smaller;
    page_size_ = smaller;
    const std::string error =
        fmt::format("a page is larger than {} bytes", options_.max_page_bytes);
    if (smallest) return Retry(Waiting::kForTime, error);
    Report(error);
    return BeginList();
  }
  const std::uint64_t skipped = framer_.skipped();
  framer_.Feed(bytes, [this](std::string_view line) { return OnLine(line); });
  if (framer_.skipped() != skipped) {
    stats_.bad_objects += framer_.skipped() - skipped;
    log::Warning("kube", "a watch event is larger than the limit and was left out",
                 {{"kind", api::KindName(kind_)}, {"limit", options_.max_event_bytes}});
  }
  Flush();
}

void Reflector::OnEnd(const absl::Status& status) {
  call_.reset();
  silence_timer_.Clear();
  if (session_.loop().Now() - request_begun_ >= kGoodLife && head_.status == 200) backoff_.Reset();
  history_timer_.Clear();
  if (!status.ok()) {
    unreachable_ = true;
    history_unsure_ = true;
    const Waiting waiting =
        absl::IsUnauthenticated(status) ? Waiting::kForTime : Waiting::kForServer;
    return Retry(waiting, std::string(Message(status)));
  }
  if (head_.status != 200) return OnHttpError();
  if (phase_ == Phase::kListPages) return OnPage();
  if (phase_ == Phase::kHistoryCheck) return OnHistory();
  OnStreamEnd();
}

void Reflector::OnHistory() {
  const absl::StatusOr<ListPage> page = ParseListPage(parser_->parser, body_);
  std::string().swap(body_);
  if (!page.ok()) return Retry(Waiting::kForTime, std::string(Message(page.status())));
  if (IsOlder(page->resource_version, resource_version_)) {
    return ListAgain("the server's history went back");
  }
  history_unsure_ = false;
  Next();
}

bool Reflector::OnLine(std::string_view line) {
  const absl::StatusOr<WatchEvent> event = ParseWatchEvent(parser_->parser, line);
  if (!event.ok()) {
    Abort();
    if (++faults_ >= kFaultsToListAgain) resource_version_.clear();
    Retry(Waiting::kForTime, std::string(Message(event.status())));
    return false;
  }
  const Item item(event->item);
  const bool listing = phase_ == Phase::kListStream;
  switch (event->type) {
    case WatchEvent::Type::kError:
      OnErrorEvent(event->status);
      return false;
    case WatchEvent::Type::kBookmark:
      if (listing) {
        if (!event->ends_initial_events) {
          Abort();
          FallBackToPages("the server sends plain bookmarks in a streaming list");
          return false;
        }
        streaming_failures_ = 0;
        Commit(item.resource_version);
        phase_ = Phase::kWatch;
        WatchForSilence();
        break;
      }
      if (WentBack(item)) return false;
      Progress(item.resource_version);
      break;
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      if (listing) {
        Listed(item);
      } else {
        ++stats_.events;
        if (WentBack(item)) return false;
        Changed(item);
        Progress(item.resource_version);
      }
      break;
    case WatchEvent::Type::kDeleted:
      if (listing) {
        pending_.push_back({{kind_, std::string(item.ns), std::string(item.name)}, nullptr});
      } else {
        ++stats_.events;
        if (WentBack(item)) return false;
        Gone(item);
        Progress(item.resource_version);
      }
      break;
  }
  parser_->Shrink();
  return true;
}

// Events come in the order of their versions. One that is older than where the watch is tells of a
// server that was restored or lags: what it says could be the past, a list tells what is.
bool Reflector::WentBack(const Item& item) {
  if (!IsOlder(item.resource_version, resource_version_)) return false;
  Abort();
  ListAgain("the server's history went back");
  return true;
}

void Reflector::OnPage() {
  const absl::StatusOr<ListPage> page = ParseListPage(parser_->parser, body_);
  std::string().swap(body_);
  if (!page.ok()) return Retry(Waiting::kForTime, std::string(Message(page.status())));
  if (page->has_items) {
    for (const simdjson::dom::element element : page->items) {
      const absl::StatusOr<ItemHead> head = ReadItemHead(element);
      if (!head.ok()) return Retry(Waiting::kForTime, std::string(Message(head.status())));
      Listed(Item(*head));
    }
  }
  const std::string resource_version(page->resource_version);
  continue_token_ = page->continue_token;
  parser_->Shrink();
  if (!continue_token_.empty()) return BeginPage();
  Commit(resource_version);
  Next();
}

void Reflector::OnStreamEnd() {
  if (phase_ == Phase::kListStream) {
    if (++streaming_failures_ >= kStreamingFailuresToFallBack) {
      return FallBackToPages("streaming lists end without their bookmark");
    }
    return Retry(Waiting::kForTime, "a streaming list ended before its bookmark");
  }
  if (session_.loop().Now() - request_begun_ < kShortLife) {
    return Retry(Waiting::kForTime, "a watch ended at once");
  }
  Next();
}

void Reflector::OnHttpError() {
  ApiStatus status = ParseApiStatus(head_.status, body_);
  if (head_.retry_after && (!status.retry_after || *status.retry_after < *head_.retry_after)) {
    status.retry_after = head_.retry_after;
  }
  body_.clear();
  const std::string text(Message(ToStatus(status)));
  if (status.resource_version_too_large && phase_ == Phase::kWatch) return ListAgain(text);
  switch (head_.status) {
    case 403:
      return Forbidden(status);
    case 404:
      if (IsOptional(kind_)) return Absent(status);
      break;
    case 410:
      return ListAgain(text);
    case 400:
    case 422:
      if (phase_ == Phase::kListStream) return FallBackToPages(text);
      resource_version_.clear();
      break;
    default:
      break;
  }
  Retry(Waiting::kForTime, text, status.retry_after);
}

void Reflector::OnErrorEvent(const ApiStatus& status) {
  Abort();
  const std::string text(Message(ToStatus(status)));
  if (status.code == 410 || status.reason == "Expired" || status.reason == "Gone" ||
      status.resource_version_too_large) {
    return ListAgain(text);
  }
  if (++faults_ >= kFaultsToListAgain) resource_version_.clear();
  Retry(Waiting::kForTime, text, status.retry_after);
}

// ---- Objects

Reflector::Parsed Reflector::Parse(const Item& item, api::ObjectPtr* object) {
  const absl::StatusOr<api::ParsedObject> parsed =
      api::ParseElement(item.object, "", nullptr, {api::ApiVersion(kind_), api::KindName(kind_)});
  const bool good = parsed.ok() && parsed->object != nullptr && parsed->object->kind == kind_;
  if (!good) {
    ++stats_.bad_objects;
    log::Warning("kube", "an object can't be read, what was known of it stays",
                 {{"kind", api::KindName(kind_)},
                  {"object", fmt::format("{}/{}", item.ns, item.name)},
                  {"error", parsed.ok() ? "of another kind" : Message(parsed.status())}});
    return Parsed::kBad;
  }
  const auto* secret = api::As<api::Secret>(*parsed->object);
  if (secret != nullptr && !api::IsUsable(*secret)) return Parsed::kUnwanted;
  *object = parsed->object;
  return Parsed::kGood;
}

void Reflector::Listed(const Item& item) {
  const auto known = known_.find(item.key());
  if (known != known_.end() && known->object->meta.resource_version == item.resource_version) {
    known->mark = mark_;
    return;
  }
  api::ObjectPtr object;
  switch (Parse(item, &object)) {
    case Parsed::kUnwanted:
      return;
    case Parsed::kGood:
      pending_.push_back({object->Ref(), object});
      break;
    case Parsed::kBad:
      break;
  }
  if (known != known_.end()) known->mark = mark_;
}

void Reflector::Commit(std::string_view resource_version) {
  for (api::Change& change : std::exchange(pending_, {})) {
    if (change.object != nullptr) {
      Remember(change.object);
      changes_.push_back(std::move(change));
    } else {
      Forget(change.ref.ns, change.ref.name);
    }
  }
  for (auto known = known_.begin(); known != known_.end();) {
    if (known->mark == mark_) {
      ++known;
      continue;
    }
    changes_.push_back({known->object->Ref(), nullptr});
    known = known_.erase(known);
  }
  resource_version_ = resource_version;
  ++stats_.lists;
  if (lists_without_progress_ == 0) backoff_.Reset();
  may_be_woken_ = true;
  stats_.last_error.clear();
  Flush();
  MarkSynced();
}

void Reflector::Changed(const Item& item) {
  const auto known = known_.find(item.key());
  if (known != known_.end() && known->object->meta.resource_version == item.resource_version)
    return;
  api::ObjectPtr object;
  switch (Parse(item, &object)) {
    case Parsed::kBad:
      return;
    case Parsed::kUnwanted:
      return Gone(item);
    case Parsed::kGood:
      break;
  }
  Remember(object);
  changes_.push_back({object->Ref(), std::move(object)});
}

void Reflector::Gone(const Item& item) { Forget(item.ns, item.name); }

void Reflector::Remember(api::ObjectPtr object) {
  const auto known = known_.find(Key{object->meta.ns, object->meta.name});
  if (known == known_.end()) {
    known_.insert(Known{std::move(object), mark_});
  } else {
    known->object = std::move(object);
    known->mark = mark_;
  }
}

void Reflector::Forget(std::string_view ns, std::string_view name) {
  const auto known = known_.find(Key{ns, name});
  if (known == known_.end()) return;
  changes_.push_back({known->object->Ref(), nullptr});
  known_.erase(known);
}

void Reflector::Flush() {
  stats_.objects = known_.size();
  if (!changes_.empty()) owner_.Deliver(std::exchange(changes_, {}));
  owner_.StatsChanged(*this);
}

void Reflector::Progress(std::string_view resource_version) {
  resource_version_ = resource_version;
  history_unsure_ = false;
  history_timer_.Clear();
  faults_ = 0;
  lists_without_progress_ = 0;
  may_be_woken_ = true;
  backoff_.Reset();
}

// ---- What goes wrong

void Reflector::Absent(const ApiStatus& status) {
  if (!std::exchange(stats_.absent, true)) {
    log::Info("kube", "kind isn't installed",
              {{"kind", api::KindName(kind_)}, {"answer", Message(ToStatus(status))}});
  }
  stats_.forbidden = false;
  forbidden_since_.reset();
  if (!known_.empty() && ++absent_answers_ < kAbsentAnswersToBelieve) {
    return WaitFor(backoff_.Next(session_.loop().Random()), Waiting::kForTime);
  }
  for (const Known& known : known_) changes_.push_back({known.object->Ref(), nullptr});
  known_.clear();
  resource_version_.clear();
  backoff_.Reset();
  stats_.last_error.clear();
  Flush();
  MarkSynced();
  const double jitter = 0.75 + 0.5 * session_.loop().Random();
  WaitFor(std::chrono::duration_cast<milliseconds>(options_.absent_recheck * jitter),
          Waiting::kForTime);
}

void Reflector::Forbidden(const ApiStatus& status) {
  const TimePoint now = session_.loop().Now();
  stats_.forbidden = true;
  stats_.absent = false;
  if (!forbidden_since_) forbidden_since_ = now;
  Retry(Waiting::kForTime, std::string(Message(ToStatus(status))), status.retry_after);
  if (now - *forbidden_since_ >= options_.forbidden_grace) MarkSynced();
}

void Reflector::ListAgain(const std::string& why) {
  resource_version_.clear();
  phase_ = Phase::kIdle;
  faults_ = 0;
  if (lists_without_progress_++ > 0) return Retry(Waiting::kForTime, why);
  log::Info("kube", "listing again",
            {{"kind", api::KindName(kind_)}, {"namespace", ns_}, {"why", why}});
  BeginList();
}

void Reflector::FallBackToPages(const std::string& why) {
  streaming_ = false;
  log::Info("kube", "listing in pages instead of streaming",
            {{"kind", api::KindName(kind_)}, {"namespace", ns_}, {"why", why}});
  BeginList();
}

void Reflector::Retry(Waiting waiting, const std::string& error, std::optional<seconds> at_least) {
  ++stats_.failures;
  Report(error);
  milliseconds delay = backoff_.Next(session_.loop().Random());
  if (at_least) delay = std::max<milliseconds>(delay, std::min(*at_least, kLongestRetryAfter));
  WaitFor(delay, waiting);
}

void Reflector::WaitFor(milliseconds delay, Waiting waiting) {
  phase_ = Phase::kIdle;
  waiting_ = waiting;
  wait_timer_.Set(delay, [this] { Next(); });
  owner_.StatsChanged(*this);
}

void Reflector::Report(const std::string& error) {
  const log::Level level = error == stats_.last_error ? log::Level::kDebug : log::Level::kWarning;
  log::Write(level, "kube", "list or watch failed",
             {{"kind", api::KindName(kind_)}, {"namespace", ns_}, {"error", error}});
  stats_.last_error = error;
}

void Reflector::MarkSynced() {
  if (std::exchange(stats_.synced, true)) return;
  owner_.StatsChanged(*this);
  owner_.ReflectorSynced(*this);
}

// ---- Silence

void Reflector::WatchForSilence() {
  const milliseconds limit =
      phase_ == Phase::kWatch ? options_.silence_limit : options_.list_silence_limit;
  silence_timer_.Set(last_bytes_ + limit - session_.loop().Now(), [this] { CheckSilence(); });
}

void Reflector::CheckSilence() {
  const milliseconds limit =
      phase_ == Phase::kWatch ? options_.silence_limit : options_.list_silence_limit;
  const TimePoint now = session_.loop().Now();
  if (now - last_bytes_ < limit) return WatchForSilence();
  const bool listing = phase_ == Phase::kListStream;
  Abort();
  const std::optional<TimePoint> received = session_.transport().LastReceived();
  if (!received || now - *received >= limit) session_.transport().ResetConnections();
  if (listing && ++streaming_failures_ >= kStreamingFailuresToFallBack) {
    return FallBackToPages("streaming lists fall silent");
  }
  Retry(Waiting::kForServer, fmt::format("nothing came for {} ms", limit.count()));
}

}  // namespace contour::kube
