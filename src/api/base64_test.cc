// SPDX-License-Identifier: Apache-2.0

#include "api/base64.h"

#include <gtest/gtest.h>

namespace contour::api {
namespace {

using std::string_literals::operator""s;

TEST(DecodeBase64, Decodes) {
  // RFC 4648 §10, then line ends and all byte values.
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(DecodeBase64("Zg=="), "f");
  EXPECT_EQ(DecodeBase64("Zm8="), "fo");
  EXPECT_EQ(DecodeBase64("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64("Zm9vYg=="), "foob");
  EXPECT_EQ(DecodeBase64("Zm9vYmE="), "fooba");
  EXPECT_EQ(DecodeBase64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(DecodeBase64("Zm9v\nYm\r\nE=\n"), "fooba");
  EXPECT_EQ(DecodeBase64("AP/+"), "\x00\xff\xfe"s);
}

TEST(DecodeBase64, Refuses) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zg==Zg==", "Zg=g",
                           "Zm9 v", "Zm9-", "Zm9_", "Zm9v!", "Zm\x80v", "Zg==\nZ"}) {
    EXPECT_EQ(DecodeBase64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace contour::api
