// SPDX-License-Identifier: Apache-2.0
// Checks of texts by what Envoy takes.

#pragma once

#include <string_view>

namespace contour::graph {

// True if Envoy takes this text as a header value, or as part of one: no NUL, CR or LF.
bool IsHeaderValue(std::string_view text);

// True if a host of this name can be served: labels of lower-case letters, digits, - and _, at most
// 63 bytes each and 253 in all. Anything else could never be asked for, or would clash with what
// Envoy makes of other names (".foo.com" and "*.foo.com" are one to it), and Envoy would refuse all
// hosts.
bool IsHostName(std::string_view host);

}  // namespace contour::graph
