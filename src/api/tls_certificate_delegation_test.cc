// SPDX-License-Identifier: Apache-2.0

#include "api/tls_certificate_delegation.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;

constexpr char kFull[] = R"({
  "apiVersion": "contour.heptio.com/v1beta1", "kind": "TLSCertificateDelegation",
  "metadata": {"name": "wildcard"},
  "spec": {"delegations": [{"secretName": "cert", "targetNamespaces": ["a", "b"]}, {"targetNamespaces": ["*"]}]}
})";

TEST(TLSCertificateDelegation, ReadsEveryField) {
  EXPECT_THAT(
      ParseAs<TLSCertificateDelegation>(kFull).delegations,
      ElementsAre(CertificateDelegation{"cert", {"a", "b"}}, CertificateDelegation{"", {"*"}}));
}

TEST(TLSCertificateDelegation, Meaning) {
  ExpectMeanings<TLSCertificateDelegation>(
      kFull, {{"cert", "tree"}, {R"("b")", R"("c")"}, {R"("*")", R"("d")"}}, {}, {});
}

TEST(TLSCertificateDelegation, Refuses) {
  const std::string object = "TLSCertificateDelegation default/wildcard: ";
  ExpectRefusals(
      kFull,
      {{{R"("cert")", "1"},
        object + "spec.delegations[0].secretName: expected a string, got an integer"},
       {{R"(["*"])", R"("*")"},
        object + "spec.delegations[1].targetNamespaces: expected a list, got a string"},
       {{R"("b")", "{}"},
        object + "spec.delegations[0].targetNamespaces[1]: expected a string, got an object"}});
}

}  // namespace
}  // namespace contour::api
