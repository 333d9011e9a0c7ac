// SPDX-License-Identifier: Apache-2.0

#include "crypto/pem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "crypto/checks.h"
#include "tests/support/certificates.h"

namespace contour::crypto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakePair;
using ::testing::Not;
using testing::Pair;

TEST(Pem, WhatWasWrittenIsReadAgain) {
  const Pair pair = MakePair("a.example");
  const auto certificate = ReadCertificate(pair.certificate);
  const auto key = ReadPrivateKey(pair.key);
  ASSERT_TRUE(certificate.ok() && key.ok());
  EXPECT_TRUE(IsKeyOf(**certificate, **key));
  EXPECT_EQ(*WriteCertificate(**certificate), pair.certificate);
  EXPECT_EQ(*WritePrivateKey(**key), pair.key);
}

TEST(Pem, ReadsAllCertificates) {
  const std::string one = MakePair("a.example").certificate;
  EXPECT_EQ(ReadCertificates(one + "text between\n" + one)->size(), 2U);
  EXPECT_TRUE(absl::IsNotFound(ReadCertificates("garbage").status()));
  const std::string mangled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(std::string(Message(ReadCertificates(one + mangled).status())),
              HasSubstr("certificate 2 is malformed"));
  const absl::Status first = ReadCertificates(mangled).status();
  EXPECT_TRUE(absl::IsInvalidArgument(first));
  EXPECT_THAT(std::string(Message(first)), HasSubstr("certificate 1 is malformed"));
}

TEST(Pem, AnErrorHasNothingOfTheText) {
  EXPECT_THAT(std::string(Message(ReadPrivateKey("secret").status())), Not(HasSubstr("secret")));
  EXPECT_EQ(ERR_peek_error(), 0U) << "an error was left for the next caller";
}

TEST(Pem, VisitsBlocksUntilAnError) {
  const Pair pair = MakePair("a.example");
  std::vector<std::string> types;
  const auto add = [&](std::string_view type, std::string_view der) {
    types.emplace_back(type);
    return der.empty() ? InvalidArgument("empty") : absl::OkStatus();
  };
  EXPECT_TRUE(ForEachPemBlock(pair.certificate + pair.key, add).ok());
  EXPECT_THAT(types, ElementsAre("CERTIFICATE", "PRIVATE KEY"));
  const auto stop = [](std::string_view, std::string_view) { return InvalidArgument("stop"); };
  EXPECT_EQ(Message(ForEachPemBlock(pair.certificate + "garbage", stop)), "stop");
  EXPECT_EQ(Message(ForEachPemBlock("garbage", add)), "failed to parse PEM block");
}

}  // namespace
}  // namespace contour::crypto
