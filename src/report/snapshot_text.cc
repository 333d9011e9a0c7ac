// SPDX-License-Identifier: Apache-2.0

#include "report/snapshot_text.h"

#include <fmt/core.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace contour::report {
namespace {

constexpr std::size_t kWidth = 100;

std::string ToJson(const xds::TypeInfo& type, const std::string& bytes) {
  const std::string_view name = type.url.substr(type.url.find('/') + 1);
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(name));
  if (descriptor == nullptr) return "\"type not linked\"";
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  if (!message->ParseFromString(bytes)) return "\"does not parse\"";
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(*message, &json, options);
  return status.ok() ? json : "\"" + status.ToString() + "\"";
}

// ---- Fields that are left out ----

bool Equal(const YAML::Node& a, const YAML::Node& b) {
  if (a.Type() != b.Type()) return false;
  if (a.IsScalar()) return a.Scalar() == b.Scalar();
  if (a.size() != b.size()) return false;
  if (a.IsSequence()) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!Equal(a[i], b[i])) return false;
    }
    return true;
  }
  if (a.IsMap()) {
    for (const auto& entry : a) {
      const YAML::Node other = b[entry.first.Scalar()];
      if (!other.IsDefined() || !Equal(entry.second, other)) return false;
    }
  }
  return true;
}

// "(if KEY)" and "(if KEY=VALUE)" are conditions on the resource; nullopt: an ordinary key.
std::optional<bool> Condition(const std::string& key, const YAML::Node& node) {
  if (!key.starts_with("(if ") || !key.ends_with(')')) return std::nullopt;
  const std::string condition = key.substr(4, key.size() - 5);
  const std::size_t equals = condition.find('=');
  const YAML::Node found = node[condition.substr(0, equals)];
  if (equals == std::string::npos) return found.IsDefined();
  return found.IsDefined() && found.IsScalar() && found.Scalar() == condition.substr(equals + 1);
}

bool IsForEach(const YAML::Node& common) {
  return common.IsSequence() && common.size() == 1 && common[0].IsMap();
}

YAML::Node Subtract(const YAML::Node& node, const YAML::Node& common);

YAML::Node SubtractMap(const YAML::Node& node, const YAML::Node& common) {
  YAML::Node rest(YAML::NodeType::Map);
  YAML::Node applied(YAML::NodeType::Map);  // the ordinary keys of `common`
  YAML::Node now = node;
  for (const auto& entry : common) {
    const std::optional<bool> condition = Condition(entry.first.Scalar(), node);
    if (!condition) applied[entry.first.Scalar()] = entry.second;
    if (condition.value_or(false)) now.reset(SubtractMap(now, entry.second));
  }
  for (const auto& entry : now) {
    const std::string key = entry.first.Scalar();
    const YAML::Node same = std::as_const(applied)[key];
    if (!same.IsDefined()) {
      rest[key] = entry.second;
    } else if (!Equal(entry.second, same)) {
      rest[key] = Subtract(entry.second, same);
    }
  }
  for (const auto& entry : applied) {
    const std::string key = entry.first.Scalar();
    if (!std::as_const(now)[key].IsDefined() && !IsForEach(entry.second)) rest[key] = "(absent)";
  }
  return rest;
}

YAML::Node Subtract(const YAML::Node& node, const YAML::Node& common) {
  if (node.IsMap() && common.IsMap()) return SubtractMap(node, common);
  if (node.IsSequence() && IsForEach(common)) {
    YAML::Node rest(YAML::NodeType::Sequence);
    for (const auto& element : node) rest.push_back(Subtract(element, common[0]));
    return rest;
  }
  return node;
}

// {socket_address: {address: A, port_value: P}} → A:P
YAML::Node ShortenAddresses(const YAML::Node& node) {
  if (node.IsSequence()) {
    YAML::Node made(YAML::NodeType::Sequence);
    for (const auto& element : node) made.push_back(ShortenAddresses(element));
    return made;
  }
  if (!node.IsMap()) return node;
  if (const YAML::Node socket = node["socket_address"];
      node.size() == 1 && socket.IsDefined() && socket.size() == 2 && socket["port_value"]) {
    return YAML::Node(socket["address"].Scalar() + ":" + socket["port_value"].Scalar());
  }
  YAML::Node made(YAML::NodeType::Map);
  for (const auto& entry : node) made[entry.first.Scalar()] = ShortenAddresses(entry.second);
  return made;
}

// ---- Text ----

std::string Scalar(const YAML::Node& node) {
  if (node.IsNull()) return "~";
  YAML::Emitter text;
  text << YAML::Flow << YAML::BeginSeq << node.Scalar() << YAML::EndSeq;  // quoted for flow style
  const std::string quoted = text.c_str();
  return quoted.substr(1, quoted.size() - 2);
}

