// SPDX-License-Identifier: Apache-2.0
#include "envoy/secret.h"

#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/names.h"
#include "envoy/testing.h"

namespace contour::envoy {
namespace {

using ::envoy::extensions::transport_sockets::tls::v3::Secret;

TEST(TranslateSecretTest, CarriesCertificateAndKey) {
  const Resource got =
      TranslateSecret({"default", "secret", "CERTIFICATE", "KEY"}, "default/secret");
  EXPECT_EQ(got.name, "default/secret");
  EXPECT_EQ(Difference<Secret>(got.bytes, R"(
      name: "default/secret"
      tls_certificate {
        certificate_chain { inline_bytes: "CERTIFICATE" }
        private_key { inline_bytes: "KEY" }
      })"),
            "");
}

TEST(TranslateSecretTest, KeepsBytesAndHashesLongNames) {
  const graph::ServingSecret secret{std::string(63, 'n'), std::string(253, 's'), "\xff\x01", ""};
  const Resource got = TranslateSecret(secret, SecretName(secret));
  EXPECT_EQ(got.name, SecretName(secret));
  Secret message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  EXPECT_EQ(message.name(), got.name);
  EXPECT_EQ(message.tls_certificate().certificate_chain().inline_bytes(), "\xff\x01");
}

}  // namespace
}  // namespace contour::envoy
