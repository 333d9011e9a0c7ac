// SPDX-License-Identifier: Apache-2.0

#include "crypto/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "tests/support/certificates.h"

namespace contour::crypto {
namespace {

using ::testing::HasSubstr;
using testing::MakePair;
using testing::Pair;

TEST(CheckPair, TakesAChainAndTheKeyOfItsLeaf) {
  const Pair leaf = testing::MakeRSAPair("a.example", 2048);
  const PairProblem problem = CheckPair(leaf.certificate + MakePair("ca").certificate, leaf.key);
  EXPECT_EQ(problem.certificate, absl::OkStatus());
  EXPECT_EQ(problem.key, absl::OkStatus());
}

TEST(CheckPair, SaysWhichHalfIsWrong) {
  const Pair pair = MakePair("a.example");
  const Pair other = MakePair("b.example");
  const std::string half = pair.certificate.substr(0, pair.certificate.size() / 2);
  const std::string mangled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  for (const std::string& bad : {std::string(), std::string("garbage"), half, mangled, pair.key,
                                 pair.certificate + mangled}) {
    EXPECT_FALSE(CheckPair(bad, pair.key).certificate.ok()) << bad;
    EXPECT_FALSE(CheckCertificates(bad).ok()) << bad;
  }
  EXPECT_EQ(Message(CheckPair(pair.certificate, other.key).key),
            "does not belong to the certificate");
  for (const std::string& bad : {std::string(), std::string("garbage"), pair.certificate}) {
    const PairProblem problem = CheckPair(pair.certificate, bad);
    EXPECT_TRUE(problem.certificate.ok());
    EXPECT_THAT(std::string(Message(problem.key)), HasSubstr("no private key in PEM")) << bad;
  }
  EXPECT_TRUE(CheckCertificates(pair.certificate + other.certificate).ok());
}

TEST(HasDNSName, ComparesWithTheFirstCertificate) {
  const std::string pem = MakePair("a.example").certificate;
  EXPECT_TRUE(HasDNSName(pem, "a.example"));
  EXPECT_FALSE(HasDNSName(pem, "b.example"));
  EXPECT_FALSE(HasDNSName(pem + MakePair("b.example").certificate, "b.example"));
  EXPECT_FALSE(HasDNSName("garbage", "a.example"));
}

}  // namespace
}  // namespace contour::crypto
