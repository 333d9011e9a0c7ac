// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: parses any bytes as a kubeconfig, and as a list of two. An accepted one has a
// server.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "kube/exec_credential.h"
#include "kube/kubeconfig.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using contour::kube::KubeconfigFile;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const KubeconfigFile whole{"/etc/kube/config", text};
  const KubeconfigFile first{"/etc/kube/first", text.substr(0, size / 2)};
  const KubeconfigFile second{"/etc/kube/second", text.substr(size / 2)};
  for (const auto& config : {contour::kube::ParseKubeconfig({whole}),
                             contour::kube::ParseKubeconfig({first, second}, "context")}) {
    if (config.ok() && config->server.find("://") == std::string::npos) std::abort();
  }
  (void)contour::kube::ParseExecCredential(text, "client.authentication.k8s.io/v1").ok();
  return 0;
}
