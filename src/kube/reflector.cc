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
#include "base/strings.h"
#include "kube/discovery.h"
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
constexpr int kAbsentProofsToRemove = 3;
constexpr int kFaultsToListAgain = 3;
constexpr int kStreamingFailuresToGiveUp = 2;
constexpr milliseconds kShortLife{500};  // a watch that ends before isn't opened again at once
constexpr seconds kGoodLife{5};  // a request that lived as long shows that the server is well
constexpr milliseconds kWakeSpread{200};
constexpr seconds kLongestRetryAfter{120};

// Excludes Secrets of types that can't have certificates for contour, and may be many and large.
constexpr std::string_view kSecretSelector =
    "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

// Compares resourceVersions. Those of one kind are numbers that grow (documented since Kubernetes
// 1.35, and always so with etcd).
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

  // Frees the memory of an unusually large document.
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

Reflector::Reflector(Scope scope, const WatchOptions& options, Session& session,
                     std::shared_ptr<JsonParser> parser, Owner& owner)
    : scope_(std::move(scope)),
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
      history_timer_(session.loop()),
      certain_timer_(session.loop()) {}

Reflector::~Reflector() { Abort(); }

void Reflector::Start() {
  stats_.unknown_since = session_.loop().Now();
  owner_.StatsChanged(*this);
  Next();
}

void Reflector::ServerIsReachable() {
  if (waiting_ != Waiting::kForServer || !may_be_woken_) return;
  may_be_woken_ = false;  // until something has worked: a server that only answers to hang up
                          // mustn't keep us busy
  WaitFor(std::chrono::duration_cast<milliseconds>(kWakeSpread * session_.loop().Random()),
          Waiting::kForTime);
}

// ---- Requests ----

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
  skipped_before_ = framer_.skipped();
  continue_token_.clear();
  if (!streaming_) return BeginPage();
  Request(Phase::kListStream,
          Path("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
               "allowWatchBookmarks=true&timeoutSeconds=" +
               WatchSeconds()));
}

void Reflector::BeginPage() {
  std::string query = fmt::format("limit={}", page_size_);
  if (!continue_token_.empty()) query += "&continue=" + UrlEncode(continue_token_);
  Request(Phase::kListPages, Path(query));
}

void Reflector::BeginWatch() {
  Request(
      Phase::kWatch,
      Path(fmt::format("watch=true&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds={}",
                       UrlEncode(resource_version_), WatchSeconds())));
}

void Reflector::CheckHistory() { Request(Phase::kHistoryCheck, Path("limit=1")); }

void Reflector::AskDiscovery(Phase phase) {
  Request(phase, phase == Phase::kGroups ? kGroupsPath : ResourcesPath(scope_.kind));
}

std::string Reflector::WatchSeconds() {
  const auto span = static_cast<double>((options_.longest_watch - options_.shortest_watch).count());
  return fmt::format("{}", options_.shortest_watch.count() +
                               static_cast<std::int64_t>(span * session_.loop().Random()));
}

std::string Reflector::Path(const std::string& query) const {
  std::string path = CollectionPath(scope_.kind, scope_.ns) + "?" + query;
  if (scope_.kind == api::Kind::kSecret) path += "&fieldSelector=" + UrlEncode(kSecretSelector);
  return path;
}

void Reflector::Request(Phase phase, std::string path) {
  Abort();
  phase_ = phase;
  head_ = {};
  body_.clear();
  framer_.Reset();
  request_begun_ = session_.loop().Now();
  last_bytes_ = request_begun_;
  ApiRequest request;
  request.path = std::move(path);
  request.accept_gzip = !IsStream();
  call_ = session_.Start(std::move(request), *this);
  WatchForSilence();
}

void Reflector::Abort() {
  wait_timer_.Clear();
  silence_timer_.Clear();
  history_timer_.Clear();
  certain_timer_.Clear();
  if (call_) session_.Cancel(*std::exchange(call_, std::nullopt));
}

// ---- Answers ----

void Reflector::OnHead(const HttpHead& head) {
  head_ = head;
  last_bytes_ = session_.loop().Now();
  // The backoff of an outage ends once the server answers: while it starts it refuses requests
  // (403, 429, 5xx) for a second or two.
  if (std::exchange(unreachable_, false)) backoff_.Reset();
  if (head.status == 200 && !IsDiscovery()) OnAccepted();
  owner_.ServerReached(*this);
}

