// SPDX-License-Identifier: Apache-2.0
#include "envoy/secret.h"

#include <utility>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/message.h"

namespace contour::envoy {

Resource TranslateSecret(const graph::ServingSecret& secret, std::string name) {
  Resource result;
  ::envoy::extensions::transport_sockets::tls::v3::Secret message;
  result.name = std::move(name);
  message.set_name(result.name);
  auto* certificate = message.mutable_tls_certificate();
  certificate->mutable_certificate_chain()->set_inline_bytes(secret.certificate_chain);
  certificate->mutable_private_key()->set_inline_bytes(secret.private_key);
  result.bytes = Serialize(message);
  return result;
}

}  // namespace contour::envoy
