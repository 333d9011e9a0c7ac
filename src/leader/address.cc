// SPDX-License-Identifier: Apache-2.0
#include "leader/address.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "kube/resources.h"
#include "kube/url.h"

namespace contour::leader {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::string_view kContext = "leader";
constexpr const char* kServiceName = "kubernetes.io/service-name";
// A value other than the EndpointSlice controller's makes that controller leave the slice alone.
constexpr const char* kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kManager = "contour";
constexpr milliseconds kDeadline{4'000};

Json& Object(Json& parent, const char* key) {
  Json& member = parent[key];
  if (!member.is_object()) member = Json::object();
  return member;
}

// Parses an object of the API server. kInvalidArgument: it isn't of this kind.
absl::StatusOr<Json> ParseKind(std::string_view text, std::string_view kind) {
  Json object = Json::parse(text, nullptr, false);
  const auto found = object.is_object() ? object.find("kind") : object.end();
  if (found == object.end() || *found != kind) return InvalidArgument("the {} can't be read", kind);
  return object;
}

// Returns the slice that is there without its addresses; nullopt: it has none.
absl::StatusOr<std::optional<std::string>> EmptySlice(std::string_view present) {
  if (present.empty()) return std::nullopt;
  CONTOUR_ASSIGN_OR_RETURN(Json slice, ParseKind(present, "EndpointSlice"));
  const auto endpoints = slice.find("endpoints");
  if (endpoints == slice.end() || endpoints->empty()) return std::nullopt;
  *endpoints = Json::array();
  return slice.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<std::optional<std::string>> WantedSlice(const AddressOptions& options,
                                                       std::string_view present) {
  if (options.all_serve) return EmptySlice(present);
  const std::string family = options.pod_ip.find(':') == std::string::npos ? "IPv4" : "IPv6";
  Json slice = Json::object();
  if (!present.empty()) {
    CONTOUR_ASSIGN_OR_RETURN(slice, ParseKind(present, "EndpointSlice"));
  }
  const Json before = slice;
  if (const auto type = slice.find("addressType"); type != slice.end() && *type != family) {
    return InvalidArgument(
        "EndpointSlice {}/{} holds addresses of another family than {}, which can't be changed: "
        "delete it (kubectl -n {} delete endpointslice {})",
        options.ns, options.slice, options.pod_ip, options.ns, options.slice);
  }
  slice["apiVersion"] = "discovery.k8s.io/v1";
  slice["kind"] = "EndpointSlice";
  slice["addressType"] = family;
  Json& metadata = Object(slice, "metadata");
  metadata["name"] = options.slice;
  metadata["namespace"] = options.ns;
  Json& labels = Object(metadata, "labels");
  labels[kServiceName] = options.service;
  labels[kManagedBy] = kManager;
  slice["endpoints"] =
      Json::array({{{"addresses", {options.pod_ip}}, {"conditions", {{"ready", true}}}}});
  slice["ports"] = Json::array({{{"name", "xds"}, {"port", options.port}, {"protocol", "TCP"}}});
  if (slice == before) return std::nullopt;
  return slice.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::string> SlicesOfOthers(const AddressOptions& options, std::string_view list) {
  CONTOUR_ASSIGN_OR_RETURN(const Json parsed, ParseKind(list, "EndpointSliceList"));
  const auto items = parsed.find("items");
  std::string names;
  if (items == parsed.end()) return names;
  for (const Json& slice : *items) {
    const std::string name = slice.value(Json::json_pointer("/metadata/name"), "");
    const auto endpoints = slice.find("endpoints");
    if (name == options.slice || endpoints == slice.end() || endpoints->empty()) continue;
    names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

Address::Address(AddressOptions options, kube::Client& client, kube::Loop& loop,
                 std::function<bool()> may_write, std::function<void(const State&)> on_state)
    : options_(std::move(options)),
      client_(client),
      may_write_(std::move(may_write)),
      on_state_(std::move(on_state)),
      collection_(kube::CollectionPath("discovery.k8s.io/v1", "endpointslices", options_.ns)),
      backoff_({milliseconds(200), milliseconds(5'000)}),
      loop_(loop),
      timer_(loop) {}

Address::~Address() { Withdraw(); }

void Address::Publish() {
  if (std::exchange(wanted_, true)) return;
  backoff_.Reset();
  if (options_.all_serve || !options_.pod_ip.empty()) return Read();
  state_.problem = fmt::format(
      "POD_IP is not set, so EndpointSlice {}/{} can't name this leader; set it to the pod's "
      "address (fieldRef status.podIP, as in deploy/)",
      options_.ns, options_.slice);
  log::Error(kContext, "failed to publish the leader's address", {{"error", state_.problem}});
  on_state_(state_);
}

void Address::Withdraw() {
  wanted_ = false;
  timer_.Clear();
  if (request_) client_.Cancel(*std::exchange(request_, std::nullopt));
  const bool shown = state_.published || !state_.problem.empty();
  state_.published = false;
  state_.problem.clear();
  if (shown) on_state_(state_);
}

void Address::Send(kube::Request request, void (Address::*done)(const kube::Response&)) {
  request.deadline = kDeadline;
  request.urgent = true;
  request_ = client_.Send(std::move(request), [this, done](const kube::Response& response) {
    request_.reset();
    (this->*done)(response);
  });
}

void Address::Read() {
  Send({.path = fmt::format("{}/{}", collection_, options_.slice)}, &Address::OnRead);
}

void Address::OnRead(const kube::Response& response) {
  const bool exists = !absl::IsNotFound(response.status);
  if (exists && !response.status.ok()) return Failed(response.status);
  absl::StatusOr<std::optional<std::string>> wanted =
      WantedSlice(options_, exists ? response.body : "");
  if (!wanted.ok()) return Failed(wanted.status());
  if (!wanted->has_value()) return Done();
  Write(exists, **std::move(wanted));
}

void Address::Write(bool exists, std::string body) {
  kube::Request request;
  request.method = exists ? "PUT" : "POST";
  request.path = exists ? fmt::format("{}/{}", collection_, options_.slice) : collection_;
  request.body = std::move(body);
  request.may_start = may_write_;
  Send(std::move(request), &Address::OnWritten);
}

void Address::OnWritten(const kube::Response& response) {
  if (!response.status.ok()) return Failed(response.status);
  ++state_.writes;
  const std::string slice = fmt::format("{}/{}", options_.ns, options_.slice);
  if (options_.all_serve) {
    log::Info(kContext, "took a former leader's address back, as all replicas serve",
              {{"endpointslice", slice}});
  } else {
    log::Info(kContext, "published the leader's address",
              {{"endpointslice", slice}, {"address", options_.pod_ip}, {"port", options_.port}});
  }
  Done();
}

void Address::Done() {
  backoff_.Reset();
  if (options_.all_serve) return Settled();
  Send({.path = fmt::format("{}?labelSelector=kubernetes.io%2Fservice-name%3D{}", collection_,
                            kube::UrlEncode(options_.service))},
       &Address::OnListed);
}

void Address::OnListed(const kube::Response& response) {
  absl::StatusOr<std::string> others = response.status.ok()
                                           ? SlicesOfOthers(options_, response.body)
                                           : absl::StatusOr<std::string>(response.status);
  // Without an answer the known names stay.
  if (others.ok()) others_ = *std::move(others);
  Settled();
}

void Address::Settled() {
  std::string problem;
  if (!others_.empty()) {
    problem = fmt::format(
        "other EndpointSlices of Service {0}/{1} lead Envoys to replicas that don't serve; if they "
        "are left from a time when it had a selector, remove them (kubectl -n {0} delete "
        "endpointslice {2})",
        options_.ns, options_.service, others_);
    if (problem != state_.problem) log::Error(kContext, problem);
  }
  state_.published = problem.empty();
  state_.problem = std::move(problem);
  on_state_(state_);
  timer_.Set(options_.recheck, [this] { Read(); });
}

void Address::Failed(const absl::Status& status) {
  std::string problem =
      fmt::format("EndpointSlice {}/{}: {}", options_.ns, options_.slice, Message(status));
  if (absl::IsPermissionDenied(status) || absl::IsNotFound(status)) {
    problem += fmt::format(
        "; check that namespace {} exists and that contour's Role there allows get, update and "
        "create of it (deploy/rbac)",
        options_.ns);
  }
  // It is no failure if somebody else wrote the slice, or we may not write at the moment.
  const bool news = !absl::IsAborted(status) && !absl::IsAlreadyExists(status) &&
                    !absl::IsFailedPrecondition(status);
  if (news && problem != state_.problem) {
    log::Error(kContext,
               options_.all_serve ? "failed to take a former leader's address back"
                                  : "failed to publish the leader's address",
               {{"error", problem}});
  }
  state_.published = false;
  state_.problem = std::move(problem);
  on_state_(state_);
  timer_.Set(backoff_.Next(loop_.Random()), [this] { Read(); });
}

}  // namespace contour::leader
