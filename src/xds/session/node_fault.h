// SPDX-License-Identifier: Apache-2.0
// Distinguishes a fault of an Envoy's node from a fault of the content. An Envoy sends a NACK for a
// listener as well when its kernel refuses a port, a path or memory as when the content is bad. The
// first says nothing about the content: other Envoys take it.
//
//   if (SpeaksOfNode("ingress_http: cannot bind '0.0.0.0:8080': Address already in use")) …  // true
//   ErrorOf("Error adding/updating listener(s) a: no, b: bad", "b");  // "b: bad"

#pragma once

#include <string>
#include <string_view>

namespace contour::xds {

// True if the error message of a NACK (google.rpc.Status.message) holds the text of a system error
// (errno(3), as glibc and musl word it) or Envoy's text for a missing address family.
bool SpeaksOfNode(std::string_view error_message);

// Returns the part of the error message that begins with the name of the resource and ends before
// the next line, so that two Envoys that reject it in different responses can be compared. Returns
// the whole message if it doesn't name the resource.
std::string ErrorOf(std::string_view error_message, std::string_view resource);

}  // namespace contour::xds
