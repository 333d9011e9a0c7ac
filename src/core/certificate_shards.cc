// SPDX-License-Identifier: Apache-2.0

#include "core/certificate_shards.h"

#include <algorithm>

#include "base/hash.h"

namespace contour::core {
namespace {

// A limit of the depth, which is reached only if hashes are equal.
constexpr unsigned kDepth = 40;

constexpr std::string_view kPrefix = "certificates/";

std::uint64_t HashOf(std::string_view host) { return HashBytes(host).high; }

}  // namespace

std::uint64_t CertificateShards::Node::Last() const { return start | (~std::uint64_t{0} >> depth); }

std::string CertificateShards::Node::Name() const {
  std::string name(kPrefix);
  for (unsigned bit = 0; bit < depth; ++bit) name += ((start >> (63 - bit)) & 1) != 0 ? '1' : '0';
  return name;
}

CertificateShards::Node CertificateShards::NodeAt(std::uint64_t hash, unsigned depth) {
  return {hash & ~(~std::uint64_t{0} >> depth), depth};
}

void CertificateShards::Add(const std::string& host) {
  const std::uint64_t hash = HashOf(host);
  if (hosts_.emplace(hash, host).second) dirty_.insert(hash);
}

void CertificateShards::Remove(const std::string& host) {
  const std::uint64_t hash = HashOf(host);
  if (hosts_.erase({hash, host}) > 0) dirty_.insert(hash);
}

bool CertificateShards::IsList(const Node& node) const {
  if (node.depth == kDepth) return true;
  std::size_t count = 0;
  const std::uint64_t last = node.Last();
  for (auto at = hosts_.lower_bound({node.start, ""}); at != hosts_.end() && at->first <= last;
       ++at) {
    if (++count > kHosts) return false;
  }
  return true;
}

CertificateShards::Node CertificateShards::ListAt(std::uint64_t hash) const {
  Node node;
  while (!IsList(node)) node = NodeAt(hash, node.depth + 1);
  return node;
}

std::string CertificateShards::ListenerOf(const std::string& host) const {
  return ListAt(HashOf(host)).Name();
}

std::vector<std::string> CertificateShards::HostsOf(std::string_view listener) const {
  std::vector<std::string> hosts;
  if (!listener.starts_with(kPrefix)) return hosts;
  listener.remove_prefix(kPrefix.size());
  if (listener.size() > kDepth || listener.find_first_not_of("01") != std::string_view::npos)
    return hosts;
  Node node;
  for (const char bit : listener) node.start |= std::uint64_t{bit == '1'} << (63 - node.depth++);
  if (!IsList(node)) return hosts;
  const std::uint64_t last = node.Last();
  for (auto at = hosts_.lower_bound({node.start, ""}); at != hosts_.end() && at->first <= last;
       ++at)
    hosts.push_back(at->second);
  std::sort(hosts.begin(), hosts.end());
  return hosts;
}

std::map<std::string, std::vector<std::string>> CertificateShards::TakeChanges() {
  std::map<std::string, std::vector<std::string>> changes;
  // The node that the hash was in, or the one that it is in now: one of the two contains the other.
  std::map<std::uint64_t, unsigned> nodes;
  for (const std::uint64_t hash : std::exchange(dirty_, {})) {
    Node node = ListAt(hash);
    if (auto told = lists_.upper_bound(hash); told != lists_.begin()) {
      --told;
      const Node before{told->first, told->second};
      if (hash <= before.Last() && before.depth < node.depth) node = before;
    }
    nodes.emplace(node.start, node.depth);
  }
  for (const auto& [start, depth] : nodes) {
    const Node node{start, depth};
    for (auto told = lists_.lower_bound(start);
         told != lists_.end() && told->first <= node.Last();) {
      changes[Node{told->first, told->second}.Name()].clear();
      told = lists_.erase(told);
    }
    Rebuild(node, changes);
  }
  return changes;
}

void CertificateShards::Rebuild(const Node& node,
                                std::map<std::string, std::vector<std::string>>& changes) {
  const std::uint64_t last = node.Last();
  auto at = hosts_.lower_bound({node.start, ""});
  if (at == hosts_.end() || at->first > last) return;
  if (!IsList(node)) {
    Rebuild(NodeAt(node.start, node.depth + 1), changes);
    Rebuild(NodeAt(node.start | (std::uint64_t{1} << (63 - node.depth)), node.depth + 1), changes);
    return;
  }
  std::vector<std::string>& list = changes[node.Name()];
  for (; at != hosts_.end() && at->first <= last; ++at) list.push_back(at->second);
  std::sort(list.begin(), list.end());
  lists_.emplace(node.start, node.depth);
}

}  // namespace contour::core
