// SPDX-License-Identifier: Apache-2.0
// Keeps up with one kind, in one namespace or in all: lists it, watches it, and tells its owner
// what changed.
//
// The protocol (Kubernetes API concepts, "Efficient detection of changes"):
//
//       +-------> list --commit--> watch --+ ends in time, connection lost:
//       | fails    ^                 |  ^  | again from the last resourceVersion
//       +----------+------ 410 ------+  +--+
//
//  - List: a watch with sendInitialEvents=true, whose ADDED events are gathered and committed at
//    the bookmark that is annotated k8s.io/initial-events-end, not before; the same request then
//    goes on as the watch. After any other end of it the next list is asked for in pages of
//    `page_size`. A server that says that it doesn't know streaming lists (400, 405, 422, 501, plain
//    bookmarks), or fails twice in a row, isn't asked for one again. A continue token that expires
//    (410) starts the list over.
//  - A commit tells only differences to what was known: added, changed, gone. A list that breaks
//    off changes nothing, and so does an answer that isn't certainly a list of this kind.
//  - Watch: from the last resourceVersion that an event or bookmark told, for 5 to 10 minutes at
//    random.
//  - 410, as status or as ERROR event: list again, at once the first time. A resourceVersion that
//    is newer than the server's (it was restored from a backup): list again.
//    Its watches don't say so: they wait in silence for their resourceVersion to come. So a watch
//    after a connection broke that hears nothing for `history_check` asks for the resourceVersion
//    that there is (a list of one object), once; soon, for it grows.
//  - 429, 5xx, refused or broken connections: backoff (0.8 s to 30 s), Retry-After where it is
//    longer. When another reflector gets through to the server, those who wait because they
//    couldn't reach it try again at once; a server that answers at all after an outage is tried at
//    the short end of the backoff.
//  - No bytes for `silence_limit`: the connection is taken for half open and given up
//    (Transport::ResetConnections) if nothing came over it for anybody, else only this watch
//    starts again.
//  - 404 of an optional kind: discovery (discovery.h) is asked. If it proves that the kind isn't
//    installed, that counts as listed and empty, and the kind is looked for again every
//    `absent_recheck`. Known objects are removed only at the third proof in a row.
//  - Any other answer (403, 404 without proof, 5xx, something that an API server doesn't say)
//  leaves
//    the kind unknown: what was known of it stays for as long as it takes, and a kind that never was
//    known doesn't count as listed. The exception is `may_be_left_out`: 403 from the start, for
//    `forbidden_grace` (an API server on its way up answers so, too), leaves the kind out.
//  - An object that can't be parsed costs a line in the log; its last good state stays.
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
  // Bookmarks come about every minute: two were missed.
  std::chrono::milliseconds silence_limit{150'000};
  // The same while a list is awaited; the API server itself gives up a list after 60 s.
  std::chrono::milliseconds list_silence_limit{70'000};
  // As above, for a streaming list that has begun to be answered: its objects come in one piece.
  std::chrono::milliseconds streaming_silence_limit{10'000};
  std::chrono::milliseconds history_check{1'000};
  std::chrono::milliseconds absent_recheck{10'000};
  std::chrono::milliseconds forbidden_grace{5'000};
  int page_size = 500;
  bool streaming_lists = true;  // false: pages from the start
  // An event above it is left out, with a line in the log.
  std::size_t max_event_bytes = 16 * 1024 * 1024;
  // A page above it is asked for again in smaller ones.
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
  bool left_out = false;   // it is forbidden from the start, and may be
  // The time since which it isn't known for certain which objects there are; nullopt: it is known.
  std::optional<TimePoint> unknown_since;
  Trouble trouble = Trouble::kNone;
  std::string
      missing_right;  // "watch secrets in namespace web"; empty: none is known to be missing
  std::size_t objects = 0;
  std::uint64_t events = 0;       // of watches, bookmarks not counted
  std::uint64_t lists = 0;        // committed; all but the first are restarts
  std::uint64_t watches = 0;      // requests that the server accepted, after lists included
  std::uint64_t failures = 0;     // requests that ended in an error
  std::uint64_t bad_objects = 0;  // left out since they couldn't be parsed
  std::optional<TimePoint> last_received;  // bytes of a successful answer
  std::string last_error;                  // empty: all is well
};

class Reflector final : public HttpHandler {
 public:
  // The source, as far as its reflectors need it.
  class Owner {
   public:
    virtual void Deliver(std::vector<api::Change> changes) = 0;
    // `reflector` counts as listed; once each.
    virtual void ReflectorSynced(Reflector& reflector) = 0;
    // The server answered a request of `reflector`.
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
    bool may_be_left_out = false;  // if it is forbidden from the start
  };

  // The references outlive the reflector.
  Reflector(Scope scope, const WatchOptions& options, Session& session,
            std::shared_ptr<JsonParser> parser, Owner& owner);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  void Start();
  // The server can be reached again: don't sit out a wait for that.
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

  // A known object. `object` and `mark` may change in the set: its key, namespace and name,
  // doesn't.
  struct Known {
    mutable api::ObjectPtr object;
    mutable std::uint32_t mark;  // of the list that had it last
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
  struct Item;  // ItemHead, kept from this header for simdjson's sake

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

  bool OnLine(std::string_view line);  // false: the rest of the stream is of no use
  bool OnListEvent(const WatchEvent& event, const Item& item);
  bool OnWatchEvent(const WatchEvent& event, const Item& item);
  void OnOddLine(const absl::Status& why);
  absl::Status CheckScope(const Item& item) const;
  absl::Status TakePage(std::string* resource_version);
  void OnPage();
  void OnWhole();  // an answer that isn't a stream
  void OnDiscovery();
  void OnStreamEnd();
  void OnHttpError();
  void OnErrorEvent(const ApiStatus& status);

  // One object of a list under way; `again`: the same list told of it before.
  void Listed(const Item& item, bool again);
  bool WentBack(const Item& item);
  void Commit(std::string_view resource_version);
  // One object of a watch.
  void Changed(const Item& item);
  void Gone(const Item& item);
  enum class Parsed { kGood, kUnwanted, kBad };
  Parsed Parse(const Item& item, api::ObjectPtr* object);
  void Remember(api::ObjectPtr object);
  void Forget(std::string_view ns, std::string_view name);
  void Flush();
  // The watch has moved on to `resource_version`.
  void Progress(std::string_view resource_version);

  // Asks discovery, as a 404 proves nothing.
  void NotFound(const ApiStatus& status);
  void ProvenAbsent();
  void Forbidden(const ApiStatus& status);
  // Returns the right that the request needs: "watch secrets in namespace web".
  std::string RightOfRequest() const;
  // The list must be made again; at once, unless the one before brought nothing.
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
  std::string body_;  // of a page or an error
  LineFramer framer_;
  TimePoint last_bytes_;
  TimePoint request_begun_;

  std::string resource_version_;  // to watch from; empty: a list is needed
  std::unordered_set<Known, KeyHash, KeyEqual> known_;
  std::uint32_t mark_ = 0;            // of the list under way, or of the last
  std::vector<api::Change> pending_;  // what the list under way found, to be committed
  std::vector<api::Change> changes_;  // of the watch, to be delivered after this piece of the body
  std::string continue_token_;
  int page_size_;
  bool streaming_;              // how the next list is made
  int streaming_failures_ = 0;  // in a row
  bool streaming_unknown_ = false;
  std::uint64_t skipped_before_ = 0;  // events left out before the list under way began
  int faults_ = 0;                    // of the stream from this resourceVersion, in a row
  int lists_without_progress_ = 0;
  int absent_proofs_ = 0;  // in a row
  std::string not_found_;  // what the list answered with 404
  std::optional<TimePoint> forbidden_since_;
  bool history_unsure_ = false;  // a connection broke, and nothing new was heard since
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
