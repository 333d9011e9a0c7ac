// SPDX-License-Identifier: Apache-2.0
// The part of the configuration that has a meaning for the graph. It is fixed for the life of a
// process.

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "graph/model/listener.h"

namespace contour::graph {

struct Options {
  // The class that we serve; nullopt: "contour", and every IngressClass that names our controller.
  std::optional<std::string> ingress_class;
  // Namespaces in which root IngressRoutes may live; empty: all.
  std::vector<std::string> root_namespaces;
  bool disable_permit_insecure = false;  // ignore permitInsecure of routes: always redirect
  TLSVersion minimum_tls_version = TLSVersion::k1_2;  // objects may ask for more, not for less
  bool external_name_services = true;
  // The namespace that we run in: its Services `contour` and `envoy` can't be reached through an
  // ExternalName.
  std::string own_namespace = "heptio-contour";
  // Kinds that are not read. An object of such a kind that isn't here is unknown, not missing.
  std::vector<api::Kind> unread_kinds;

  bool IsUnread(api::Kind kind) const {
    return std::find(unread_kinds.begin(), unread_kinds.end(), kind) != unread_kinds.end();
  }
};

inline constexpr const char* kDefaultIngressClass = "contour";
inline constexpr const char* kIngressController = "projectcontour.io/ingress-controller";

}  // namespace contour::graph
