// SPDX-License-Identifier: Apache-2.0
// Values with which a session begins: who the Envoy is, and the options.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/hash.h"
#include "xds/session/culprit.h"
#include "xds/session/views.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/shared_tables.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

struct EnvoyIdentity {
  std::string node_id;
  std::string peer;
  bool aggregated = true;  // one ADS stream; else streams per type
};

struct SessionOptions {
  // How long a part waits for clusters that aren't warm; also how long a reconnecting Envoy's other
  // subscriptions are awaited.
  std::chrono::milliseconds warm_timeout{5000};
  std::function<void(const Rejection&)> on_rejection;  // may be empty; called within OnRequest
  // How long a new cluster without endpoints isn't taken for warm: they may be on their way.
  std::chrono::milliseconds empty_wait{250};
  // About quarantined contents; called within OnRequest, Next and TakeReady; may be empty.
  std::function<void(Culprit)> on_culprit;  // the Envoy took the rest without it
  std::function<void(const ResourceKey&, const Hash128&)> on_dispute;  // the Envoy runs it
  // Shared by the sessions of one thread; nullptr: each finds the differences for itself.
  std::shared_ptr<DifferenceCache> differences = nullptr;
  // Shared by the sessions of all threads; not null.
  std::shared_ptr<SharedTables> shared = std::make_shared<SharedTables>();
  // Shared by the sessions of one thread; not null.
  std::shared_ptr<Recent> recent = std::make_shared<Recent>();
  // The Envoy rejects what it acked: its reports of culprits don't count. May be empty.
  std::function<void()> on_ignore_reports;
  // The first request for a type that isn't served, on an ADS stream; may be empty.
  std::function<void(const std::string& type_url)> on_unknown_type;
  // A resource that the Envoy can't take because of its node: once when that begins, and when it
  // takes it. Called within OnRequest; may be empty.
  std::function<void(const NodeFault&)> on_node_fault;
};

}  // namespace contour::xds
