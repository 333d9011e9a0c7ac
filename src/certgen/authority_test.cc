// SPDX-License-Identifier: Apache-2.0

#include "certgen/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/status.h"
#include "crypto/checks.h"
#include "crypto/openssl.h"
#include "crypto/pem.h"

namespace contour::certgen {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::time_t kNow = 1'800'000'000;
constexpr std::time_t kDay = 24 * 3600;

Terms TermsFor(KeyType type, std::time_t days = 365) {
  return {type, kNow - kDay, kNow + days * kDay};
}

// Returns OpenSSL's text of a certificate.
std::string Print(const std::string& pem) {
  const auto certificate = crypto::ReadCertificate(pem);
  const crypto::BioPtr out(BIO_new(BIO_s_mem()));
  X509_print(out.get(), certificate->get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

class AuthorityTest : public ::testing::TestWithParam<KeyType> {};

TEST_P(AuthorityTest, SignsForServersAndClients) {
  const auto authority = MakeAuthority(TermsFor(GetParam()));
  ASSERT_TRUE(authority.ok()) << Message(authority.status());
  const std::string ca = Print(authority->certificate);
  EXPECT_THAT(ca, HasSubstr("Subject: CN=Project Contour"));
  EXPECT_THAT(ca, HasSubstr("CA:TRUE, pathlen:0"));
  EXPECT_THAT(ca, HasSubstr("Digital Signature, Certificate Sign"));
  EXPECT_THAT(authority->key, StartsWith("-----BEGIN PRIVATE KEY-----\n"));

  const auto contour = Sign(*authority, LeafFor(Role::kContour, "apps"), TermsFor(GetParam()));
  ASSERT_TRUE(contour.ok()) << Message(contour.status());
  const std::string leaf = Print(contour->certificate);
  EXPECT_THAT(leaf, HasSubstr("Issuer: CN=Project Contour"));
  EXPECT_THAT(leaf, HasSubstr("Subject: CN=contour"));
  EXPECT_THAT(leaf, HasSubstr("CA:FALSE"));
  EXPECT_THAT(leaf, HasSubstr("DNS:contour, DNS:contour.apps, DNS:contour.apps.svc, "
                              "DNS:contour.apps.svc.cluster.local"));
  EXPECT_THAT(leaf, HasSubstr("TLS Web Server Authentication, TLS Web Client Authentication"));
  if (GetParam() == KeyType::kRSA) {
    EXPECT_THAT(leaf, HasSubstr("Public-Key: (2048 bit)"));
    EXPECT_THAT(leaf, HasSubstr("sha256WithRSAEncryption"));
    EXPECT_THAT(leaf, HasSubstr("Digital Signature, Key Encipherment"));
  } else {
    EXPECT_THAT(leaf, HasSubstr("NIST CURVE: P-256"));
    EXPECT_THAT(leaf, HasSubstr("ecdsa-with-SHA256"));
    EXPECT_THAT(leaf, Not(HasSubstr("Encipherment")));
  }
  EXPECT_TRUE(CheckSignedBy(authority->certificate, contour->certificate).ok());

  const auto envoy = Sign(*authority, LeafFor(Role::kEnvoy, "apps"), TermsFor(GetParam()));
  ASSERT_TRUE(envoy.ok());
  EXPECT_THAT(Print(envoy->certificate), HasSubstr("DNS:envoy.apps.svc"));
  EXPECT_THAT(Print(envoy->certificate), Not(HasSubstr("Server Authentication")));
}
INSTANTIATE_TEST_SUITE_P(Keys, AuthorityTest, ::testing::Values(KeyType::kECDSA, KeyType::kRSA),
                         [](const auto& param) {
                           return std::string(param.param == KeyType::kRSA ? "RSA" : "ECDSA");
                         });

TEST(Authority, Times) {
  const auto authority = MakeAuthority(TermsFor(KeyType::kECDSA, 10));
  const auto leaf = Sign(*authority, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA, 5));
  const auto validity = ReadValidity(leaf->certificate);
  ASSERT_TRUE(validity.ok());
  EXPECT_EQ(validity->not_before, kNow - kDay);
  EXPECT_EQ(validity->not_after, kNow + 5 * kDay);
  const auto longer = Sign(*authority, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA, 20));
  EXPECT_EQ(ReadValidity(longer->certificate)->not_after, kNow + 10 * kDay) << "as its CA";
}

TEST(Authority, NoTwoSerialsAreEqual) {
  const auto authority = MakeAuthority(TermsFor(KeyType::kECDSA));
  const auto serial = [](const std::string& pem) {
    const std::string text = Print(pem);
    const std::size_t start = text.find("Serial Number:");
    return text.substr(start, text.find("Signature", start) - start);
  };
  const auto one = Sign(*authority, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA));
  const auto two = Sign(*authority, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA));
  EXPECT_NE(serial(one->certificate), serial(two->certificate));
  EXPECT_NE(one->key, two->key);
}

