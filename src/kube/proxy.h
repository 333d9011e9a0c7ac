// SPDX-License-Identifier: Apache-2.0
// Chooses the proxy to an API server from the environment, by the rules of Go's net/http, which
// kubectl and controllers written in Go follow.
//
// HTTPS_PROXY counts for https, HTTP_PROXY for http; in capitals before small letters. A proxy
// without a scheme is an HTTP proxy. localhost and loopback addresses are never reached through a
// proxy. NO_PROXY is a list of exceptions, separated by commas: `*` (every server), an address, a
// range (10.0.0.0/8), a name (with the names below it) or `.name` and `*.name` (only those below
// it), each but a range with an optional port. ALL_PROXY, which curl knows, doesn't count.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kube/environment.h"

namespace contour::kube {

// Returns the address of the proxy to `server` (a URL with a scheme), or an empty text for none.
// Error kInvalidArgument: the variable that counts holds no address of a proxy.
absl::StatusOr<std::string> EnvironmentProxy(const std::string& server,
                                             const Environment& environment);

// True if a proxy of this scheme can be used.
bool IsProxyScheme(std::string_view scheme);

}  // namespace contour::kube
