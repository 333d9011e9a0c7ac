// SPDX-License-Identifier: Apache-2.0
// Translates graph::VirtualHost into Envoy's VirtualHost (envoy.config.route.v3), one for each of
// the two route configurations, and makes the heads of these.
//
// Example:
//   graph::VirtualHost host;
//   host.host = "a.example.com";
//   const Resource head = RouteConfigurationHead(kIngressHTTP);
//   const VirtualHostResources parts = TranslateVirtualHost(host, {});
//   if (parts.http.has_value()) std::puts("one part behind the head");
//
// Routes keep the order of the graph, in which Envoy tries them. A wildcard host (`*.example.com`)
// takes one label only, as the Ingress API says, but Envoy's wildcards take any number of labels.
// So its first route takes all other names: on plain HTTP they go on to the host "*" (see
// host_lookup.h), else the cluster kNoCluster answers them.
//
// A request may name every host with a port too (`Host: example.com:8080`). Domains permit that by
// `:*`, which Envoy understands for plain hosts but not behind a wildcard. So both configurations
// ignore the port when they look for the host.
//
// Pure, any thread. There are no errors: a value that Envoy wouldn't take is written in a form that
// it takes and that matches no more than before.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "envoy/listener.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/host.h"

namespace contour::envoy {

// Parts of the two route configurations; nullopt where the host has no routes. `name` is
// VirtualHostName(host). `clusters` are the clusters of its routes, without routes that redirect.
struct VirtualHostResources {
  // Where HTTP or HTTPS is sharded, this is a resource of its own: a ScopedRouteConfiguration whose
  // key is the host, for HTTPS followed by "https" (see delivery.h and host_lookup.h).
  std::optional<Resource> http;   // a part of kIngressHTTP
  std::optional<Resource> https;  // a part of kIngressHTTPS; its scope is HTTPSScopeName(host)
};

// A cluster that doesn't exist. The route that names it answers 404, unless a filter finds another
// route first. Clusters of Services have a "/" in their names.
inline constexpr std::string_view kNoCluster = "none";

// Returns the parts of a host. Over HTTPS some hosts are served on connections of their own filter
// chain only, see TakesOwnConnectionsOnly().
VirtualHostResources TranslateVirtualHost(const graph::VirtualHost& host,
                                          const ListenerOptions& options, const Names& names = {});

// Returns "https/" and VirtualHostName(host), which has no such beginning.
std::string HTTPSScopeName(std::string_view host, std::size_t digits = kHashDigits);
// Returns the VirtualHostName in an HTTPSScopeName; nullopt: it is none.
std::optional<std::string_view> ParseHTTPSScopeName(std::string_view name);

// Returns the RouteConfiguration `name` without virtual hosts. They are to be appended as parts, in
// the order of their names.
Resource RouteConfigurationHead(std::string_view name);

}  // namespace contour::envoy
