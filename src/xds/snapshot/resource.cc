// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/resource.h"

#include "xds/snapshot/protobuf_wire.h"

namespace contour::xds {

const TypeInfo* FindType(std::string_view url) {
  for (const TypeInfo& info : kTypes) {
    if (info.url == url) return &info;
  }
  return nullptr;
}

bool SameVersion(const ResourcePtr& a, const ResourcePtr& b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->known == b->known && a->version == b->version;
}

std::optional<Hash128> ContentVersion(const Resource& resource,
                                      const std::optional<std::string>& part) {
  if (!part.has_value()) return HashPair(resource.name, resource.bytes);
  const PartPtr found = resource.parts.Find(*part);
  return found == nullptr ? std::nullopt : std::optional(found->version);
}

std::string Assemble(ResourceType type, const Resource& resource) {
  if (resource.parts.empty()) return resource.bytes;
  const std::uint32_t field = Info(type).parts_field;
  const std::vector<PartPtr> parts = resource.parts.Sorted();
  std::size_t size = resource.bytes.size();
  for (const PartPtr& part : parts) size += wire::FieldSize(field, part->bytes.size());
  std::string bytes;
  bytes.reserve(size);
  bytes += resource.bytes;
  for (const PartPtr& part : parts) wire::AppendField(bytes, field, part->bytes);
  return bytes;
}

ResourcePtr MakeBlank(std::string_view name) {
  auto blank = std::make_shared<Resource>();
  blank->name = name;
  wire::AppendField(blank->bytes, 1, name);
  blank->version = HashPair(blank->name, blank->bytes);
  blank->without_endpoints = true;
  return blank;
}

ResourcePtr Renamed(const Resource& resource, std::string_view name) {
  auto renamed = std::make_shared<Resource>(resource);
  renamed->name = name;
  renamed->bytes.clear();
  wire::AppendField(renamed->bytes, 1, name);
  if (const std::size_t head = wire::FieldSize(1, resource.name.size());
      head <= resource.bytes.size()) {
    renamed->bytes += std::string_view(resource.bytes).substr(head);
  }
  renamed->version = HashPair(renamed->name, renamed->bytes);
  return renamed;
}

ResourcePtr MakeUnknown(std::string_view name, const Hash128& version) {
  auto unknown = std::make_shared<Resource>();
  unknown->name = name;
  unknown->version = version;
  unknown->known = false;
  return unknown;
}

}  // namespace contour::xds
