// SPDX-License-Identifier: Apache-2.0

#include "graph/model/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <functional>
#include <memory>
#include <vector>

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

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const auto length = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(length));
  BIO_free(bio);
  return text;
}

// Returns the certificate of the pair after a change, signed again.
std::string Changed(const Pair& pair, const std::function<void(X509*)>& change) {
  BIO* bio = BIO_new_mem_buf(pair.certificate.data(), static_cast<int>(pair.certificate.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  change(certificate);
  X509_sign(certificate, key, EVP_sha256());
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return TextOf(bio);
}

void RemoveExtensions(X509* certificate) {
  while (X509_get_ext_count(certificate) > 0) X509_EXTENSION_free(X509_delete_ext(certificate, 0));
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void SetSubject(X509* certificate, const char* field, const char* value) {
  X509_NAME* name = X509_NAME_new();
  if (field != nullptr) {
    X509_NAME_add_entry_by_txt(name, field, V_ASN1_UTF8STRING,
                               reinterpret_cast<const unsigned char*>(value), -1, -1, 0);
  }
  X509_set_subject_name(certificate, name);
  X509_NAME_free(name);
}

struct FormCase {
  const char* name;
  std::function<void(X509*)> change;
  const char* error;               // "": taken
  bool of_any_certificate = true;  // else of the leaf only
};

// Each was tried against Envoy 1.40 (tests/e2e/test_refusals.py has these and more).
TEST(CheckServingPair, TakesTheFormsThatEnvoyTakes) {
  const auto not_before = [](const char* text, int type) {
    return [=](X509* certificate) {
      ASN1_TIME* time = ASN1_STRING_type_new(type);
      ASN1_STRING_set(time, text, -1);
      X509_set1_notBefore(certificate, time);
      ASN1_STRING_free(time);
    };
  };
  const auto extension = [](int nid, const char* value) {
    return [=](X509* certificate) { AddExtension(certificate, nid, value); };
  };
  const auto nameless = [](const char* names) {
    return [=](X509* certificate) {
      RemoveExtensions(certificate);
      if (names != nullptr) AddExtension(certificate, NID_subject_alt_name, names);
      SetSubject(certificate, nullptr, nullptr);
    };
  };
  const std::vector<FormCase> cases = {
      {"version 4", [](X509* c) { X509_set_version(c, 3); }, "has version 4"},
      {"version 1 with extensions", [](X509* c) { X509_set_version(c, 0); }, "has extensions"},
      {"version 1",
       [](X509* c) {
         RemoveExtensions(c);
         X509_set_version(c, 0);
       },
       ""},
      {"month 13", not_before("251301000000Z", V_ASN1_UTCTIME), "time of validity"},
      {"no seconds", not_before("2501010000Z", V_ASN1_UTCTIME), "time of validity"},
      {"fractions", not_before("20250101000000.5Z", V_ASN1_GENERALIZEDTIME), "time of validity"},
      {"a zone", not_before("250101000000+0100", V_ASN1_UTCTIME), ""},
      {"a long year", not_before("20250101000000Z", V_ASN1_GENERALIZEDTIME), ""},
      {"signs", extension(NID_key_usage, "critical,digitalSignature"), "", false},
      {"agrees only", extension(NID_key_usage, "critical,keyAgreement"), "keyUsage", false},
      {"is an authority", extension(NID_key_usage, "keyCertSign,cRLSign"), "keyUsage", false},
      {"must staple", extension(NID_tlsfeature, "status_request"), "must-staple", false},
      {"must staple all", extension(NID_tlsfeature, "status_request_v2"), "", false},
      {"no name", nameless(nullptr), "names nobody", false},
      {"a mail address", nameless("email:a@b.example"), "names nobody", false},
      {"a DNS name", nameless("DNS:a.example"), "", false},
      {"an address", nameless("IP:192.0.2.1"), "", false},
      {"a URI", nameless("URI:spiffe://a/b"), "", false},
      {"empty common name", [](X509* c) { SetSubject(c, "CN", ""); }, "empty common name", false},
      {"an organization", [](X509* c) { SetSubject(c, "O", "acme"); }, "", false},
  };
  const Pair leaf = MakePair("a.example");
  for (const FormCase& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string changed = Changed(leaf, c.change);
    const std::string as_leaf = ErrorOf(changed, leaf.key);
    EXPECT_THAT(as_leaf, HasSubstr(c.error));
    EXPECT_EQ(as_leaf.empty(), *c.error == '\0') << as_leaf;
    const std::string in_a_chain = ErrorOf(leaf.certificate + changed, leaf.key);
    const std::string trusted(Message(CheckTrustedCertificates(changed)));
    if (c.of_any_certificate && *c.error != '\0') {
      EXPECT_THAT(in_a_chain, HasSubstr(std::string("certificate 2 of the chain ")));
      EXPECT_THAT(trusted, HasSubstr(c.error));
    } else {
      EXPECT_EQ(in_a_chain, "");
      EXPECT_EQ(trusted, "");
    }
  }
}

TEST(CheckServingPair, TakesThePEMThatEnvoyTakes) {
  const Pair leaf = MakePair("a.example");
  const auto with_header = [](std::string pem) {
    return pem.insert(pem.find('\n') + 1, "Comment: mine\n\n");
  };
  EXPECT_THAT(ErrorOf(with_header(leaf.certificate), leaf.key), HasSubstr("has headers"));
  EXPECT_THAT(ErrorOf(leaf.certificate, with_header(leaf.key)), HasSubstr("has headers"));
  EXPECT_THAT(ErrorOf("\xef\xbb\xbf" + leaf.certificate, leaf.key), HasSubstr("byte order mark"));
  EXPECT_THAT(ErrorOf(leaf.certificate, "\xef\xbb\xbf" + leaf.key), HasSubstr("byte order mark"));
  // Only the label of ECDSA is believed, whatever follows.
  const auto labelled = [](std::string pem, const std::string& label) {
    for (std::size_t at = 0; (at = pem.find("PRIVATE KEY", at)) != std::string::npos;
         at += label.size()) {
      pem.replace(at, 11, label);
    }
    return pem;
  };
  EXPECT_EQ(ErrorOf(leaf.certificate, labelled(leaf.key, "RSA PRIVATE KEY")),
            "private key does not parse");
  EXPECT_EQ(ErrorOf(leaf.certificate, labelled(leaf.key, "EC PRIVATE KEY")), "");
}

struct NumberCase {
  const char* name;
  const char* number;
  std::function<void(BIGNUM*)> change;
};

// OpenSSL reads such keys, but Envoy's BoringSSL doesn't take them.
TEST(CheckServingPair, WantsTheNumbersOfAnRSAKeyToBelongTogether) {
  const Pair pair = testing::MakeRSAPair("a.example", 2048);
  BIO* bio = BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()));
  EVP_PKEY* good = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  const auto add_2 = [](BIGNUM* number) { BN_add_word(number, 2); };
  const std::vector<NumberCase> cases = {
      {"nothing changed", "", [](BIGNUM*) {}},
      {"private exponent", OSSL_PKEY_PARAM_RSA_D, add_2},
      {"first prime", OSSL_PKEY_PARAM_RSA_FACTOR1, add_2},
      {"second prime", OSSL_PKEY_PARAM_RSA_FACTOR2, add_2},
      {"first exponent", OSSL_PKEY_PARAM_RSA_EXPONENT1, add_2},
      {"second exponent", OSSL_PKEY_PARAM_RSA_EXPONENT2, add_2},
      {"coefficient", OSSL_PKEY_PARAM_RSA_COEFFICIENT1, add_2},
      {"no coefficient", OSSL_PKEY_PARAM_RSA_COEFFICIENT1, [](BIGNUM* number) { BN_zero(number); }},
  };
  for (const NumberCase& c : cases) {
    SCOPED_TRACE(c.name);
    OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
    std::vector<BIGNUM*> numbers;
    for (const char* name :
         {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
          OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1,
          OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1}) {
      BIGNUM* number = nullptr;
      ASSERT_EQ(EVP_PKEY_get_bn_param(good, name, &number), 1);
      if (std::string_view(name) == c.number) c.change(number);
      OSSL_PARAM_BLD_push_BN(builder, name, number);
      numbers.push_back(number);
    }
    OSSL_PARAM* parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
    EVP_PKEY* key = nullptr;
    EVP_PKEY_fromdata_init(context);
    ASSERT_EQ(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters), 1);
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    EXPECT_EQ(ErrorOf(pair.certificate, TextOf(out)),
              *c.number == '\0' ? "" : "the numbers of the RSA key do not belong together");
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    for (BIGNUM* number : numbers) BN_free(number);
  }
  EVP_PKEY_free(good);
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
