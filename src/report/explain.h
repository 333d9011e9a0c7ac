// SPDX-License-Identifier: Apache-2.0
// Explains the effects of one object, or the state of one host, as JSON: the virtual hosts that
// depend on it, the objects that were read or missing for them, the reasons why a field was
// refused, the resources that come from it, and whether Envoys acked these. Pure; any thread.
// Nothing secret is shown.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "core/view.h"
#include "xds/session/views.h"

namespace contour::report {

// Reads "Kind/namespace/name", "namespace/name" (of any kind) or, for a kind without namespaces,
// "Kind/name". Returns nothing if `text` is none of these.
std::vector<api::ObjectRef> ParseObject(std::string_view text);

// Returns the resources of the hosts, in order: the questions for the Envoys.
std::vector<xds::ResourceQuestion> ResourcesOf(const core::HostView& host);
std::vector<xds::ResourceQuestion> ResourcesOf(const std::vector<core::ObjectView>& objects);

// Return the page. `fates` has the answers to just these questions.
std::string ExplainObjects(const std::vector<core::ObjectView>& objects,
                           const xds::FleetFates& fates);
std::string ExplainHost(const core::HostView& host, const xds::FleetFates& fates);

}  // namespace contour::report
