// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: a script of requests, snapshots, lost streams and time against one Envoy's
// session, in every mode. Whatever the client says, a response is well-formed: of a type that the
// stream asked for, sorted, without a name twice, removals only in delta, and no more of them under
// way than the protocol's rules allow. Nothing is ever written to a client that asked for nothing.

#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "xds/session/session.h"

namespace {

using contour::xds::FindType;
using contour::xds::kResourceTypes;
using contour::xds::kTypes;
using contour::xds::Protocol;
using contour::xds::Request;
using contour::xds::ResourceType;
using contour::xds::Response;
using contour::xds::Session;
using contour::xds::SnapshotEditor;
using contour::xds::SnapshotPtr;
using contour::xds::Stream;
using contour::xds::WarmBy;

void Require(bool holds) {
  if (!holds) std::abort();
}

class Run {
 public:
  Run(const std::uint8_t* data, std::size_t size) : input_(data, size) {
    aggregated_ = input_.ConsumeBool();
    protocol_ = input_.ConsumeBool() ? Protocol::kDelta : Protocol::kStateOfTheWorld;
    Edit();
    Connect(nullptr);
  }

  void Go() {
    while (input_.remaining_bytes() > 0) {
      switch (input_.ConsumeIntegralInRange(0, 7)) {
        case 0:
          Edit();
          session_->Offer(snapshot_);
          break;
        case 1:
          now_ += std::chrono::milliseconds(input_.ConsumeIntegralInRange(0, 6000));
          break;
        case 2:
          Break();
          break;
        default:
          Ask();
      }
      Pump();
    }
  }

 private:
  struct Client {
    std::set<ResourceType> asked;
    std::map<ResourceType, std::vector<std::string>> unanswered;  // nonces
  };

  std::string Name() { return std::string(1, "abc"[input_.ConsumeIntegralInRange(0, 2)]); }

  void Edit() {
    SnapshotEditor editor(snapshot_);
    const std::string name = Name();
    const std::string content = input_.ConsumeRandomLengthString(3);
    const bool remove = input_.ConsumeBool();
    const ResourceType type = kTypes[input_.ConsumeIntegralInRange<std::size_t>(0, 4)].type;
    if (remove) {
      editor.Remove(type, name);
    } else if (contour::xds::Info(type).parts_field != 0) {
      editor.SetHead(type, name, content);
      editor.SetPart(type, name, {.name = Name(), .bytes = content, .clusters = {Name()}});
    } else {
      contour::xds::Resource resource{.name = name, .bytes = content};
      if (type == ResourceType::kCluster && input_.ConsumeBool()) {
        resource.assignment = Name();
        resource.warm_by = WarmBy::kAssignment;
      }
      editor.Set(type, std::move(resource));
    }
    snapshot_ = editor.Commit();
  }

  void Connect(std::shared_ptr<const contour::xds::Memory> memory) {
    session_.emplace(
        Session::Identity{.node_id = "envoy", .peer = "peer", .aggregated = aggregated_},
        Session::Options(), snapshot_, std::move(memory));
    clients_.clear();
    streams_ = std::vector<Stream*>();
    for (std::size_t i = 0; i < (aggregated_ ? 1 : kResourceTypes); ++i) {
      streams_.push_back(&session_->Attach(protocol_));
    }
  }

  void Break() {
    if (aggregated_ || input_.ConsumeBool()) {
      for (Stream* stream : streams_) session_->Detach(*stream, now_);
      Require(session_->empty());
      Connect(session_->TakeMemory());
      return;
    }
    Stream*& stream = streams_[input_.ConsumeIntegralInRange<std::size_t>(0, streams_.size() - 1)];
    clients_.erase(stream);
    session_->Detach(*stream, now_);
    stream = &session_->Attach(protocol_);
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (int i = input_.ConsumeIntegralInRange(0, 3); i > 0; --i) {
      names.push_back(input_.ConsumeIntegralInRange(0, 5) == 0 ? "*" : Name());
    }
    return names;
  }

  void Ask() {
    const std::size_t number = input_.ConsumeIntegralInRange<std::size_t>(0, kResourceTypes - 1);
    Stream* stream = aggregated_ ? streams_.front() : streams_[number];
    Client& client = clients_[stream];
    Request request{.type_url = std::string(kTypes[number].url)};
    if (input_.ConsumeIntegralInRange(0, 30) == 0) {
      request.type_url = input_.ConsumeRandomLengthString(8);
    }
    std::vector<std::string>& nonces = client.unanswered[kTypes[number].type];
    if (!nonces.empty() && input_.ConsumeIntegralInRange(0, 7) != 0) {
      request.nonce = nonces.front();
      nonces.erase(nonces.begin());
    } else if (input_.ConsumeBool()) {
      request.nonce = input_.ConsumeRandomLengthString(3);
    }
    if (input_.ConsumeIntegralInRange(0, 4) == 0) request.error = "no: " + Name();
    if (protocol_ == Protocol::kDelta) {
      request.subscribe = Names();
      request.unsubscribe = Names();
      for (const std::string& name : Names()) {
        request.initial_versions.emplace_back(name, input_.ConsumeRandomLengthString(4));
      }
    } else {
      request.names = Names();
      request.version = input_.ConsumeRandomLengthString(4);
    }
    const bool ok = stream->OnRequest(request, now_).ok();
    const bool served = FindType(request.type_url) != nullptr;
    Require(served ? ok : !ok || (aggregated_ && !request.type_url.empty()));
    if (ok && served) client.asked.insert(kTypes[number].type);
  }

  void Pump() {
    for (int round = 0; round < 64; ++round) {
      bool wrote = false;
      for (Stream* stream : session_->TakeReady(now_)) {
        while (const std::optional<Response> response = stream->Next(now_)) {
          Check(*stream, *response);
          wrote = true;
        }
      }
      if (!wrote) return;
    }
    std::abort();  // it never rests
  }

  void Check(Stream& stream, const Response& response) {
    Client& client = clients_[&stream];
    Require(response.unknown_type_url.empty() ? client.asked.contains(response.type)
                                              : response.resources.empty());
    Require(response.protocol == protocol_);
    Require(!response.nonce.empty());
    std::set<std::string> names;
    std::string last;
    for (const auto& resource : response.resources) {
      Require(resource != nullptr && resource->known);
      Require(names.insert(resource->name).second && last <= resource->name);
      last = resource->name;
    }
    Require(response.removed.empty() || protocol_ == Protocol::kDelta);
    for (const std::string& name : response.removed) Require(names.insert(name).second);
    auto& nonces = client.unanswered[response.type];
    nonces.push_back(response.nonce);
    if (nonces.size() > 2 * Stream::kClusterResponses) nonces.erase(nonces.begin());
  }

  FuzzedDataProvider input_;
  bool aggregated_ = true;
  Protocol protocol_ = Protocol::kDelta;
  contour::xds::Time now_{};
  SnapshotPtr snapshot_;
  std::optional<Session> session_;
  std::vector<Stream*> streams_;
  std::map<Stream*, Client> clients_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Run(data, size).Go();
  return 0;
}
