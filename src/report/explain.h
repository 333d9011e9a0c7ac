// SPDX-License-Identifier: Apache-2.0
// The way of one object, or one host, as JSON: which virtual hosts it reached, what was read and
// missed for them, why something was refused, which resources came out, and what the Envoys made of
// these. Pure, any thread; nothing secret in it.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "core/view.h"
#include "xds/session/views.h"

namespace contour::report {

// "Kind/namespace/name", "namespace/name" (of any kind) or, for what has no namespace, "Kind/name".
// Empty: it is none of these.
std::vector<api::ObjectRef> ParseObject(std::string_view text);

// The resources of the hosts, one after the other: what is to be asked of the Envoys.
std::vector<xds::ResourceQuestion> ResourcesOf(const core::HostView& host);
std::vector<xds::ResourceQuestion> ResourcesOf(const std::vector<core::ObjectView>& objects);

// `fates`: the answer to just these.
std::string ExplainObjects(const std::vector<core::ObjectView>& objects,
                           const xds::FleetFates& fates);
std::string ExplainHost(const core::HostView& host, const xds::FleetFates& fates);

}  // namespace contour::report
