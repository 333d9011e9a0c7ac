// SPDX-License-Identifier: Apache-2.0
// Makes the JSON of objects, events and lists for tests, in the form in which an API server sends
// them. Also a sink that keeps what it receives.

#pragma once

#include <fmt/core.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "api/source.h"
#include "kube/resources.h"

namespace contour::kube {

inline std::string ObjectJson(api::Kind kind, std::string_view ns, std::string_view name,
                              int version, std::string_view more = "") {
  return fmt::format(
      R"({{"apiVersion":"{}","kind":"{}","metadata":{{"namespace":"{}","name":"{}","resourceVersion":"{}"}}{}}})",
      api::ApiVersion(kind), api::KindName(kind), ns, name, version, more);
}
inline std::string ServiceJson(std::string_view name, int version) {
  return ObjectJson(api::Kind::kService, "default", name, version,
                    R"(,"spec":{"ports":[{"port":80}]})");
}
// Returns an event with its line feed.
inline std::string Event(std::string_view type, std::string_view object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}
inline std::string Bookmark(int version, bool ends_initial_events = false,
                            api::Kind kind = api::Kind::kService) {
  return Event(
      "BOOKMARK",
      fmt::format(
          R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}"{}}}}})",
          api::KindName(kind), api::ApiVersion(kind), version,
          ends_initial_events ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : ""));
}
// Returns the kind whose objects are at this path: "/api/v1/namespaces/a/services?watch=true".
inline api::Kind KindAt(std::string_view path) {
  for (int i = 0; i < api::kKindCount; ++i) {
    const auto kind = static_cast<api::Kind>(i);
    const std::string_view resource = ResourceName(kind);
    const std::string_view all = path.substr(0, path.find('?'));
    if (all.size() > resource.size() && all.ends_with(resource) &&
        all[all.size() - resource.size() - 1] == '/') {
      return kind;
    }
  }
  return api::Kind::kEndpoints;
}
// Returns the bookmark that ends an empty streaming list at this path.
inline std::string BookmarkAt(std::string_view path, int version) {
  return Bookmark(version, true, KindAt(path));
}
// Returns the answer of discovery: the groups of every API server and these ("example.com/v1").
inline std::string GroupsJson(const std::vector<std::string>& versions) {
  std::string groups =
      R"({"name":"discovery.k8s.io","versions":[{"groupVersion":"discovery.k8s.io/v1"}]})";
  for (const std::string& version : versions) {
    groups += fmt::format(R"(,{{"name":"{}","versions":[{{"groupVersion":"{}"}}]}})",
                          version.substr(0, version.find('/')), version);
  }
  return fmt::format(R"({{"kind":"APIGroupList","apiVersion":"v1","groups":[{}]}})", groups);
}
inline std::string ResourcesJson(std::string_view version,
                                 const std::vector<std::string>& resources) {
  std::string joined;
  for (const std::string& resource : resources)
    joined += fmt::format(R"({}{{"name":"{}"}})", joined.empty() ? "" : ",", resource);
  return fmt::format(
      R"({{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{}","resources":[{}]}})",
      version, joined);
}
inline std::string StatusJson(int code, std::string_view reason, std::string_view more = "") {
  return fmt::format(
      R"({{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{}","message":"words","code":{}{}}})",
      reason, code, more);
}
inline std::string ListJson(int version, std::string_view continue_token,
                            const std::vector<std::string>& items,
                            api::Kind kind = api::Kind::kService) {
  std::string joined;
  for (const std::string& item : items) joined += (joined.empty() ? "" : ",") + item;
  return fmt::format(
      R"({{"apiVersion":"{}","kind":"{}List","metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})",
      api::ApiVersion(kind), api::KindName(kind), version, continue_token, joined);
}

// Keeps the state and the history: "+Service default/web@5", "-Service default/web", "|" at the end
// of each batch, "synced".
class RecordingSink final : public api::Sink {
 public:
  void Apply(std::vector<api::Change> changes) override {
    const std::lock_guard lock(mutex_);
    for (const api::Change& change : changes) {
      const std::string name = change.ref.String();
      if (change.object == nullptr) {
        history_ += "-" + name + " ";
        state_.erase(name);
      } else {
        history_ += fmt::format("+{}@{} ", name, change.object->meta.resource_version);
        state_[name] = change.object->meta.resource_version;
      }
    }
    history_ += "| ";
    changed_.notify_all();
  }
  void Synced() override {
    const std::lock_guard lock(mutex_);
    ++synced_;
    history_ += "synced ";
    changed_.notify_all();
  }

  // Returns the history since the last call.
  std::string Take() {
    const std::lock_guard lock(mutex_);
    if (!history_.empty()) history_.pop_back();
    return std::exchange(history_, "");
  }
  std::map<std::string, std::string> state() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  int synced() const {
    const std::lock_guard lock(mutex_);
    return synced_;
  }
  // Waits until the objects that exist are these (name → resourceVersion). False: the time is over.
  bool WaitFor(const std::map<std::string, std::string>& state,
               std::chrono::milliseconds time = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return state_ == state; });
  }
  bool WaitSynced(std::chrono::milliseconds time = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return synced_ > 0; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> state_;
  std::string history_;
  int synced_ = 0;
};

}  // namespace contour::kube
