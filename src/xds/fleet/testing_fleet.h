// SPDX-License-Identifier: Apache-2.0
// A fleet of model Envoys for tests: each rejects by content or by a fault of its node, in all four
// modes, on sessions of one quarantine. Contour can restart, Envoys can come back in any order.
//
//   Fleet fleet(mode);
//   Envoy& one = fleet.Add("one");          // connects
//   fleet.Host("a.test", "1");              // content "bad" is rejected by RefusesBad
//   fleet.PublishAndRun();
//   EXPECT_EQ(one.Host("a.test"), "1");
//   fleet.Restart();                        // contour is another process
//   fleet.Reconnect("one");

#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "xds/fleet/quarantine.h"
#include "xds/session/session.h"

namespace contour::xds::testing_fleet {

inline constexpr auto kCDS = ResourceType::kCluster;
inline constexpr auto kLDS = ResourceType::kListener;
inline constexpr auto kRDS = ResourceType::kRoutes;

struct Mode {
  const char* name;
  bool aggregated;
  Protocol protocol;
};

// Returns the error message; nullopt: the Envoy takes the resource.
using Refuses = std::function<std::optional<std::string>(ResourceType, const Resource&)>;

// NACKs a resource if it or one of its parts has the text "bad". The message doesn't say which.
inline std::optional<std::string> RefusesBad(ResourceType, const Resource& resource) {
  bool bad = resource.bytes.find("bad") != std::string::npos;
  resource.parts.ForEach(
      [&](const PartPtr& part) { bad = bad || part->bytes.find("bad") != std::string::npos; });
  return bad ? std::optional<std::string>("no good") : std::nullopt;
}
inline std::optional<std::string> RefusesEverything(ResourceType, const Resource&) {
  return "what is this?";
}
inline std::optional<std::string> RefusesNothing(ResourceType, const Resource&) {
  return std::nullopt;
}

class Envoy {
 public:
  Envoy(std::string name, const Mode& mode, Refuses refuses_what)
      : refuses(std::move(refuses_what)), name_(std::move(name)), mode_(mode) {}

  // On a session of its own. What it has, it names.
  void Connect(const SnapshotPtr& snapshot, Session::Options options) {
    session_ = std::make_unique<Session>(Session::Identity{name_, "peer", mode_.aggregated},
                                         std::move(options), snapshot);
    streams_.clear();
    Stream* ads = mode_.aggregated ? &session_->Attach(mode_.protocol) : nullptr;
    for (const ResourceType type : {kCDS, kLDS, kRDS}) {
      streams_[type] = mode_.aggregated ? ads : &session_->Attach(mode_.protocol);
      Request request;
      request.type_url = Info(type).url;
      if (type == kRDS) (delta() ? request.subscribe : request.names) = {"r"};
      for (const auto& [resource, version] : versions_[type])
        request.initial_versions.emplace_back(resource, version);
      if (!delta()) request.version = version_[type];
      EXPECT_TRUE(streams_[type]->OnRequest(request, now).ok());
    }
  }

  // Reads and answers what there is; false: nothing.
  bool Work() {
    bool worked = false;
    for (;;) {
      const std::vector<Stream*> ready = session_->TakeReady(now);
      if (ready.empty()) return worked;
      for (Stream* stream : ready) {
        while (std::optional<Response> response = stream->Next(now)) {
          worked = true;
          Receive(*stream, *response);
        }
      }
    }
  }

  // Content of a part, or "-".
  std::string Part(ResourceType type, const std::string& resource, const std::string& part) const {
    const auto at = has.find({type, resource});
    if (at == has.end()) return "-";
    const PartPtr found = at->second->parts.Find(part);
    return found == nullptr ? "-" : found->bytes;
  }
  std::string Host(const std::string& host) const { return Part(kRDS, "r", host); }
  std::string Cluster(const std::string& name) const {
    const auto at = has.find({kCDS, name});
    return at == has.end() ? "-" : at->second->bytes;
  }
  const std::string& name() const { return name_; }
  bool connected() const { return session_ != nullptr; }
  void Disconnect() {
    session_.reset();
    streams_.clear();
  }
  // The process ends: it has nothing any more.
  void Forget() {
    Disconnect();
    has.clear();
    version_.clear();
    versions_.clear();
  }
  SessionView View() const { return session_->View(now); }
  Session& session() { return *session_; }

