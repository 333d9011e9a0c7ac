// SPDX-License-Identifier: Apache-2.0

#include "certgen/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace contour::certgen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::time_t kDay = 24 * 3600;
constexpr std::time_t kNow = 1'800'000'000;

Lifetimes At(std::time_t now, std::time_t ca_days = 3650) {
  return {now, 365 * kDay, ca_days * kDay};
}
Bundle Make(bool keep_ca_key, std::time_t ca_days = 3650) {
  auto bundle = MakeBundle(KeyType::kECDSA, "apps", At(kNow, ca_days), keep_ca_key);
  EXPECT_TRUE(bundle.ok()) << Message(bundle.status());
  return *bundle;
}

std::vector<std::string> Names(const Bundle& bundle) {
  std::vector<std::string> names;
  for (const Secret& secret : ToSecrets(bundle)) names.push_back(secret.name + " " + secret.type);
  return names;
}

TEST(Bundle, Secrets) {
  EXPECT_THAT(Names(Make(false)), ElementsAre("cacert Opaque", "contourcert kubernetes.io/tls",
                                              "envoycert kubernetes.io/tls"));
  const Bundle bundle = Make(true);
  EXPECT_THAT(Names(bundle), ElementsAre("cacert Opaque", "contourcert kubernetes.io/tls",
                                         "envoycert kubernetes.io/tls", "cakey Opaque"));
  const auto back = FromSecrets(ToSecrets(bundle));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->ca_certificate, bundle.ca_certificate);
  EXPECT_EQ(back->ca_key, bundle.ca_key);
  EXPECT_EQ(back->contour->certificate, bundle.contour->certificate);
  EXPECT_EQ(back->envoy->key, bundle.envoy->key);
  EXPECT_EQ(Message(FromSecrets({{"contourcert", "Opaque", {{"tls.crt", "x"}}}}).status()),
            "secret/contourcert: has no tls.key");
}

TEST(Bundle, TheCAIsReadUnderTheNameOfCertManagerToo) {
  std::vector<Secret> secrets = ToSecrets(Make(false));
  const std::string ca = secrets[0].data.at("cacert.pem");
  secrets[0].data = {{"ca.crt", ca}, {"tls.crt", "a leaf"}, {"tls.key", "and its key"}};
  EXPECT_EQ(FromSecrets(secrets)->ca_certificate, ca);
  secrets[0].data = {{"ca.crt", "another"}, {"cacert.pem", ca}};
  EXPECT_EQ(FromSecrets(secrets)->ca_certificate, ca) << "cacert.pem counts first";
  secrets[0].data = {{"tls.crt", "a leaf"}};
  EXPECT_EQ(Message(FromSecrets(secrets).status()),
            "secret/cacert: has neither cacert.pem nor ca.crt");
  EXPECT_EQ(FromPemFiles({{"ca.crt", ca}}).ca_certificate, ca);
  EXPECT_EQ(FromPemFiles({{"ca.crt", "another"}, {"cacert.pem", ca}}).ca_certificate, ca);
}

TEST(Bundle, PemFiles) {
  const Bundle bundle = Make(true);
  std::map<std::string, std::string> files;
  for (const PemFile& file : ToPemFiles(bundle)) {
    EXPECT_EQ(file.secret, file.content.find("PRIVATE KEY") != std::string::npos) << file.name;
    files[file.name] = file.content;
  }
  std::vector<std::string> names;
  for (const auto& [name, content] : files) names.push_back(name);
  EXPECT_THAT(names, testing::UnorderedElementsAreArray(PemFileNames()));
  EXPECT_EQ(FromPemFiles(files).envoy->certificate, bundle.envoy->certificate);
  EXPECT_EQ(FromPemFiles(files).ca_key, bundle.ca_key);
  files.erase("envoykey.pem");
  EXPECT_FALSE(FromPemFiles(files).envoy.has_value());
}

TEST(Bundle, Manifest) {
  EXPECT_EQ(
      SecretYAML({"cacert", "Opaque", {{"cacert.pem", "text"}}}, "apps"),
      "apiVersion: v1\nkind: Secret\nmetadata:\n  name: cacert\n  namespace: apps\n  labels:\n"
      "    app: contour\ntype: Opaque\ndata:\n  cacert.pem: dGV4dA==\n");
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("a"), "YQ==");
  EXPECT_EQ(Base64("abc"), "YWJj");
}

TEST(Renew, NothingWhileTheyLast) {
  const auto renewed = Renew(Make(false), KeyType::kECDSA, "apps", At(kNow + 240 * kDay));
  ASSERT_TRUE(renewed.ok()) << Message(renewed.status());
  EXPECT_THAT(Names(*renewed), ElementsAre());
}

TEST(Renew, UnderTheSameCA) {
  const Bundle bundle = Make(true);
  const auto renewed = Renew(bundle, KeyType::kECDSA, "apps", At(kNow + 250 * kDay));
  ASSERT_TRUE(renewed.ok()) << Message(renewed.status());
  EXPECT_THAT(Names(*renewed),
              ElementsAre("contourcert kubernetes.io/tls", "envoycert kubernetes.io/tls"));
  EXPECT_TRUE(CheckSignedBy(*bundle.ca_certificate, renewed->contour->certificate).ok());
  EXPECT_NE(renewed->contour->key, bundle.contour->key);
  EXPECT_EQ(ReadValidity(renewed->envoy->certificate)->not_after, kNow + (250 + 365) * kDay);
}

TEST(Renew, OnlyTheOneThatIsDue) {
  Bundle bundle = Make(true);
  bundle.envoy = Renew(bundle, KeyType::kECDSA, "apps", At(kNow + 250 * kDay))->envoy;
  const auto renewed = Renew(bundle, KeyType::kECDSA, "apps", At(kNow + 250 * kDay));
  ASSERT_TRUE(renewed.ok());
  EXPECT_THAT(Names(*renewed), ElementsAre("contourcert kubernetes.io/tls"));
}

TEST(Renew, Errors) {
  const std::time_t due = kNow + 300 * kDay;
  Bundle bundle = Make(false);
  EXPECT_THAT(
      std::string(Message(Renew(bundle, KeyType::kECDSA, "a", At(due)).status())),
      HasSubstr("contourcert: ends on 2028-01-15T08:00:00Z, and the CA's key was not kept"));
  bundle.envoy.reset();
  EXPECT_EQ(Message(Renew(bundle, KeyType::kECDSA, "a", At(kNow)).status()),
            "envoycert: missing beside the others");
  bundle = Make(true);
  bundle.ca_certificate = Make(true).ca_certificate;
  EXPECT_EQ(Message(Renew(bundle, KeyType::kECDSA, "a", At(kNow)).status()),
            "contourcert: the certificate is not signed by that CA");
  bundle = Make(true);
  bundle.ca_key = Make(true).ca_key;  // of a CA before
  EXPECT_THAT(std::string(Message(Renew(bundle, KeyType::kECDSA, "a", At(kNow)).status())),
              HasSubstr("cakey: is not the key of cacert"))
      << "said before the key is needed";
  bundle = Make(true, 365);
  EXPECT_THAT(std::string(Message(Renew(bundle, KeyType::kECDSA, "a", At(due)).status())),
              HasSubstr("with its CA, so all must be made anew"));
}

}  // namespace
}  // namespace contour::certgen
