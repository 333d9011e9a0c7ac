// SPDX-License-Identifier: Apache-2.0
// What the Envoys have, as JSON: per Envoy and type how many resources were sent, acknowledged,
// refused and held back, and those that are not simply acknowledged, one by one. Pure, any thread.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "xds/ledger.h"

namespace contour::admin {

struct XdsFilter {
  std::optional<std::string> node;      // only Envoys of this node id
  std::optional<std::string> type;      // only this type: CDS, EDS, LDS, RDS, SDS
  std::optional<std::string> resource;  // only resources of this name, whatever their state
  bool all = false;                     // every resource, not only those that stand out
};

// `quarantined`: what is kept from all of them, by type and resource of the filter.
std::string XdsJson(const std::vector<xds::SessionView>& envoys,
                    const std::vector<xds::QuarantineView>& quarantined, const XdsFilter& filter);

}  // namespace contour::admin