// A status of 200 alone proves nothing: a balancer has it for its own pages, too.
void Reflector::OnAccepted() {
  forbidden_since_.reset();
  stats_.forbidden = false;
  if (IsStream()) ++stats_.watches;
  if (phase_ == Phase::kListStream) WatchForSilence();
  if (phase_ == Phase::kWatch) {
    if (history_unsure_) history_timer_.Set(options_.history_check, [this] { CheckHistory(); });
    certain_timer_.Set(kGoodLife, [this] { Certain(); });
    if (!stats_.last_error.empty()) {
      log::Info("kube", "watching again",
                {{"kind", api::KindName(scope_.kind)}, {"namespace", scope_.ns}});
      stats_.last_error.clear();
    }
  }
  owner_.StatsChanged(*this);
}

void Reflector::OnBody(std::string_view bytes) {
  last_bytes_ = session_.loop().Now();
  if (head_.status != 200) {
    if (body_.size() < kMostErrorBody) body_ += bytes.substr(0, kMostErrorBody - body_.size());
    return;
  }
  stats_.last_received = last_bytes_;
  if (!IsStream()) return OnWholeBody(bytes);
  const std::uint64_t skipped = framer_.skipped();
  framer_.Feed(bytes, [this](std::string_view line) { return OnLine(line); });
  if (framer_.skipped() != skipped) {
    stats_.bad_objects += framer_.skipped() - skipped;
    log::Warning("kube", "a watch event is larger than the limit and was left out",
                 {{"kind", api::KindName(scope_.kind)}, {"limit", options_.max_event_bytes}});
  }
  Flush();
}

void Reflector::OnWholeBody(std::string_view bytes) {
  body_ += bytes;
  if (body_.size() <= options_.max_page_bytes) return;
  std::string().swap(body_);
  if (phase_ == Phase::kHistoryCheck) {  // one object as big as that: then without the check
    history_unsure_ = false;
    return Next();
  }
  Abort();
  const std::string error = fmt::format("a page is larger than {} bytes", options_.max_page_bytes);
  const int smaller = std::max(1, page_size_ / 4);
  if (IsDiscovery() || page_size_ == smaller) return Retry(Trouble::kOdd, error);
  page_size_ = smaller;
  Report(Trouble::kOdd, error);
  BeginList();
}

void Reflector::OnEnd(const absl::Status& status) {
  call_.reset();
  silence_timer_.Clear();
  if (session_.loop().Now() - request_begun_ >= kGoodLife && head_.status == 200) backoff_.Reset();
  history_timer_.Clear();
  certain_timer_.Clear();
  if (!status.ok()) {
    unreachable_ = true;
    history_unsure_ = true;
    const std::string text(Message(status));
    if (phase_ == Phase::kListStream && head_.status == 200) UsePages(text, Streaming::kFailed);
    return Retry(absl::IsUnauthenticated(status) ? Trouble::kRefused : Trouble::kNoAnswer, text);
  }
  if (head_.status != 200) return OnHttpError();
  if (IsStream()) return OnStreamEnd();
  OnWhole();
}

void Reflector::OnWhole() {
  switch (phase_) {
    case Phase::kHistoryCheck:
      return OnHistory();
    case Phase::kGroups:
    case Phase::kResources:
      return OnDiscovery();
    default:
      return OnPage();
  }
}

void Reflector::OnHistory() {
  const absl::StatusOr<ListPage> page = ParseListPage(
      parser_->parser, body_, api::ApiVersion(scope_.kind), api::KindName(scope_.kind));
  std::string().swap(body_);
  if (!page.ok()) return Retry(Trouble::kOdd, std::string(Message(page.status())));
  if (IsOlder(page->resource_version, resource_version_)) {
    return ListAgain("the server's history went back");
  }
  history_unsure_ = false;
  Next();
}

