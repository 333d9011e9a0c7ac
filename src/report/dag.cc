// SPDX-License-Identifier: Apache-2.0

#include "report/dag.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <variant>

#include "graph/model/cluster.h"
#include "graph/model/match.h"
#include "graph/model/route.h"

namespace contour::report {
namespace {

using Json = nlohmann::ordered_json;

// Escapes text for a record's label, in which some characters are structure.
std::string Label(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      escaped += ' ';
      continue;
    }
    // A backslash is special in the string and in the record.
    if (c == '\\') escaped += "\\\\\\";
    if (std::string_view("{}|<>\" ").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// Escapes text for a quoted id.
std::string Id(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return escaped;
}

std::string_view MatchWord(graph::PathMatch::Type type) {
  switch (type) {
    case graph::PathMatch::Type::kExact:
      return "exact";
    case graph::PathMatch::Type::kRegex:
      return "regex";
    case graph::PathMatch::Type::kPrefix:
    case graph::PathMatch::Type::kSegmentPrefix:
      return "prefix";
  }
  return "";
}

class Graphviz {
 public:
  explicit Graphviz(const envoy::Names& names) : names_(names) {}

  std::string Draw(const std::vector<graph::VirtualHostPtr>& hosts) {
    text_ = "digraph DAG {\nrankdir=\"LR\"\n";
    std::set<graph::ListenerKey> listeners;
    for (const graph::VirtualHostPtr& host : hosts) {
      for (const graph::ListenerHost& served : host->listeners) listeners.insert(served.listener);
    }
    for (const graph::ListenerKey& key : listeners) {
      const std::string listener =
          Node(fmt::format("listener :{}", key.port), fmt::format("{{listener|:{}}}", key.port));
      const bool https = key.protocol == graph::ListenerKey::Protocol::kHTTPS;
      for (const graph::VirtualHostPtr& host : hosts) {
        const graph::ListenerHost* served = host->Find(key);
        if (served == nullptr) continue;
        const std::string name = (https ? "https://" : "http://") + host->host;
        Served(name, *served);
        Edge(listener, name);
      }
    }
    return std::move(text_) + "}\n";
  }

 private:
  // Returns the id. A node to which several others point is written once.
  std::string Node(const std::string& id, const std::string& label) {
    if (drawn_.insert(id).second)
      text_ += fmt::format("\"{}\" [shape=record, label=\"{}\"]\n", Id(id), label);
    return id;
  }
  void Edge(const std::string& from, const std::string& to) {
    if (drawn_.insert(from + "\n" + to).second)
      text_ += fmt::format("\"{}\" -> \"{}\"\n", Id(from), Id(to));
  }

  void Served(const std::string& name, const graph::ListenerHost& served) {
    Node(name, "{" + Label(name) + "}");
    if (served.tcp_proxy) {
      const std::string proxy = Node("tcpproxy " + name, "{tcpproxy}");
      Clusters(proxy, served.tcp_proxy->clusters, "tcpservice");
      Edge(name, proxy);
    } else {
      Routes(name, served.routes);
    }
    if (served.secret != nullptr) {
      const std::string secret = served.secret->ns + "/" + served.secret->name;
      Edge(name, Node("secret " + secret, "{secret|" + Label(secret) + "}"));
    }
  }

  void Routes(const std::string& parent, const std::vector<graph::Route>& routes) {
    for (const graph::Route& route : routes) {
      const std::string_view word = MatchWord(route.match.path.type);
      const std::string id = fmt::format("{} {} {}", parent, word, route.match.path.value);
      Node(id, fmt::format("{{{}|{}}}", word, Label(route.match.path.value)));
      if (route.https_redirect) {
        Edge(id, Node("redirect https", "{redirect|https}"));
      } else if (const auto* action = std::get_if<graph::RouteAction>(&route.action)) {
        Clusters(id, action->clusters, "httpservice");
      } else {
        const auto status = std::get<graph::DirectResponse>(route.action).status;
        Edge(id, Node(fmt::format("response {}", status), fmt::format("{{response|{}}}", status)));
      }
      Edge(parent, id);
    }
  }

  void Clusters(const std::string& parent, const std::vector<graph::WeightedCluster>& clusters,
                std::string_view service_word) {
    for (const graph::WeightedCluster& weighted : clusters) {
      const graph::Cluster& cluster = *weighted.cluster;
      const std::string name = names_.Cluster(cluster);
      const std::string id = fmt::format("cluster {} {}", name, weighted.weight);
      Node(id, fmt::format("{{cluster|{{{}|weight\\ {}}}}}", Label(name), weighted.weight));
      const std::string service =
          fmt::format("{}/{}:{}", cluster.ns, cluster.service, cluster.port);
      Edge(id, Node(fmt::format("{} {}", service_word, service),
                    fmt::format("{{{}|{}}}", service_word, Label(service))));
      Edge(parent, id);
    }
  }

  const envoy::Names& names_;
  std::string text_;
  std::set<std::string> drawn_;
};

Json ClustersJson(const std::vector<graph::WeightedCluster>& clusters, const envoy::Names& names) {
  Json list = Json::array();
  for (const graph::WeightedCluster& weighted : clusters) {
    const graph::Cluster& cluster = *weighted.cluster;
    Json one = {{"name", names.Cluster(cluster)},
                {"service", fmt::format("{}/{}", cluster.ns, cluster.service)},
                {"port", cluster.port},
                {"weight", weighted.weight}};
    if (!cluster.external_name.empty()) one["externalName"] = cluster.external_name;
    list.push_back(std::move(one));
  }
  return list;
}

std::string Seconds(std::chrono::nanoseconds time) {
  return fmt::format("{}s", std::chrono::duration<double>(time).count());
}

Json RoutesJson(const std::vector<graph::Route>& routes, const envoy::Names& names) {
  Json list = Json::array();
  for (const graph::Route& route : routes) {
    const bool segments = route.match.path.type == graph::PathMatch::Type::kSegmentPrefix;
    Json one = {{"match", segments ? "segment-prefix" : MatchWord(route.match.path.type)},
                {"path", route.match.path.value}};
    if (route.https_redirect) {
      one["redirect"] = "https";
    } else if (const auto* action = std::get_if<graph::RouteAction>(&route.action)) {
      one["clusters"] = ClustersJson(action->clusters, names);
      const graph::RoutePolicies& policies = action->policies;
      if (const auto& timeout = policies.timeout)
        one["timeout"] = timeout->infinite ? "infinity" : Seconds(timeout->duration);
      if (policies.retry) one["retryOn"] = policies.retry->retry_on;
      if (!policies.prefix_rewrite.empty()) one["prefixRewrite"] = policies.prefix_rewrite;
      if (policies.websocket) one["websocket"] = true;
    } else {
      one["response"] = std::get<graph::DirectResponse>(route.action).status;
    }
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

std::string DagGraphviz(const std::vector<graph::VirtualHostPtr>& hosts, const envoy::Names& names,
                        std::size_t further) {
  std::string text = Graphviz(names).Draw(hosts);
  if (further > 0) text += fmt::format("// {} further virtual hosts: ?limit=, ?host=\n", further);
  return text;
}

std::string DagJson(const std::vector<graph::VirtualHostPtr>& hosts, const envoy::Names& names,
                    std::size_t further) {
  Json list = Json::array();
  for (const graph::VirtualHostPtr& host : hosts) {
    Json one = {{"host", host->host}};
    for (const graph::ListenerHost& served : host->listeners) {
      Json made = Json::object();
      if (served.secret != nullptr)
        made["secret"] = fmt::format("{}/{}", served.secret->ns, served.secret->name);
      if (served.tcp_proxy) {
        made["tcpProxy"] = ClustersJson(served.tcp_proxy->clusters, names);
      } else {
        made["routes"] = RoutesJson(served.routes, names);
      }
      const bool https = served.listener.protocol == graph::ListenerKey::Protocol::kHTTPS;
      one[https ? "https" : "http"] = std::move(made);
    }
    list.push_back(std::move(one));
  }
  // Names may have any bytes; those that aren't UTF-8 are replaced.
  Json page = {{"virtualHosts", std::move(list)}};
  if (further > 0) page["furtherVirtualHosts"] = further;
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace contour::report
