// SPDX-License-Identifier: Apache-2.0
// Decides which listener of certificates (envoy::CertificatesListener) names which hosts. Envoy
// reads the whole list of a listener again when a host is added to it, so the lists are short: a
// new host changes one list, and sometimes splits it in two.
//
// Example:
//   CertificateShards shards;
//   shards.Add("a.example");
//   for (const auto& [listener, hosts] : shards.TakeChanges()) {
//     const bool gone = hosts.empty();
//   }
//
// It is a binary trie over the hash of the host: a node with at most kHosts hosts is a list, a
// larger node has two halves. So the lists depend on the hosts alone, not on their history.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace contour::core {

class CertificateShards {
 public:
  static constexpr std::size_t kHosts = 64;

  void Add(const std::string& host);
  void Remove(const std::string& host);

  // Returns the lists that changed since the last call, by the name of their listener; the hosts
  // are sorted. Empty: the list is gone.
  std::map<std::string, std::vector<std::string>> TakeChanges();

  // Returns the listener that names the host, or would.
  std::string ListenerOf(const std::string& host) const;
  // Returns the hosts that a listener of this name names, sorted. Empty: there is no such list,
  // nor one that contains it.
  std::vector<std::string> HostsOf(std::string_view listener) const;

 private:
  using Hosts = std::set<std::pair<std::uint64_t, std::string>>;
  // A node has the hosts whose hash begins with the first `depth` bits of `start`. The other bits
  // of `start` are 0.
  struct Node {
    std::uint64_t start = 0;
    unsigned depth = 0;

    std::uint64_t Last() const;
    std::string Name() const;
  };

  static Node NodeAt(std::uint64_t hash, unsigned depth);
  bool IsList(const Node& node) const;
  Node ListAt(std::uint64_t hash) const;
  void Rebuild(const Node& node, std::map<std::string, std::vector<std::string>>& changes);

  Hosts hosts_;
  std::set<std::uint64_t> dirty_;            // hashes
  std::map<std::uint64_t, unsigned> lists_;  // at the last TakeChanges: start → depth
};

}  // namespace contour::core
