// SPDX-License-Identifier: Apache-2.0
#include "serve/connections.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "kube/credentials.h"
#include "kube/kubeconfig.h"
#include "kube/resources.h"
#include "serve/left_out.h"

namespace contour::serve {
namespace {

// A watch that is opened again isn't logged.
constexpr std::chrono::seconds kShortOutage{5};

// Passes the objects on to the core, and also to the writers of statuses.
class Observer : public api::Sink {
 public:
  Observer(status::StatusWriter& writer, status::IngressAddresses& addresses, api::Sink& next)
      : writer_(writer), addresses_(addresses), next_(next) {}
  void Apply(std::vector<api::Change> changes) override {
    writer_.Observe(changes);
    addresses_.Observe(changes);
    next_.Apply(std::move(changes));
  }
  void Synced() override { next_.Synced(); }

 private:
  status::StatusWriter& writer_;
  status::IngressAddresses& addresses_;
  api::Sink& next_;
};

absl::StatusOr<status::IngressAddresses::Options> IngressAddressesOf(const config::Serve& config) {
  status::IngressAddresses::Options options;
  absl::StatusOr<std::vector<api::LoadBalancerIngress>> fixed =
      status::ParseAddresses(config.ingress_status_address);
  if (!fixed.ok()) return InvalidArgument("--ingress-status-address: {}", Message(fixed.status()));
  options.fixed = *std::move(fixed);
  const std::string& ns = config.envoy_service_namespace;
  options.service = {api::Kind::kService, ns.empty() ? config.own_namespace : ns,
                     config.envoy_service_name};
  const std::vector<std::string>& watched = config.watch_namespaces;
  if (options.fixed.empty() && !watched.empty() &&
      std::find(watched.begin(), watched.end(), options.service.ns) == watched.end()) {
    log::Warning(
        "status", "the addresses of Ingresses are not known, their status is left alone",
        {{"reason", fmt::format("{} is not in a watched namespace", options.service.String())},
         {"cure", "--ingress-status-address, or its namespace in --watch-namespaces"}});
  }
  return options;
}

}  // namespace

absl::Status Connections::Start(api::Sink& sink) {
  if (manifests != nullptr) return manifests->Start(sink);
  observer = std::make_unique<Observer>(*writer, *ingress_addresses, sink);
  writer->Start();
  cluster->Start(*observer);
  return absl::OkStatus();
}

bool Connections::ApiServerIsAway() const {
  return cluster != nullptr && kube::IsAway(cluster->GetStats());
}

std::string Connections::NeverKnown() const {
  if (cluster != nullptr) return kube::NeverKnown(cluster->GetStats());
  return manifests != nullptr ? manifests->NeverRead() : "";
}

std::string Connections::Remark() const {
  if (cluster == nullptr) return {};
  const std::string kinds = kube::NotKnownNow(cluster->GetStats(), kShortOutage);
  return kinds.empty() ? kinds : "not known now, what was known stays: " + kinds;
}

bool Connections::IsUnsure() const {
  return cluster != nullptr && !kube::NotKnownNow(cluster->GetStats(), {}).empty();
}

void Connections::StopSources() {
  if (manifests != nullptr) manifests->Stop();
  if (cluster != nullptr) cluster->Stop();
}

void Connections::StopWrites(std::chrono::milliseconds deadline) {
  if (writer == nullptr) return;
  if (!writer->Drain(deadline)) {
    log::Warning("status", "stopped with statuses that are not right yet",
                 {{"objects", writer->statistics().waiting}});
  }
  writer->Stop();
  client.reset();  // a request that waits would ask `may_write`, whose owner goes next
}

absl::StatusOr<Connections> MakeConnections(const config::Serve& config) {
  Connections connections;
  CONTOUR_ASSIGN_OR_RETURN(connections.left_out, KindsLeftOut(config));
  if (!config.manifests.empty()) {
    connections.manifests = std::make_unique<file::ManifestSource>(config.manifests);
    return connections;
  }
  CONTOUR_ASSIGN_OR_RETURN(
      kube::ServerConfig server,
      kube::LoadServerConfig({.in_cluster = config.in_cluster, .kubeconfig = config.kubeconfig}));
  CONTOUR_ASSIGN_OR_RETURN(std::shared_ptr<kube::Credentials> credentials,
                           kube::Credentials::Create(std::move(server)));
  // An API server takes this rate easily; if not, it answers 429, which the client respects.
  connections.credentials = credentials;
  connections.client = std::make_unique<kube::Client>(
      credentials, kube::ClientOptions{.per_second = 800, .burst = 800});
  connections.writer = std::make_unique<status::StatusWriter>(
      [client = connections.client.get(), may_write = connections.may_write](
          const status::StatusPlan::Write& write, status::StatusWriter::Done done) {
        kube::Request request =
            kube::MergePatchStatus(write.ref, write.resource_version, write.fields);
        request.may_start = *may_write;
        client->Send(std::move(request), [done = std::move(done)](const kube::Response& response) {
          done(status::OutcomeOf(response.status, response.retry_after, response.body));
        });
      },
      [client = connections.client.get()](const api::ObjectRef& ref,
                                          std::function<void(std::string_view)> done) {
        client->Send({.path = kube::ObjectPath(ref)},
                     [done = std::move(done)](const kube::Response& response) {
                       done(response.status.ok() ? std::string_view(response.body) : "");
                     });
      },
      status::StatusPlan::Options());
  CONTOUR_ASSIGN_OR_RETURN(status::IngressAddresses::Options addresses, IngressAddressesOf(config));
  connections.ingress_addresses = std::make_unique<status::IngressAddresses>(
      std::move(addresses), [writer = connections.writer.get()](const api::ObjectRef& ref,
                                                                std::optional<std::string> fields) {
        writer->Want(ref, std::move(fields));
      });
  kube::ClusterSourceOptions options;
  options.without = connections.left_out;
  options.watch_namespaces = config.watch_namespaces;
  options.secret_namespaces = config.root_namespaces;
  connections.cluster =
      std::make_unique<kube::ClusterSource>(std::move(credentials), std::move(options));
  return connections;
}

}  // namespace contour::serve