void Reflector::OnDiscovery() {
  const bool groups = phase_ == Phase::kGroups;
  const absl::StatusOr<bool> has =
      groups ? HasVersion(body_, scope_.kind) : HasResource(body_, scope_.kind);
  std::string().swap(body_);
  if (!has.ok()) {
    return Retry(Trouble::kOdd, fmt::format("{}; {}", not_found_, Message(has.status())));
  }
  if (!*has) return ProvenAbsent();
  if (groups) return AskDiscovery(Phase::kResources);
  Retry(Trouble::kRefused, not_found_ + "; but discovery has the kind");
}

bool Reflector::OnLine(std::string_view line) {
  const absl::StatusOr<WatchEvent> event = ParseWatchEvent(parser_->parser, line);
  if (!event.ok()) {
    OnOddLine(event.status());
    return false;
  }
  if (event->type == WatchEvent::Type::kError) {
    OnErrorEvent(event->status);
    return false;
  }
  const Item item(event->item);
  if (const absl::Status good = CheckScope(item); !good.ok()) {
    OnOddLine(good);
    return false;
  }
  const bool go_on =
      phase_ == Phase::kListStream ? OnListEvent(*event, item) : OnWatchEvent(*event, item);
  parser_->Shrink();
  return go_on;
}

bool Reflector::OnListEvent(const WatchEvent& event, const Item& item) {
  switch (event.type) {
    case WatchEvent::Type::kBookmark:
      if (!event.ends_initial_events) {
        Abort();
        FallBackToPages("the server sends plain bookmarks in a streaming list",
                        Streaming::kUnknownToServer);
        return false;
      }
      streaming_failures_ = 0;
      Commit(item.resource_version);
      phase_ = Phase::kWatch;
      WatchForSilence();
      break;
    case WatchEvent::Type::kDeleted:
      pending_.push_back({{scope_.kind, std::string(item.ns), std::string(item.name)}, nullptr});
      break;
    default:
      Listed(item, event.type == WatchEvent::Type::kModified);
      break;
  }
  return true;
}

bool Reflector::OnWatchEvent(const WatchEvent& event, const Item& item) {
  if (event.type != WatchEvent::Type::kBookmark) ++stats_.events;
  if (WentBack(item)) return false;
  if (event.type == WatchEvent::Type::kDeleted) {
    Gone(item);
  } else if (event.type != WatchEvent::Type::kBookmark) {
    Changed(item);
  }
  Progress(item.resource_version);
  return true;
}

// Handles a line that isn't an event of this kind; another server may have answered.
void Reflector::OnOddLine(const absl::Status& why) {
  Abort();
  const std::string text(Message(why));
  if (phase_ == Phase::kListStream) return FallBackToPages(text, Streaming::kFailed);
  if (++faults_ >= kFaultsToListAgain) resource_version_.clear();
  Retry(Trouble::kOdd, text);
}

// Checks kind and namespace. Objects in a watch have their kind, items of a list may omit it.
absl::Status Reflector::CheckScope(const Item& item) const {
  const std::string_view version = api::ApiVersion(scope_.kind);
  const std::string_view kind = api::KindName(scope_.kind);
  const bool unnamed = !IsStream() && item.kind.empty() && item.api_version.empty();
  if (!unnamed && (item.kind != kind || item.api_version != version)) {
    return InvalidArgument("expected objects of kind {} of {}, got kind {} of {}", kind, version,
                           Quote(item.kind.substr(0, 80)), Quote(item.api_version.substr(0, 80)));
  }
  if (!scope_.ns.empty() && !item.ns.empty() && item.ns != scope_.ns) {
    return InvalidArgument("expected objects of namespace {}, got {}", scope_.ns,
                           Quote(item.ns.substr(0, 80)));
  }
  return absl::OkStatus();
}

// True if the event is older than the watch. Events come in the order of their versions, so such an
// event means that the server was restored or lags. Its object may be outdated, and a list is
// needed.
bool Reflector::WentBack(const Item& item) {
  if (!IsOlder(item.resource_version, resource_version_)) return false;
  Abort();
  ListAgain("the server's history went back");
  return true;
}

