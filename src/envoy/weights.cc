// SPDX-License-Identifier: Apache-2.0
#include "envoy/weights.h"

#include <algorithm>
#include <limits>

namespace contour::envoy {

std::vector<Share> Shares(const std::vector<graph::WeightedCluster>& clusters,
                          ClusterNamer& namer) {
  constexpr std::uint64_t kMaximum = std::numeric_limits<std::uint32_t>::max();
  std::vector<Share> shares;
  shares.reserve(clusters.size());
  std::uint64_t sum = 0;
  for (const graph::WeightedCluster& weighted : clusters) {
    shares.push_back({namer.NameOf(*weighted.cluster), weighted.weight});
    sum += weighted.weight;
  }
  if (sum == 0) {
    for (Share& share : shares) share.weight = 1;
  } else if (sum > kMaximum) {
    // The new sum is at most `sum / divisor + shares.size()` after rounding up, so leave room for
    // that.
    const std::uint64_t divisor = sum / (kMaximum - shares.size()) + 1;
    for (Share& share : shares) {
      share.weight = static_cast<std::uint32_t>((share.weight + divisor - 1) / divisor);
    }
  }
  std::sort(shares.begin(), shares.end());
  return shares;
}

}  // namespace contour::envoy
