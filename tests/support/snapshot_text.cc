// SPDX-License-Identifier: Apache-2.0

#include "tests/support/snapshot_text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <memory>

namespace contour::testing {
namespace {

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

// JSON loads in flow style; a difference is read line by line.
YAML::Node Block(YAML::Node node) {
  if (node.IsMap() || node.IsSequence()) node.SetStyle(YAML::EmitterStyle::Block);
  for (auto child : node) Block(node.IsMap() ? child.second : child);
  return node;
}

}  // namespace

std::string SnapshotText(const xds::Snapshot& snapshot) {
  YAML::Emitter text;
  text << YAML::BeginMap;
  for (const xds::TypeInfo& type : xds::kTypes) {
    std::map<std::string, std::string> resources;
    snapshot.table(type.type).ForEach([&](const xds::ResourcePtr& resource) {
      if (type.type == xds::ResourceType::kListener && resource->name == "stats-health") return;
      resources[resource->name] = ToJson(type, xds::Assemble(type.type, *resource));
    });
    if (resources.empty()) continue;
    text << YAML::Key << std::string(type.name) << YAML::Value << YAML::BeginSeq;
    for (const auto& [name, json] : resources) text << Block(YAML::Load(json));
    text << YAML::EndSeq;
  }
  text << YAML::EndMap;
  return std::string(text.c_str()) + "\n";
}

}  // namespace contour::testing
