// SPDX-License-Identifier: Apache-2.0
// Where objects come from and statuses go to: a folder of manifests, or an API server.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "api/source.h"
#include "base/status.h"
#include "config/serve.h"
#include "file/manifest_source.h"
#include "kube/client.h"
#include "kube/cluster_source.h"
#include "kube/credentials.h"
#include "status/ingress_addresses.h"
#include "status/status_writer.h"

namespace contour::cmd {

// Either `manifests`, or the others.
struct World {
  // Asked just before a status is written; unset: always. Set before Start.
  std::shared_ptr<std::function<bool()>> may_write = std::make_shared<std::function<bool()>>();
  std::shared_ptr<kube::Credentials> credentials;
  // In the order of their making: what is below uses what is above.
  std::unique_ptr<file::ManifestSource> manifests;
  std::unique_ptr<status::StatusWriter> writer;
  std::unique_ptr<kube::Client> client;  // ends before the writer, which its answers go to
  std::unique_ptr<kube::ClusterSource> cluster;
  std::unique_ptr<status::IngressAddresses> ingress_addresses;
  std::unique_ptr<api::Sink> observer;

  // Requests to the API server fail, and none was answered yet. Any thread.
  bool ApiServerIsAway() const;

  // Delivers objects to `sink` until StopSources.
  absl::Status Start(api::Sink& sink);
  void StopSources();
  // Writes the statuses that are not right yet, but not longer than `deadline`; then no more.
  void StopWrites(std::chrono::milliseconds deadline);
};

// Errors: a kubeconfig or service account that can't be used.
absl::StatusOr<World> MakeWorld(const config::Serve& config);

}  // namespace contour::cmd
