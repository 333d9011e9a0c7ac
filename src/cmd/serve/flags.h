// SPDX-License-Identifier: Apache-2.0
// What `contour serve` was asked for.

#pragma once

#include <cstdint>
#include <string>

#include "envoy/listener.h"

namespace contour::cmd {

struct Flags {
  std::string manifests;
  std::string status_dir;
  bool in_cluster = false;
  std::string kubeconfig;
  std::string root_namespaces;
  std::string watch_namespaces;
  std::string ingress_class;
  std::string xds_address = "127.0.0.1";
  std::uint16_t xds_port = 8001;
  bool insecure = false;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8000;
  envoy::ListenerOptions listeners;
  bool debug = false;
};

}  // namespace contour::cmd
