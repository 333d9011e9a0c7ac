// SPDX-License-Identifier: Apache-2.0

#include "serve/rejection.h"

#include <fmt/core.h>

#include <utility>

namespace contour::serve {

std::string ResourceText(const xds::ResourceKey& item) {
  const char* part = item.type == xds::ResourceType::kListener ? "filter chain" : "virtual host";
  const std::string resource = fmt::format("{} {}", xds::Info(item.type).name, item.resource);
  return item.part.has_value() ? fmt::format("{} {} of {}", part, *item.part, resource) : resource;
}

status::EnvoyRejection RejectionOf(const xds::QuarantineView& view, bool ended,
                                   FindSources find_sources) {
  status::EnvoyRejection rejection;
  rejection.resource = ResourceText(view.key);
  rejection.version = view.version;
  rejection.node_id = view.node_id;
  rejection.error_message = view.error_message;
  rejection.ended = ended;
  rejection.all_envoys = view.reach == xds::Reach::kFleet;
  rejection.replaced = view.replaced;
  rejection.sources = [item = view.key, find = std::move(find_sources)](std::size_t most) {
    return find(item, most);
  };
  return rejection;
}

}  // namespace contour::serve
