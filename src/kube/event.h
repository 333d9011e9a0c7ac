// SPDX-License-Identifier: Apache-2.0
// Events (core/v1), which `kubectl describe` shows beside an object.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
//
// Example:
//   Event event;
//   event.name = "root.16f3a1";
//   event.object = {"contour.heptio.com/v1beta1", "IngressRoute", "default", "root", "uid-1", "7"};
//   event.reason = "EnvoyRejected";
//   event.message = "Envoy edge-1 rejects the virtual host root.example.com";
//   event.time = "2026-11-24T12:00:00Z";
//   const Request request = CreateEvent(event);  // for Client::Send
//
// Functions of their arguments; any thread.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace contour::kube {

struct EventObject {
  std::string api_version;
  std::string kind;
  std::string ns;  // also the namespace of the Event
  std::string name;
  std::string uid;
  std::string resource_version;
};

struct Event {
  enum class Type : std::uint8_t { kNormal, kWarning };

  std::string name;  // the name of the Event, unique in its namespace
  EventObject object;
  Type type = Type::kNormal;
  std::string reason;
  std::string message;   // the API server refuses more than 1024 bytes
  std::string time;      // RFC 3339
  std::string host;      // the node of the process; empty: it isn't reported
  std::string instance;  // the process that reports it
};

// Returns the request that creates the Event, with a count of 1.
Request CreateEvent(const Event& event);

// Returns the request that notes that the Event has happened again, for the `count`th time.
Request CountEvent(std::string_view ns, std::string_view name, std::uint64_t count,
                   std::string_view time);

}  // namespace contour::kube
