// SPDX-License-Identifier: Apache-2.0
// Describes a resource that Envoys NACK to the authors of the objects that it comes from.

#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "status/envoy_rejections.h"
#include "xds/session/views.h"

namespace contour::serve {

// Returns a text for the resource: "filter chain a.example.com of LDS ingress_https".
std::string ResourceText(const xds::ResourceKey& item);

using FindSources = std::function<std::optional<std::vector<status::SourceObject>>(
    const xds::ResourceKey& item, std::size_t most)>;

// `ended`: the content is sent to Envoys again.
status::EnvoyRejection RejectionOf(const xds::QuarantineView& view, bool ended,
                                   FindSources find_sources);

}  // namespace contour::serve
