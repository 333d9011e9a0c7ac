// SPDX-License-Identifier: Apache-2.0
#include "leader/address.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "kube/resources.h"

namespace contour::leader {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::string_view kContext = "leader";
constexpr const char* kServiceName = "kubernetes.io/service-name";
// Any other value than the EndpointSlice controller's, so that it leaves the slice to us.
constexpr const char* kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kManager = "contour";
constexpr milliseconds kDeadline{4'000};

Json& Object(Json& parent, const char* key) {
  Json& member = parent[key];
  if (!member.is_object()) member = Json::object();
  return member;
}

}  // namespace

absl::StatusOr<std::optional<std::string>> WantedSlice(const AddressOptions& options,
                                                       std::string_view present) {
  const std::string family = options.pod_ip.find(':') == std::string::npos ? "IPv4" : "IPv6";
  Json slice = Json::object();
  if (!present.empty()) {
    slice = Json::parse(present, nullptr, false);
    const auto kind = slice.is_object() ? slice.find("kind") : slice.end();
    if (kind == slice.end() || *kind != "EndpointSlice")
      return InvalidArgument("the EndpointSlice can't be read");
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
  if (options_.pod_ip.empty() || std::exchange(wanted_, true)) return;
  backoff_.Reset();
  Read();
}

void Address::Withdraw() {
  wanted_ = false;
  timer_.Clear();
  if (request_) client_.Cancel(*std::exchange(request_, std::nullopt));
  if (std::exchange(state_.published, false)) on_state_(state_);
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
  log::Info(kContext, "published the leader's address",
            {{"endpointslice", fmt::format("{}/{}", options_.ns, options_.slice)},
             {"address", options_.pod_ip},
             {"port", options_.port}});
  Done();
}

void Address::Done() {
  backoff_.Reset();
  state_.published = true;
  state_.problem.clear();
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
  // Somebody else wrote it, or we may not write at the moment: no news.
  const bool news = !absl::IsAborted(status) && !absl::IsAlreadyExists(status) &&
                    !absl::IsFailedPrecondition(status);
  if (news && problem != state_.problem) {
    log::Error(kContext, "failed to publish the leader's address", {{"error", problem}});
  }
  state_.published = false;
  state_.problem = std::move(problem);
  on_state_(state_);
  timer_.Set(backoff_.Next(loop_.Random()), [this] { Read(); });
}

}  // namespace contour::leader
