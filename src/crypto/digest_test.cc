// SPDX-License-Identifier: Apache-2.0

#include "crypto/digest.h"

#include <gtest/gtest.h>

namespace contour::crypto {
namespace {

// The first two values are the examples of FIPS 180-2.
TEST(Digest, HasTheKnownValues) {
  EXPECT_EQ(HexSHA256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexSHA1("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(HexSHA1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

}  // namespace
}  // namespace contour::crypto
