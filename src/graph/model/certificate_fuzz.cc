// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: parses any bytes as the PEM of a serving pair (cut at the first zero byte) and
// of trusted certificates. An accepted pair must have both kinds of blocks.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "graph/model/certificate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = std::min(text.find('\0'), text.size());
  const std::string_view chain = text.substr(0, cut);
  const std::string_view key = cut == text.size() ? text : text.substr(cut + 1);
  const auto pair = contour::graph::CheckServingPair(chain, key);
  if (pair.ok() && (chain.find("-----BEGIN CERTIFICATE-----") == std::string_view::npos ||
                    key.find("PRIVATE KEY-----") == std::string_view::npos)) {
    std::abort();
  }
  (void)contour::graph::CheckTrustedCertificates(text).ok();
  return 0;
}