std::string Flow(const YAML::Node& node) {
  std::string text;
  if (node.IsSequence()) {
    for (const auto& element : node) text += (text.empty() ? "" : ", ") + Flow(element);
    return "[" + text + "]";
  }
  if (node.IsMap()) {
    for (const auto& entry : node) {
      text += (text.empty() ? "" : ", ") + Scalar(entry.first) + ": " + Flow(entry.second);
    }
    return "{" + text + "}";
  }
  return Scalar(node);
}

// `column` is where the text begins; following lines are indented by `indent`.
std::string Block(const YAML::Node& node, std::size_t indent, std::size_t column) {
  std::string text = Flow(node);
  if (column + text.size() <= kWidth || node.size() == 0) return text;
  text.clear();
  const std::string margin(indent, ' ');
  const auto begin_line = [&] {
    if (text.empty()) return;
    text += '\n';
    text += margin;
  };
  if (node.IsSequence()) {
    for (const auto& element : node) {
      begin_line();
      text += "- ";
      text += Block(element, indent + 2, indent + 2);
    }
    return text;
  }
  for (const auto& entry : node) {
    begin_line();
    const std::string key = Scalar(entry.first);
    text += key;
    text += ':';
    const std::string value = Flow(entry.second);
    if (indent + key.size() + 2 + value.size() <= kWidth || entry.second.size() == 0) {
      text += ' ';
      text += value;
    } else {
      text += fmt::format("\n{}  {}", margin, Block(entry.second, indent + 2, kWidth));
    }
  }
  return text;
}

// The entries of a map field of protobuf, which come in no fixed order, sorted by key.
YAML::Node SortMapFields(const YAML::Node& node) {
  if (node.IsSequence()) {
    YAML::Node made(YAML::NodeType::Sequence);
    for (const auto& element : node) made.push_back(SortMapFields(element));
    return made;
  }
  if (!node.IsMap()) return node;
  YAML::Node made(YAML::NodeType::Map);
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    const YAML::Node value = SortMapFields(entry.second);
    made[key] = value;
    if (key != "filter_metadata" && key != "typed_per_filter_config") continue;
    std::map<std::string, YAML::Node> sorted;
    for (const auto& inner : value) sorted.emplace(inner.first.Scalar(), inner.second);
    YAML::Node fields(YAML::NodeType::Map);
    for (const auto& [name, field] : sorted) fields[name] = field;
    made[key] = fields;
  }
  return made;
}

// Equal resources give equal texts.
std::map<std::string, std::string> Jsons(const xds::TypeInfo& type, const xds::Snapshot& snapshot) {
  std::map<std::string, std::string> resources;
  snapshot.table(type.type).ForEach([&](const xds::ResourcePtr& resource) {
    if (type.type == xds::ResourceType::kListener && resource->name == "stats-health") return;
    resources[resource->name] =
        Flow(SortMapFields(YAML::Load(ToJson(type, xds::Assemble(type.type, *resource)))));
  });
  return resources;
}

}  // namespace

std::string Compact(const std::string& yaml) {
  const YAML::Node node = YAML::Load(yaml);
  std::string text;
  if (!node.IsMap() || node.size() == 0) return Flow(node) + "\n";
  // One section for each key, whatever its length.
  for (const auto& entry : node) {
    text += Scalar(entry.first) + ":\n";
    if (entry.second.IsSequence()) {
      for (const auto& element : entry.second) text += "  - " + Block(element, 4, 4) + "\n";
    } else if (entry.second.IsMap()) {
      for (const auto& inner : entry.second) {
        const std::string key = Scalar(inner.first) + ":";
        text += "  " + key;
        const std::string flow = Flow(inner.second);
        text += 3 + key.size() + flow.size() <= kWidth ? " " + flow
                                                       : "\n    " + Block(inner.second, 4, kWidth);
        text += "\n";
      }
    }
  }
  return text;
}

SnapshotPrinter::SnapshotPrinter(std::string common) : common_(std::move(common)) {}

std::string SnapshotPrinter::Text(const xds::Snapshot& snapshot, const xds::Snapshot* base) const {
  const YAML::Node common = YAML::Load(common_);
  YAML::Node all(YAML::NodeType::Map);
  for (const xds::TypeInfo& type : xds::kTypes) {
    const std::string section(type.name);
    const auto before = base == nullptr ? std::map<std::string, std::string>() : Jsons(type, *base);
    const auto now = Jsons(type, snapshot);
    for (const auto& [name, json] : now) {
      if (const auto known = before.find(name); known != before.end() && known->second == json) {
        continue;
      }
      YAML::Node templates = common[section];
      if (templates.IsDefined() && templates[name].IsDefined()) templates.reset(templates[name]);
      const YAML::Node resource = YAML::Load(json);
      all[section].push_back(
          ShortenAddresses(templates.IsDefined() ? Subtract(resource, templates) : resource));
    }
    for (const auto& [name, json] : before) {
      if (!now.contains(name)) all["gone"].push_back(fmt::format("{} {}", section, name));
    }
  }
  YAML::Emitter text;
  text << all;
  return Compact(text.c_str());
}

}  // namespace contour::report