  // Everything was acknowledged as it was sent, and nothing is being looked for.
  void ExpectInSync() const {
    const SessionView view = View();
    for (const LedgerEntry& entry : view.entries)
      EXPECT_EQ(entry.sent, entry.acknowledged) << name_ << " " << entry.name;
    for (const TypeView& type : view.types) {
      EXPECT_FALSE(type.searching) << name_ << " " << Info(type.type).name;
      EXPECT_EQ(type.unacknowledged, 0U);
    }
  }

  Refuses refuses;
  Time now{};
  std::map<std::pair<ResourceType, std::string>, ResourcePtr> has;
  std::size_t received = 0;  // responses
  std::size_t refused = 0;
  std::function<SnapshotPtr()> published;  // may be empty
  // Contents that it had and took, that are published, and that it has no longer.
  std::vector<std::string> lost;

 private:
  bool delta() const { return mode_.protocol == Protocol::kDelta; }

  // Notes what the response took away although it is published and this Envoy takes it.
  void NoteLost(const std::map<std::pair<ResourceType, std::string>, ResourcePtr>& before) {
    if (!published) return;
    const auto note = [&](ResourceType type, const std::string& name,
                          const std::optional<std::string>& part, const Hash128& version) {
      const ResourcePtr wanted = published()->Find(type, name);
      if (wanted == nullptr || ContentVersion(*wanted, part) != version) return;
      const auto at = has.find({type, name});
      if (at == has.end() || ContentVersion(*at->second, part) != version)
        lost.push_back(name + "/" + part.value_or(""));
    };
    for (const auto& [key, resource] : before) {
      if (const auto at = has.find(key); at != has.end() && at->second == resource) continue;
      // Its own search for something that it rejects may leave this out for a moment.
      if (RefusesAny(key.first, *published())) continue;
      if (resource->known && resource->version != MakeBlank(resource->name)->version)
        note(key.first, key.second, std::nullopt, *ContentVersion(*resource, std::nullopt));
      resource->parts.ForEach(
          [&](const PartPtr& part) { note(key.first, key.second, part->name, part->version); });
    }
  }

  bool RefusesAny(ResourceType type, const Snapshot& snapshot) const {
    bool any = false;
    snapshot.table(type).ForEach(
        [&](const ResourcePtr& resource) { any = any || refuses(type, *resource).has_value(); });
    return any;
  }

  // As Envoy: of clusters and listeners the good ones are applied, of route configurations nothing.
  void Receive(Stream& stream, const Response& response) {
    const auto before = has;
    // A search for what it rejected may leave out a neighbour for a moment.
    const bool searching = View().types[Index(response.type)].searching;
    Apply(stream, response);
    if (!searching) NoteLost(before);
  }

  void Apply(Stream& stream, const Response& response) {
    ++received;
    std::string error;
    for (const ResourcePtr& resource : response.resources) {
      const std::optional<std::string> words = refuses(response.type, *resource);
      if (words.has_value()) error += (error.empty() ? "" : ", ") + *words;
    }
    std::set<std::string> named;
    for (const ResourcePtr& resource : response.resources) {
      named.insert(resource->name);
      if (response.type == kRDS ? error.empty() : !refuses(response.type, *resource).has_value())
        has[{response.type, resource->name}] = resource;
    }
    for (const std::string& removed : response.removed) has.erase({response.type, removed});
    if (!delta() && Info(response.type).whole) {
      std::erase_if(has, [&](const auto& entry) {
        return entry.first.first == response.type && !named.contains(entry.first.second);
      });
    }
    Request request;
    request.type_url = Info(response.type).url;
    request.nonce = response.nonce;
    if (error.empty()) {
      version_[response.type] = response.version;
      for (const ResourcePtr& resource : response.resources)
        versions_[response.type][resource->name] = resource->version.Hex();
      for (const std::string& removed : response.removed) versions_[response.type].erase(removed);
    } else {
      ++refused;
      request.error = error;
    }
    if (!delta()) {
      request.version = version_[response.type];
      if (response.type == kRDS) request.names = {"r"};
    }
    EXPECT_TRUE(stream.OnRequest(request, now).ok());
  }

