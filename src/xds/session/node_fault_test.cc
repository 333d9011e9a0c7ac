// SPDX-License-Identifier: Apache-2.0
#include "xds/session/node_fault.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

namespace contour::xds {
namespace {

TEST(NodeFault, TheTextOfASystemErrorSpeaksOfTheNode) {
  for (const int error :
       {EADDRINUSE, EACCES,  EPERM,  EADDRNOTAVAIL,   EAFNOSUPPORT, ENOMEM,  EMFILE,
        ENFILE,     ENOSPC,  EROFS,  ENOENT,          EISDIR,       ENOTDIR, EIO,
        EDQUOT,     ENOBUFS, EAGAIN, EPROTONOSUPPORT, EOPNOTSUPP,   ENODEV,  ENETUNREACH})
    EXPECT_TRUE(SpeaksOfNode(std::string("ingress_http: failed: ") + std::strerror(error)))
        << error;
  EXPECT_TRUE(
      SpeaksOfNode("Error adding/updating listener(s) ingress_http: cannot bind "
                   "'0.0.0.0:8080': Address already in use\n"));
  EXPECT_TRUE(SpeaksOfNode("IPv6 addresses are not supported on this machine: ::"));
  EXPECT_TRUE(SpeaksOfNode("listener(s) ingress_http: malformed IP address: ::\n")) << "no IPv6";
  EXPECT_TRUE(SpeaksOfNode("malformed IP address: fd00::1")) << "no IPv6";
}

TEST(NodeFault, AnErrorOfTheContentDoesNot) {
  for (const char* const error :
       {"", "no argument for repetition operator: *", "Duplicate entry of domain a.test",
        "Proto constraint validation failed (ClusterValidationError.Name: value length must be at "
        "least 1)",
        "Failed to load certificate chain from <inline>", "malformed IP address: foo",
        "malformed IP address: 1.2.3.4.5",
        "Didn't find a registered implementation for name: 'envoy.filters.network.tcp_proxy'"})
    EXPECT_FALSE(SpeaksOfNode(error)) << error;
}

TEST(NodeFault, TheErrorOfOneResourceAmongOthers) {
  const char* const words = "Error adding/updating listener(s) a: one\nab: two\nb: three";
  EXPECT_EQ(ErrorOf(words, "a"), "a: one");
  EXPECT_EQ(ErrorOf(words, "ab"), "ab: two");
  EXPECT_EQ(ErrorOf(words, "b"), "b: three");
  EXPECT_EQ(ErrorOf(words, "c"), words) << "not named: all of it";
}

}  // namespace
}  // namespace contour::xds