// Takes the objects of the page in `body_`; an error leaves the list as it was.
absl::Status Reflector::TakePage(std::string* resource_version) {
  CONTOUR_ASSIGN_OR_RETURN(const ListPage page,
                           ParseListPage(parser_->parser, body_, api::ApiVersion(scope_.kind),
                                         api::KindName(scope_.kind)));
  for (const simdjson::dom::element element : page.items) {
    CONTOUR_ASSIGN_OR_RETURN(const ItemHead head, ReadItemHead(element));
    const Item item(head);
    if (item.name.empty()) return InvalidArgument("an object without name in a list");
    CONTOUR_RETURN_IF_ERROR(CheckScope(item));
    Listed(item, /*again=*/false);
  }
  *resource_version = page.resource_version;
  continue_token_ = page.continue_token;
  return absl::OkStatus();
}

void Reflector::OnPage() {
  std::string resource_version;
  const absl::Status taken = TakePage(&resource_version);
  std::string().swap(body_);
  parser_->Shrink();
  if (!taken.ok()) return Retry(Trouble::kOdd, std::string(Message(taken)));
  if (!continue_token_.empty()) return BeginPage();
  streaming_ = options_.streaming_lists && !streaming_unknown_;
  Commit(resource_version);
  Next();
}

void Reflector::OnStreamEnd() {
  if (framer_.pending() > 0) {
    return OnOddLine(absl::InvalidArgumentError("the answer ends within a line"));
  }
  if (phase_ == Phase::kListStream) {
    return FallBackToPages("a streaming list ended without its bookmark", Streaming::kFailed);
  }
  if (session_.loop().Now() - request_begun_ < kShortLife) {
    return Retry(Trouble::kOdd, "a watch ended at once");
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
  if (IsDiscovery()) {
    return Retry(head_.status == 403 ? Trouble::kForbidden : Trouble::kRefused,
                 fmt::format("{}; discovery: {}", not_found_, text), status.retry_after);
  }
  if (status.resource_version_too_large && phase_ == Phase::kWatch) return ListAgain(text);
  const bool streaming = phase_ == Phase::kListStream;
  switch (head_.status) {
    case 401:
      break;
    case 403:
      return Forbidden(status);
    case 404:
      if (IsOptional(scope_.kind)) return NotFound(status);
      break;
    case 410:
      if (streaming) UsePages(text, Streaming::kFailed);
      return ListAgain(text);
    case 400:
    case 405:
    case 422:
    case 501:
      if (streaming) return FallBackToPages(text, Streaming::kUnknownToServer);
      resource_version_.clear();
      break;
    default:
      if (streaming) UsePages(text, Streaming::kFailed);
      break;
  }
  Retry(Trouble::kRefused, text, status.retry_after);
}

void Reflector::OnErrorEvent(const ApiStatus& status) {
  Abort();
  const std::string text(Message(ToStatus(status)));
  if (phase_ == Phase::kListStream) {
    if (!status.retry_after) return FallBackToPages(text, Streaming::kFailed);
    UsePages(text, Streaming::kFailed);
    return Retry(Trouble::kRefused, text, status.retry_after);
  }
  if (status.code == 410 || status.reason == "Expired" || status.reason == "Gone" ||
      status.resource_version_too_large) {
    return ListAgain(text);
  }
  if (++faults_ >= kFaultsToListAgain) resource_version_.clear();
  Retry(Trouble::kRefused, text, status.retry_after);
}

// ---- Objects ----

Reflector::Parsed Reflector::Parse(const Item& item, api::ObjectPtr* object) {
  const api::TypeMeta type{api::ApiVersion(scope_.kind), api::KindName(scope_.kind)};
  const absl::StatusOr<api::ParsedObject> parsed =
      api::ParseElement(item.object, "", nullptr, type);
  const bool good = parsed.ok() && parsed->object != nullptr && parsed->object->kind == scope_.kind;
  if (!good) {
    ++stats_.bad_objects;
    log::Warning("kube", "an object can't be read, what was known of it stays",
                 {{"kind", api::KindName(scope_.kind)},
                  {"object", fmt::format("{}/{}", item.ns, item.name)},
                  {"error", parsed.ok() ? "of another kind" : Message(parsed.status())}});
    return Parsed::kBad;
  }
  const auto* secret = api::As<api::Secret>(*parsed->object);
  if (secret != nullptr && !api::IsUsable(*secret)) return Parsed::kUnwanted;
  *object = parsed->object;
  return Parsed::kGood;
}

void Reflector::Listed(const Item& item, bool again) {
  const auto known = known_.find(item.key());
  if (known != known_.end() && known->object->meta.resource_version == item.resource_version) {
    known->mark = mark_;
    return;
  }
  api::ObjectPtr object;
  switch (Parse(item, &object)) {
    case Parsed::kUnwanted:
      // The list under way may have had the object when it could be used.
      if (again) {
        pending_.push_back({{scope_.kind, std::string(item.ns), std::string(item.name)}, nullptr});
      }
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
  // An event that was left out may have been about any object, so no object counts as gone.
  const bool has_gaps = framer_.skipped() != skipped_before_;
  for (auto known = known_.begin(); known != known_.end();) {
    if (known->mark == mark_ || has_gaps) {
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
  stats_.left_out = false;
  if (std::exchange(stats_.absent, false)) {
    log::Info("kube", "kind is installed now", {{"kind", api::KindName(scope_.kind)}});
  }
  stats_.last_error.clear();
  Certain();
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
  Certain();
  history_unsure_ = false;
  history_timer_.Clear();
  faults_ = 0;
  lists_without_progress_ = 0;
  may_be_woken_ = true;
  backoff_.Reset();
}

// ---- Failures ----

void Reflector::NotFound(const ApiStatus& status) {
  not_found_ = Message(ToStatus(status));
  stats_.forbidden = false;
  forbidden_since_.reset();
  if (stats_.absent) return ProvenAbsent();  // and nothing has come since that could be lost
  AskDiscovery(Phase::kGroups);
}

void Reflector::ProvenAbsent() {
  if (!known_.empty() && ++absent_proofs_ < kAbsentProofsToRemove) {
    Report(Trouble::kRefused, not_found_ + "; discovery lacks the kind");
    return WaitFor(backoff_.Next(session_.loop().Random()), Waiting::kForTime);
  }
  if (!std::exchange(stats_.absent, true)) {
    log::Info("kube", "kind isn't installed",
              {{"kind", api::KindName(scope_.kind)}, {"answer", not_found_}});
  }
  for (const Known& known : known_) changes_.push_back({known.object->Ref(), nullptr});
  known_.clear();
  resource_version_.clear();
  backoff_.Reset();
  stats_.last_error.clear();
  Certain();
  Flush();
  MarkSynced();
  const double jitter = 0.75 + 0.5 * session_.loop().Random();
  WaitFor(std::chrono::duration_cast<milliseconds>(options_.absent_recheck * jitter),
          Waiting::kForTime);
}

std::string Reflector::RightOfRequest() const {
  const std::string_view group = GroupName(scope_.kind);
  return fmt::format("{} {}{}{} in {}", IsStream() ? "watch" : "list", ResourceName(scope_.kind),
                     group.empty() ? "" : ".", group,
                     scope_.ns.empty() ? "all namespaces" : "namespace " + scope_.ns);
}

void Reflector::Forbidden(const ApiStatus& status) {
  const TimePoint now = session_.loop().Now();
  stats_.forbidden = true;
  if (!forbidden_since_) forbidden_since_ = now;
  const std::string right = RightOfRequest();
  if (std::exchange(stats_.missing_right, right) != right) {
    log::Error("kube", "no permission to read a kind",
               {{"kind", api::KindName(scope_.kind)},
                {"verb", IsStream() ? "watch" : "list"},
                {"resource", ResourceName(scope_.kind)},
                {"group", GroupName(scope_.kind)},
                {"namespace", scope_.ns.empty() ? "all" : scope_.ns},
                {"in_force", stats_.synced ? "what was known of it" : "nothing is served before"},
                {"cure", "see deploy/rbac, or leave the kind out with --without"}});
  }
  Retry(Trouble::kForbidden, std::string(Message(ToStatus(status))), status.retry_after);
  if (!scope_.may_be_left_out || stats_.synced ||
      now - *forbidden_since_ < options_.forbidden_grace) {
    return;
  }
  stats_.left_out = true;
  stats_.unknown_since.reset();
  log::Warning("kube", "a kind is left out, since reading it is forbidden",
               {{"kind", api::KindName(scope_.kind)}});
  MarkSynced();
}

void Reflector::ListAgain(const std::string& why) {
  resource_version_.clear();
  phase_ = Phase::kIdle;
  faults_ = 0;
  if (lists_without_progress_++ > 0) return Retry(Trouble::kRefused, why);
  log::Info("kube", "listing again",
            {{"kind", api::KindName(scope_.kind)}, {"namespace", scope_.ns}, {"why", why}});
  BeginList();
}

void Reflector::UsePages(const std::string& why, Streaming streaming) {
  streaming_ = false;
  ++streaming_failures_;
  streaming_unknown_ = streaming_unknown_ || streaming == Streaming::kUnknownToServer ||
                       streaming_failures_ >= kStreamingFailuresToGiveUp;
  log::Info("kube", "listing in pages instead of streaming",
            {{"kind", api::KindName(scope_.kind)}, {"namespace", scope_.ns}, {"why", why}});
}

void Reflector::FallBackToPages(const std::string& why, Streaming streaming) {
  ++stats_.failures;
  UsePages(why, streaming);
  BeginList();
}

void Reflector::Retry(Trouble trouble, const std::string& error, std::optional<seconds> at_least) {
  ++stats_.failures;
  Report(trouble, error);
  milliseconds delay = backoff_.Next(session_.loop().Random());
  if (at_least) delay = std::max<milliseconds>(delay, std::min(*at_least, kLongestRetryAfter));
  WaitFor(delay, trouble == Trouble::kNoAnswer ? Waiting::kForServer : Waiting::kForTime);
}

void Reflector::WaitFor(milliseconds delay, Waiting waiting) {
  phase_ = Phase::kIdle;
  waiting_ = waiting;
  wait_timer_.Set(delay, [this] { Next(); });
  owner_.StatsChanged(*this);
}

void Reflector::Report(Trouble trouble, const std::string& error) {
  const log::Level level = error == stats_.last_error ? log::Level::kDebug : log::Level::kWarning;
  log::Write(level, "kube", "list or watch failed",
             {{"kind", api::KindName(scope_.kind)}, {"namespace", scope_.ns}, {"error", error}});
  stats_.last_error = error;
  stats_.trouble = trouble;
  if (trouble != Trouble::kForbidden) stats_.missing_right.clear();
  if (!stats_.unknown_since && !stats_.left_out) stats_.unknown_since = session_.loop().Now();
}

void Reflector::Certain() {
  certain_timer_.Clear();
  absent_proofs_ = 0;
  stats_.trouble = Trouble::kNone;
  stats_.missing_right.clear();
  if (stats_.unknown_since) {
    stats_.unknown_since.reset();
    owner_.StatsChanged(*this);
  }
}

void Reflector::MarkSynced() {
  if (std::exchange(stats_.synced, true)) return;
  owner_.StatsChanged(*this);
  owner_.ReflectorSynced(*this);
}

// ---- Silence ----

milliseconds Reflector::SilenceLimit() const {
  if (phase_ == Phase::kWatch) return options_.silence_limit;
  const bool begun = phase_ == Phase::kListStream && head_.status == 200;
  return begun ? options_.streaming_silence_limit : options_.list_silence_limit;
}

void Reflector::WatchForSilence() {
  silence_timer_.Set(last_bytes_ + SilenceLimit() - session_.loop().Now(),
                     [this] { CheckSilence(); });
}

void Reflector::CheckSilence() {
  const milliseconds limit = SilenceLimit();
  const TimePoint now = session_.loop().Now();
  if (now - last_bytes_ < limit) return WatchForSilence();
  const std::string text = fmt::format("nothing came for {} ms", limit.count());
  const bool listing = phase_ == Phase::kListStream;
  Abort();
  // The server answers, but doesn't know the bookmark that ends such a list.
  if (listing && head_.status == 200) return FallBackToPages(text, Streaming::kFailed);
  const std::optional<TimePoint> received = session_.transport().LastReceived();
  if (!received || now - *received >= limit) session_.transport().ResetConnections();
  if (listing) UsePages(text, Streaming::kFailed);
  Retry(Trouble::kNoAnswer, text);
}

}  // namespace contour::kube