  const std::string name_;
  const Mode mode_;
  std::unique_ptr<Session> session_;
  std::map<ResourceType, Stream*> streams_;
  std::map<ResourceType, std::string> version_;
  std::map<ResourceType, std::map<std::string, std::string>> versions_;
};

class Fleet {
 public:
  // A contour that has just started, with no Envoy connected and nothing published.
  void Restart() {
    for (const auto& envoy : envoys_) envoy->Disconnect();
    quarantine_ = std::make_unique<Quarantine>(
        Quarantine::Options{},
        [this](std::uint64_t ticket, const ResourceKey& key, const Hash128& version) {
          inquiries_.emplace_back(ticket, key, version);
          return std::size_t{1};
        },
        [this](const DeliveryPtr& delivery) {
          delivered_ = delivery;
          for (const auto& envoy : envoys_) {
            if (envoy->connected()) envoy->session().Offer(delivery->For(envoy->name()));
          }
        });
    inquiries_.clear();
  }

  Session::Options Options() {
    Session::Options options;
    options.on_culprit = [this, id = ++sessions_](Culprit culprit) {
      quarantine_->Report(id, std::move(culprit));
    };
    options.on_ignore_reports = [this, id = sessions_] { quarantine_->IgnoreReports(id); };
    options.on_dispute = [this](const ResourceKey& key, const Hash128& version) {
      quarantine_->MarkRunning(key, version);
    };
    options.on_node_fault = [this](const NodeFault& fault) { node_faults_.push_back(fault); };
    return options;
  }

  Envoy& Add(const std::string& name, Refuses refuses = RefusesBad) {
    auto envoy = std::make_unique<Envoy>(name, mode_, std::move(refuses));
    envoy->published = [this] { return published_; };
    envoy->Connect(delivered_->For(name), Options());
    envoys_.push_back(std::move(envoy));
    return *envoys_.back();
  }

  explicit Fleet(const Mode& mode) : mode_(mode) {
    Restart();
    editor_.SetHead(kRDS, "r", "head");
    editor_.Set(kLDS, {.name = "stats", .bytes = "stats"});
    editor_.Set(kCDS, {.name = "c", .bytes = "c"});
    Publish();
  }

  void Host(const std::string& host, const std::string& content,
            std::vector<std::string> clusters = {"c"}) {
    editor_.SetPart(kRDS, "r", {.name = host, .bytes = content, .clusters = std::move(clusters)});
  }
  void Chain(const std::string& chain, const std::string& content) {
    editor_.SetHead(kLDS, "l", "head");
    editor_.SetPart(kLDS, "l", {.name = chain, .bytes = content});
  }
  void Cluster(const std::string& name, const std::string& content) {
    editor_.Set(kCDS, {.name = name, .bytes = content});
  }
  static std::string Name(std::size_t i) { return fmt::format("host-{}", 10000 + i); }

  void Publish() {
    published_ = editor_.Commit();
    quarantine_->Publish(published_);
  }

  // Until nobody has anything to say.
  void Settle() {
    for (int rounds = 0;; ++rounds) {
      ASSERT_LT(rounds, 3000) << "never quiet";
      bool worked = false;
      for (const auto& envoy : envoys_) worked = (envoy->connected() && envoy->Work()) || worked;
      while (!inquiries_.empty()) {
        const auto [ticket, key, version] = inquiries_.front();
        inquiries_.pop_front();
        Opinion opinion;
        for (const auto& envoy : envoys_) {
          if (!envoy->connected()) continue;
          Opinion one = envoy->session().OpinionOn(key, version);
          opinion.runs = opinion.runs || one.runs;
          if (!opinion.good) opinion.good = std::move(one.good);
        }
        quarantine_->Answer(ticket, std::move(opinion));
        worked = true;
      }
      if (!worked) return;
    }
  }
  void Reconnect(Envoy& envoy) { envoy.Connect(delivered_->For(envoy.name()), Options()); }
  void PublishAndRun() {
    Publish();
    Settle();
  }
  void Wait(std::chrono::milliseconds time) {
    for (const auto& envoy : envoys_) envoy->now += time;
    Settle();
  }

  std::vector<std::string> Quarantined() const {
    std::vector<std::string> names;
    for (const QuarantineView& view : quarantine_->View())
      names.push_back(view.key.part.value_or(view.key.resource));
    return names;
  }

  SnapshotEditor editor_{nullptr};
  const Mode mode_;
  SnapshotPtr published_;
  DeliveryPtr delivered_;
  std::vector<NodeFault> node_faults_;  // reported, in their order
  std::vector<std::unique_ptr<Envoy>> envoys_;
  std::unique_ptr<Quarantine> quarantine_;
  std::deque<std::tuple<std::uint64_t, ResourceKey, Hash128>> inquiries_;
  std::uint64_t sessions_ = 0;
};

}  // namespace contour::xds::testing_fleet
