// SPDX-License-Identifier: Apache-2.0
// Follows one kind, in one namespace or in all: it lists and watches the objects, and delivers the
// changes to its owner.
//
// The protocol (Kubernetes API concepts, "Efficient detection of changes"):
//
//       +-------> list --commit--> watch --+ ends in time, connection lost:
//       | fails    ^                 |  ^  | again from the last resourceVersion
//       +----------+------ 410 ------+  +--+
//
//  - List. The request is a watch with sendInitialEvents=true. Its ADDED events are collected, and
//    committed at the bookmark that is annotated k8s.io/initial-events-end, not before; then the
//    same request goes on as the watch. If it ends otherwise, the next list is requested in pages
//    of `page_size`. A server that doesn't know streaming lists (400, 405, 422, 501, plain
//    bookmarks), or fails twice in a row, isn't asked for one again. A continue token that expires
//    (410) starts the list over.
//  - A commit delivers only the differences to the known objects: added, changed, gone. A list that
//    breaks off changes nothing, and neither does an answer that isn't certainly a list of this
//    kind.
//  - Watch. It goes on from the last resourceVersion of an event or bookmark, for 5 to 10 minutes
//    at random.
//  - 410, as status or as ERROR event, leads to a new list, at once the first time. A
//    resourceVersion that is newer than the server's (it was restored from a backup) does too.
//    Watches of such a server don't report that: they wait in silence until their resourceVersion
//    comes. So a watch that receives nothing for `history_check` after a connection broke asks for
//    the server's resourceVersion (with a list of one object), once, and soon, since that number
//    grows.
//  - 429, 5xx, and refused or broken connections lead to a backoff (0.8 s to 30 s), or Retry-After
//    if that is longer. When another reflector reaches the server, those that wait because they
//    couldn't reach it try again at once. A server that answers at all after an outage is tried at
//    the short end of the backoff.
//  - After `silence_limit` without a byte the connection is taken for half open and closed
//    (Transport::ResetConnections) if no request received anything over it; otherwise only this
//    watch starts again.
//  - After a 404 of an optional kind, discovery (discovery.h) is asked. If it proves that the kind
//    isn't installed, the kind counts as listed and empty, and is requested again every
//    `absent_recheck`. Known objects are removed only at the third proof in a row.
//  - After any other answer (403, 404 without proof, 5xx, an answer that isn't of an API server)
//    the kind is unknown: its known objects stay for as long as that takes, and a kind that never
//    was known doesn't count as listed. The exception is `may_be_left_out`: 403 from the start, for
//    `forbidden_grace` (a starting API server answers so, too), leaves the kind out.
//  - An object that can't be parsed is named in the log; its last good state stays.
//
// Everything happens on the loop's thread.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "api/object.h"
#include "api/source.h"
#include "kube/api_status.h"
#include "kube/backoff.h"
#include "kube/line_framer.h"
#include "kube/loop.h"
#include "kube/session.h"
#include "kube/transport.h"