TEST(Authority, ReportsAnotherCA) {
  const auto one = MakeAuthority(TermsFor(KeyType::kECDSA));
  const auto two = MakeAuthority(TermsFor(KeyType::kECDSA));
  const auto leaf = Sign(*one, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA));
  EXPECT_FALSE(CheckSignedBy(two->certificate, leaf->certificate).ok());
  const auto mixed =
      Sign({one->certificate, two->key}, LeafFor(Role::kEnvoy, "a"), TermsFor(KeyType::kECDSA));
  EXPECT_EQ(Message(mixed.status()), "the CA's key does not belong to its certificate");
}

TEST(Authority, RefusesTextThatIsNoPemWithoutShowingIt) {
  EXPECT_THAT(std::string(Message(ReadValidity("secret").status())),
              HasSubstr("no certificate in PEM"));
  const auto authority = MakeAuthority(TermsFor(KeyType::kECDSA));
  const auto leaf = Sign({authority->certificate, "secret"}, LeafFor(Role::kEnvoy, "a"),
                         TermsFor(KeyType::kECDSA));
  EXPECT_THAT(std::string(Message(leaf.status())), HasSubstr("no private key in PEM"));
  EXPECT_THAT(std::string(Message(leaf.status())), Not(HasSubstr("secret")));
}

// Returns a pair that `Sign` made, with an authority of its own.
KeyPair NewPair() {
  const auto authority = MakeAuthority(TermsFor(KeyType::kECDSA));
  return *Sign(*authority, LeafFor(Role::kContour, "a"), TermsFor(KeyType::kECDSA));
}

TEST(Authority, WhatItSignsCanBeServed) {
  const auto authority = MakeAuthority(TermsFor(KeyType::kRSA));
  const auto leaf = Sign(*authority, LeafFor(Role::kContour, "a"), TermsFor(KeyType::kRSA));
  const crypto::PairProblem problem =
      crypto::CheckPair(leaf->certificate + authority->certificate, leaf->key);
  EXPECT_EQ(problem.certificate, absl::OkStatus());
  EXPECT_EQ(problem.key, absl::OkStatus());
}

TEST(Authority, ACertificateHasTheNamesThatItWasMadeFor) {
  const KeyPair pair = NewPair();
  EXPECT_TRUE(crypto::HasDNSName(pair.certificate, "contour"));
  EXPECT_FALSE(crypto::HasDNSName(pair.certificate, "envoy"));
}

TEST(Authority, ATimeToRenew) {
  const Validity validity = {0, 300};
  EXPECT_FALSE(NearsItsEnd(validity, 0));
  EXPECT_FALSE(NearsItsEnd(validity, 200));
  EXPECT_TRUE(NearsItsEnd(validity, 201));
  EXPECT_TRUE(NearsItsEnd(validity, 1000));
}

TEST(Authority, TimeText) { EXPECT_EQ(TimeText(kNow), "2027-01-15T08:00:00Z"); }

}  // namespace
}  // namespace contour::certgen
