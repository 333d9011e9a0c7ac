// SPDX-License-Identifier: Apache-2.0

#include "api/secret.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kFull[] = R"({
  "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert"}, "type": "kubernetes.io/tls",
  "data": {"tls.crt": "Y2VydA==", "tls.key": "a2V5", "ca.crt": "Y2E=", "crl.pem": "Y3Js", "token": "!bad!"}
})";

TEST(Secret, ReadsTheFourKeys) {
  const Secret secret = ParseAs<Secret>(kFull);
  EXPECT_EQ(secret.type, "kubernetes.io/tls");
  EXPECT_EQ(secret.tls_crt, "cert");
  EXPECT_EQ(secret.tls_key, "key");
  EXPECT_EQ(secret.ca_crt, "ca");
  EXPECT_EQ(secret.crl_pem, "crl");
}

TEST(Secret, StringDataWins) {
  const Secret secret =
      ParseAs<Secret>(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},
      "data":{"ca.crt":"Y2E=","tls.key":"a2V5"},"stringData":{"ca.crt":"plain","crl.pem":null}})");
  EXPECT_EQ(secret.ca_crt, "plain");
  EXPECT_EQ(secret.tls_key, "key");
  EXPECT_EQ(secret.crl_pem, "");
}

TEST(Secret, TypesOfNoUseKeepNothing) {
  for (const char* type : {"helm.sh/release.v1", "kubernetes.io/service-account-token"}) {
    const Secret secret = ParseAs<Secret>(Edited(kFull, {"kubernetes.io/tls", type}));
    EXPECT_EQ(secret.type, type);
    EXPECT_EQ(secret.tls_crt + secret.tls_key + secret.ca_crt + secret.crl_pem, "");
    EXPECT_FALSE(IsUsable(secret)) << type;
  }
}

TEST(Secret, Usable) {
  const auto usable = [](const char* type, const char* data) {
    return IsUsable(ParseAs<Secret>(
        std::string(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"type":")") +
        type + R"(","data":)" + data + "}"));
  };
  EXPECT_TRUE(usable("kubernetes.io/tls", "{}"));
  EXPECT_TRUE(usable("Opaque", R"({"ca.crt":"Y2E="})"));
  EXPECT_TRUE(usable("", R"({"crl.pem":"Y2E="})"));
  EXPECT_FALSE(usable("Opaque", R"({"tls.crt":"Y2E=","tls.key":"Y2E="})"));
  EXPECT_FALSE(usable("Opaque", R"({"ca.crt":""})"));
  EXPECT_FALSE(usable("Opaque", "null"));
}

TEST(Secret, Meaning) {
  ExpectMeanings<Secret>(kFull,
                         {{"kubernetes.io/tls", "Opaque"},
                          {"Y2VydA==", "Y2VydQ=="},
                          {"a2V5", "a2V6"},
                          {R"("Y2E=")", R"("Y2M=")"},
                          {"Y3Js", "Y3Jt"}},
                         {}, {{"!bad!", "!worse!"}});
}

TEST(Secret, RefusesWithoutShowingData) {
  ExpectRefusals(kFull,
                 {{{"a2V5", "a2V5!"}, "Secret default/cert: data[\"tls.key\"]: expected base64"},
                  {{R"("a2V5")", "12345"},
                   "Secret default/cert: data[\"tls.key\"]: expected a string, got an integer"},
                  {{R"("kubernetes.io/tls")", "{}"},
                   "Secret default/cert: type: expected a string, got an object"}});
  EXPECT_THAT(ErrorOf(Edited(kFull, {"a2V5", "c2VjcmV0!"})), Not(HasSubstr("c2VjcmV0")));
}

}  // namespace
}  // namespace contour::api
