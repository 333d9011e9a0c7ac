// SPDX-License-Identifier: Apache-2.0
// Connects the process to its source of objects, which also gets the statuses: a folder of
// manifests, or an API server.

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

// It has either `manifests` or all the others.
struct Connections {
  // Returns true if a status may be written; called just before each write. Unset: always. To be
  // set before Start.
  std::shared_ptr<std::function<bool()>> may_write = std::make_shared<std::function<bool()>>();
  std::shared_ptr<kube::Credentials> credentials;
  std::vector<api::Kind> left_out;  // by --without
  // They end in the opposite order. StopSources and StopWrites come before that, so that none calls
  // one that has ended.
  std::unique_ptr<file::ManifestSource> manifests;
  std::unique_ptr<status::StatusWriter> writer;
  std::unique_ptr<kube::Client> client;  // ends before the writer, which gets its answers
  std::unique_ptr<kube::ClusterSource> cluster;
  std::unique_ptr<status::IngressAddresses> ingress_addresses;
  std::unique_ptr<api::Sink> observer;

  // True if the API server can't be reached, and nothing was listed yet. This and the next three
  // may be called on any thread.
  bool ApiServerIsAway() const;
  // Returns another reason why the objects were never known; empty: they were.
  std::string NeverKnown() const;
  // Returns the kinds that were known and aren't for certain now. Their objects stay as they were.
  // Empty: there are none.
  std::string Remark() const;
  // True if there are such kinds. A missing object may then only be unknown.
  bool IsUnsure() const;

  // Delivers objects to `sink` until StopSources.
  absl::Status Start(api::Sink& sink);
  void StopSources();
  // Writes the statuses that are not right yet, but not longer than `deadline`. No status is
  // written afterwards.
  void StopWrites(std::chrono::milliseconds deadline);
};

// Fails if the kubeconfig or the service account can't be used.
absl::StatusOr<Connections> MakeConnections(const config::Serve& config);

}  // namespace contour::serve
