// SPDX-License-Identifier: Apache-2.0

#include "graph/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "base/status.h"
#include "tests/support/certificates.h"

namespace contour::graph {
namespace {

using ::testing::HasSubstr;
using testing::MakePair;
using testing::Pair;

std::string ErrorOf(const std::string& chain, const std::string& key) {
  return std::string(Message(CheckServingPair(chain, key).status()));
}

TEST(CheckServingPair, AcceptsWhatBelongsTogether) {
  const Pair leaf = MakePair("a.example");
  const Pair issuer = MakePair("ca.example");
  EXPECT_EQ(ErrorOf(leaf.certificate, leaf.key), "");
  EXPECT_EQ(ErrorOf(leaf.certificate + issuer.certificate, leaf.key), "");
  EXPECT_EQ(ErrorOf("leading text\n" + leaf.certificate, leaf.key + "\n"), "");
}

TEST(CheckServingPair, ServesAnExpiredCertificate) {
  const Pair expired = MakePair("old.example", -1);
  EXPECT_EQ(ErrorOf(expired.certificate, expired.key), "");
}

TEST(CheckServingPair, NamesWhatIsWrong) {
  const Pair pair = MakePair("a.example");
  const Pair other = MakePair("b.example");
  EXPECT_EQ(ErrorOf("", pair.key), "failed to parse PEM block");
  EXPECT_EQ(ErrorOf("garbage", pair.key), "failed to parse PEM block");
  EXPECT_EQ(ErrorOf(pair.key, pair.key), "unexpected block type in certificate: PRIVATE KEY");
  EXPECT_EQ(ErrorOf(pair.certificate, pair.certificate),
            "unexpected block type in private key: CERTIFICATE");
  EXPECT_EQ(ErrorOf(pair.certificate, pair.key + other.key), "multiple private keys");
  EXPECT_EQ(ErrorOf(pair.certificate, other.key), "private key does not belong to the certificate");
  const std::string empty_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  EXPECT_EQ(ErrorOf(pair.certificate, empty_key), "private key does not parse");
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  EXPECT_EQ(ErrorOf(pair.certificate, parameters), "failed to locate private key");
  EXPECT_EQ(ErrorOf(pair.certificate, parameters + pair.key), "");
  const std::string empty_certificate =
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(ErrorOf(pair.certificate + empty_certificate, pair.key),
            "certificate 2 of the chain does not parse");
}

TEST(CheckServingPair, GivesTheExpiryOfTheLeaf) {
  const Pair leaf = MakePair("a.example", 10);
  const Pair issuer = MakePair("ca.example", 5);
  const absl::StatusOr<std::int64_t> expiry =
      CheckServingPair(leaf.certificate + issuer.certificate, leaf.key);
  ASSERT_TRUE(expiry.ok());
  EXPECT_NEAR(static_cast<double>(*expiry - std::time(nullptr)), 10 * 86400.0, 100);
}

// Each was tried against Envoy 1.40.
TEST(CheckServingPair, RefusesKeysThatEnvoyRefuses) {
  const Pair small = testing::MakeRSAPair("small.example", 1024);
  EXPECT_THAT(ErrorOf(small.certificate, small.key), HasSubstr("1024 bits"));
  const Pair good = testing::MakeRSAPair("good.example", 2048);
  EXPECT_EQ(ErrorOf(good.certificate, good.key), "");
  for (const char* curve : {"P-256", "P-384", "P-521"}) {
    const Pair pair = testing::MakeECDSAPair("good.example", curve);
    EXPECT_EQ(ErrorOf(pair.certificate, pair.key), "") << curve;
  }
  for (const char* curve : {"P-224", "secp256k1"}) {
    const Pair pair = testing::MakeECDSAPair("bad.example", curve);
    EXPECT_THAT(ErrorOf(pair.certificate, pair.key), HasSubstr("curve")) << curve;
  }
  const Pair spelt_out = testing::MakeECDSAPair("bad.example", "P-256", true);
  EXPECT_THAT(ErrorOf(spelt_out.certificate, spelt_out.key), HasSubstr("curve"));
  const Pair edwards = testing::MakeEd25519Pair("good.example");
  EXPECT_EQ(ErrorOf(edwards.certificate, edwards.key), "");
}

TEST(CheckTrustedCertificates, WantsAtLeastOne) {
  const Pair pair = MakePair("ca.example");
  EXPECT_TRUE(CheckTrustedCertificates(pair.certificate).ok());
  EXPECT_TRUE(CheckTrustedCertificates(pair.certificate + pair.certificate).ok());
  EXPECT_FALSE(CheckTrustedCertificates("").ok());
  EXPECT_FALSE(CheckTrustedCertificates(pair.key).ok());
}

}  // namespace
}  // namespace contour::graph