namespace contour::kube {

struct WatchEvent;

struct WatchOptions {
  Backoff::Limits backoff;
  std::chrono::seconds shortest_watch{300};
  std::chrono::seconds longest_watch{600};
  // Bookmarks come about every minute, so two were missed then.
  std::chrono::milliseconds silence_limit{150'000};
  // The same while a list is awaited; the API server itself gives up a list after 60 s.
  std::chrono::milliseconds list_silence_limit{70'000};
  // The same for a streaming list whose answer has begun: its objects come without a pause.
  std::chrono::milliseconds streaming_silence_limit{10'000};
  std::chrono::milliseconds history_check{1'000};
  std::chrono::milliseconds absent_recheck{10'000};
  std::chrono::milliseconds forbidden_grace{5'000};
  int page_size = 500;
  bool streaming_lists = true;  // false: pages from the start
  // A longer event is left out, with a line in the log.
  std::size_t max_event_bytes = 16 * 1024 * 1024;
  // A larger page is requested again in smaller ones.
  std::size_t max_page_bytes = 16 * 1024 * 1024;
};

// The reason why a kind isn't known for certain.
enum class Trouble : std::uint8_t {
  kNone,
  kNoAnswer,   // the server can't be reached, or its answer broke off
  kForbidden,  // 403
  kRefused,    // another HTTP error, or an error inside a watch
  kOdd,        // an answer that isn't one of an API server
};

struct ReflectorStats {
  bool synced = false;     // listed once, proven to be absent, or left out
  bool forbidden = false;  // the last answer was 403
  bool absent = false;     // the kind isn't installed
  bool left_out = false;   // it is forbidden from the start, and may be left out
  // The time since which it isn't known for certain which objects there are; nullopt: it is known.
  std::optional<TimePoint> unknown_since;
  Trouble trouble = Trouble::kNone;
  std::string
      missing_right;  // "watch secrets in namespace web"; empty: none is known to be missing
  std::size_t objects = 0;
  std::uint64_t events = 0;       // of watches, without bookmarks
  std::uint64_t lists = 0;        // that were committed; all but the first are restarts
  std::uint64_t watches = 0;      // requests that the server accepted, after lists included
  std::uint64_t failures = 0;     // requests that ended in an error
  std::uint64_t bad_objects = 0;  // that couldn't be parsed
  std::optional<TimePoint> last_received;  // when bytes of a successful answer came last
  std::string last_error;                  // empty: all is well
};

class Reflector final : public HttpHandler {
 public:
  // The callbacks of the source.
  class Owner {
   public:
    virtual void Deliver(std::vector<api::Change> changes) = 0;
    // Called once for each reflector, when it counts as listed.
    virtual void ReflectorSynced(Reflector& reflector) = 0;
    // Called when the server has answered a request of `reflector`.
    virtual void ServerReached(Reflector& reflector) = 0;
    virtual void StatsChanged(Reflector& reflector) = 0;

   protected:
    ~Owner() = default;
  };
  struct JsonParser;  // buffers, shared by the reflectors of a loop
  static std::shared_ptr<JsonParser> NewJsonParser();

  struct Scope {
    api::Kind kind = api::Kind::kService;
    std::string ns;                // empty: all namespaces
    bool may_be_left_out = false;  // leave the kind out if it is forbidden from the start
  };

  // The references outlive the reflector.
  Reflector(Scope scope, const WatchOptions& options, Session& session,
            std::shared_ptr<JsonParser> parser, Owner& owner);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  void Start();
  // Ends a wait for the server, since it can be reached again.
  void ServerIsReachable();

  api::Kind kind() const { return scope_.kind; }
  const std::string& ns() const { return scope_.ns; }
  const ReflectorStats& stats() const { return stats_; }

 private:
  enum class Phase {
    kIdle,
    kListStream,
    kListPages,
    kWatch,
    kHistoryCheck,
    kGroups,     // of discovery
    kResources,  // of discovery
  };
  bool IsStream() const { return phase_ == Phase::kListStream || phase_ == Phase::kWatch; }
  bool IsDiscovery() const { return phase_ == Phase::kGroups || phase_ == Phase::kResources; }
  enum class Waiting { kNo, kForServer, kForTime };

  // A known object. `object` and `mark` may change within the set, since namespace and name, which
  // are its key, don't.
  struct Known {
    mutable api::ObjectPtr object;
    mutable std::uint32_t mark;  // that of the last list that had the object
  };
  struct Key {
    std::string_view ns, name;
  };
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(const Known& known) const;
  };
  struct KeyEqual {
    using is_transparent = void;
    static Key Of(const Key& key) { return key; }
    static Key Of(const Known& known) { return {known.object->meta.ns, known.object->meta.name}; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a).ns == Of(b).ns && Of(a).name == Of(b).name;
    }
  };
  struct Item;  // has an ItemHead, which isn't in this header because it needs simdjson

  void OnHead(const HttpHead& head) override;
  void OnAccepted();
  void OnBody(std::string_view bytes) override;
  void OnWholeBody(std::string_view bytes);
  void OnEnd(const absl::Status& status) override;

  void Next();
  void BeginList();
  void BeginPage();
  void BeginWatch();
  void CheckHistory();
  void OnHistory();
  void AskDiscovery(Phase phase);
  void Request(Phase phase, std::string path);
  // Returns the path of the list or watch with this query.
  std::string Path(const std::string& query) const;
  std::string WatchSeconds();
  // Ends the running request, if any, without an OnEnd.
  void Abort();

  bool OnLine(std::string_view line);  // false: the rest of the stream can't be used
  bool OnListEvent(const WatchEvent& event, const Item& item);
  bool OnWatchEvent(const WatchEvent& event, const Item& item);
  void OnOddLine(const absl::Status& why);
  absl::Status CheckScope(const Item& item) const;
  absl::Status TakePage(std::string* resource_version);
  void OnPage();
  void OnWhole();  // takes an answer that isn't a stream
  void OnDiscovery();
  void OnStreamEnd();
  void OnHttpError();
  void OnErrorEvent(const ApiStatus& status);

  // Takes one object of a list under way. `again`: the same list had it before.
  void Listed(const Item& item, bool again);
  bool WentBack(const Item& item);
  void Commit(std::string_view resource_version);
  // Takes one object of a watch.
  void Changed(const Item& item);
  void Gone(const Item& item);
  enum class Parsed { kGood, kUnwanted, kBad };
  Parsed Parse(const Item& item, api::ObjectPtr* object);
  void Remember(api::ObjectPtr object);
  void Forget(std::string_view ns, std::string_view name);
  void Flush();
  // Notes that the watch has reached `resource_version`.
  void Progress(std::string_view resource_version);

  // Asks discovery, as a 404 proves nothing.
  void NotFound(const ApiStatus& status);
  void ProvenAbsent();
  void Forbidden(const ApiStatus& status);
  // Returns the right that the request needs: "watch secrets in namespace web".
  std::string RightOfRequest() const;
  // Makes the list again: at once, unless the one before brought nothing.
  void ListAgain(const std::string& why);
  enum class Streaming : std::uint8_t { kFailed, kUnknownToServer };
  // A streaming list ended without success. The next list is made of pages; returns without making
  // it.
  void UsePages(const std::string& why, Streaming streaming);
  // The same, and makes it at once.
  void FallBackToPages(const std::string& why, Streaming streaming);
  // Waits, then goes on with list or watch.
  void Retry(Trouble trouble, const std::string& error,
             std::optional<std::chrono::seconds> at_least = {});
  void WaitFor(std::chrono::milliseconds delay, Waiting waiting);
  void Report(Trouble trouble, const std::string& error);
  // Notes that it is known for certain which objects there are.
  void Certain();
  void MarkSynced();

  std::chrono::milliseconds SilenceLimit() const;
  void WatchForSilence();
  void CheckSilence();

  const Scope scope_;
  const WatchOptions& options_;
  Session& session_;
  const std::shared_ptr<JsonParser> parser_;
  Owner& owner_;

  Phase phase_ = Phase::kIdle;
  std::optional<Session::CallId> call_;
  HttpHead head_;
  std::string body_;  // the body of a page or an error
  LineFramer framer_;
  TimePoint last_bytes_;
  TimePoint request_begun_;

  std::string resource_version_;  // the watch begins there; empty: a list is needed
  std::unordered_set<Known, KeyHash, KeyEqual> known_;
  std::uint32_t mark_ = 0;            // that of the list under way, or of the last
  std::vector<api::Change> pending_;  // changes of the list under way, to be committed
  std::vector<api::Change> changes_;  // those of the watch, delivered after this piece of the body
  std::string continue_token_;
  int page_size_;
  bool streaming_;              // the next list is a streaming one
  int streaming_failures_ = 0;  // in a row
  bool streaming_unknown_ = false;
  std::uint64_t skipped_before_ = 0;  // events left out before the list under way began
  int faults_ = 0;                    // faults in a row of streams from this resourceVersion
  int lists_without_progress_ = 0;
  int absent_proofs_ = 0;  // in a row
  std::string not_found_;  // the message of the list's 404
  std::optional<TimePoint> forbidden_since_;
  bool history_unsure_ = false;  // a connection broke, and nothing new was received since
  bool unreachable_ = false;     // the last request got no answer, or only half of one
  bool may_be_woken_ = true;
  Waiting waiting_ = Waiting::kNo;

  Backoff backoff_;
  Timer wait_timer_;
  Timer silence_timer_;
  Timer history_timer_;
  Timer certain_timer_;
  ReflectorStats stats_;
};

}  // namespace contour::kube
