// SPDX-License-Identifier: Apache-2.0
// Where objects come from and statuses go to: a folder of manifests, or an API server.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
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

namespace contour::serve {

// Either `manifests`, or the others.
struct Connections {
  // Asked just before a status is written; unset: always. Set before Start.
  std::shared_ptr<std::function<bool()>> may_write = std::make_shared<std::function<bool()>>();
  std::shared_ptr<kube::Credentials> credentials;
  std::vector<api::Kind> left_out;  // by --without
  // In the order of their making: what is below uses what is above.
  std::unique_ptr<file::ManifestSource> manifests;
  std::unique_ptr<status::StatusWriter> writer;
  std::unique_ptr<kube::Client> client;  // ends before the writer, which its answers go to
  std::unique_ptr<kube::ClusterSource> cluster;
  std::unique_ptr<status::IngressAddresses> ingress_addresses;
  std::unique_ptr<api::Sink> observer;

  // True if the API server can't be reached, and nothing was listed yet. Any thread, as the next
  // four.
  bool ApiServerIsAway() const;
  // Returns what else keeps the objects from being known for the first time; empty: nothing does.
  std::string NeverKnown() const;
  // Returns which kinds were known and aren't for certain now, whose objects stay as they were
  // known; empty: there are none.
  std::string Remark() const;
  // True if there is something of the kind. What is missing then may only be unknown.
  bool IsUnsure() const;

  // Delivers objects to `sink` until StopSources.
  absl::Status Start(api::Sink& sink);
  void StopSources();
  // Writes the statuses that are not right yet, but not longer than `deadline`; then no more.
  void StopWrites(std::chrono::milliseconds deadline);
};

// Errors: a kubeconfig or service account that can't be used.
absl::StatusOr<Connections> MakeConnections(const config::Serve& config);

}  // namespace contour::serve
