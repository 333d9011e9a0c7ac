// SPDX-License-Identifier: Apache-2.0
// A map from names to shared immutable values of which every copy is a snapshot: copying is one
// pointer, a change copies the path to one small leaf, and the difference of two maps is found by
// comparing pointers.
//
//   PersistentMap<Resource> before = …;
//   PersistentMap<Resource> after = before;      // shares everything
//   after.Set(resource);                         // `before` doesn't see it
//   PersistentMap<Resource>::Diff(before, after, [](const auto& was, const auto& is) { … });
//
// A value has the members `std::string name` (the key) and `Hash128 version` (equal versions mean
// equal content).
//
// Structure: a trie over 64 bits of the hash of the name, 8 children a node; a subtree of at most
// 16 values is one leaf, sorted by hash and name. So the structure and the order of iteration
// follow from the names alone, never from history.
//
// Thread: as a value. Different maps that share nodes may be used from different threads; one map
// may not be changed while another thread reads it. Changes with an edit token alter nodes of the
// same token in place: for building many changes at once, before anyone else has seen them.

#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace contour::xds {

// Marks the nodes made during one edit; see NewEditToken().
using EditToken = std::uint64_t;
inline constexpr EditToken kNoEdit = 0;

// Returns a token that nobody else has.
inline EditToken NewEditToken() {
  static std::atomic<EditToken> last{kNoEdit};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <typename Value>
class PersistentMap {
 public:
  using Pointer = std::shared_ptr<const Value>;
  struct Node;

  PersistentMap() = default;
  // Makes the map of these nodes (see root()), whose versions have this sum.
  PersistentMap(std::shared_ptr<const Node> root, const Hash128& version)
      : root_(std::const_pointer_cast<Node>(std::move(root))), version_(version) {}

  // Returns all that the map holds; nullptr: nothing.
  std::shared_ptr<const Node> root() const { return root_; }

  std::size_t size() const { return root_ == nullptr ? 0 : root_->count; }
  bool empty() const { return root_ == nullptr; }

  // Returns the sum of the versions of the values: equal for equal content, whatever way led there.
  const Hash128& version() const { return version_; }

  // Returns nullptr if there is none.
  Pointer Find(std::string_view name) const {
    const Pointer* found = FindSlot(name);
    return found == nullptr ? nullptr : *found;
  }
  bool Contains(std::string_view name) const { return FindSlot(name) != nullptr; }

  // Adds or replaces; `value` is not null.
  void Set(Pointer value, EditToken token = kNoEdit) {
    Slot slot{Hash(value->name), std::move(value)};
    version_ += slot.value->version;
    root_ = SetIn(std::move(root_), std::move(slot), 0, token);
  }

  // Returns false if there was none.
  bool Remove(std::string_view name, EditToken token = kNoEdit) {
    const Pointer* found = FindSlot(name);
    if (found == nullptr) return false;
    version_ -= (*found)->version;
    root_ = RemoveIn(std::move(root_), Hash(name), name, 0, token);
    return true;
  }

  // Calls f(const Pointer&) for each value, in the order of the names' hashes.
  template <typename Function>
  void ForEach(Function&& f) const {
    if (root_ != nullptr) Walk(*root_, f);
  }

  // Returns the values in the order of the names.
  std::vector<Pointer> Sorted() const {
    std::vector<Pointer> values;
    values.reserve(size());
    ForEach([&](const Pointer& value) { values.push_back(value); });
    std::sort(values.begin(), values.end(),
              [](const Pointer& a, const Pointer& b) { return a->name < b->name; });
    return values;
  }

  // Calls f(const Pointer& before, const Pointer& after) for every name whose version differs;
  // nullptr where absent. Costs what differs, not what there is, as far as the maps share their
  // nodes.
  template <typename Function>
  static void Diff(const PersistentMap& before, const PersistentMap& after, Function&& f) {
    DiffNodes(before.root_.get(), after.root_.get(), f);
  }

 private:
  static constexpr int kBits = 3;
  static constexpr std::size_t kChildren = 1U << kBits;
  static constexpr std::size_t kLeafSize = 16;
  static constexpr int kDepth = 64 / kBits;  // below it a leaf grows: names of equal hash

  struct Slot {
    std::uint64_t hash = 0;
    Pointer value;

    bool Before(std::uint64_t other_hash, std::string_view other_name) const {
      return hash != other_hash ? hash < other_hash : std::string_view(value->name) < other_name;
    }
    bool Is(std::uint64_t other_hash, std::string_view other_name) const {
      return hash == other_hash && value->name == other_name;
    }
  };
  using NodePointer =
      std::shared_ptr<Node>;  // changed only while its token is that of the running edit
  using Children = std::array<NodePointer, kChildren>;
  static std::uint64_t Hash(std::string_view name) { return HashBytes(name).low; }
  static std::size_t ChildOf(std::uint64_t hash, int depth) {
    return (hash >> (64 - kBits * (depth + 1))) & (kChildren - 1);
  }

  const Pointer* FindSlot(std::string_view name) const {
    const std::uint64_t hash = Hash(name);
    const Node* node = root_.get();
    for (int depth = 0; node != nullptr && node->children != nullptr; ++depth) {
      node = (*node->children)[ChildOf(hash, depth)].get();
    }
    if (node == nullptr) return nullptr;
    const auto at = std::find_if(node->slots.begin(), node->slots.end(),
                                 [&](const Slot& slot) { return slot.Is(hash, name); });
    return at == node->slots.end() ? nullptr : &at->value;
  }

  // Returns the node itself if it belongs to this edit, else a copy that does.
  static NodePointer Own(NodePointer node, EditToken token) {
    if (token != kNoEdit && node->token == token) return node;
    auto copy = std::make_shared<Node>();
    copy->token = token;
    copy->count = node->count;
    copy->slots = node->slots;
    if (node->children != nullptr) copy->children = std::make_unique<Children>(*node->children);
    return copy;
  }

  NodePointer SetIn(NodePointer node, Slot slot, int depth, EditToken token) {
    if (node == nullptr) {
      auto leaf = std::make_shared<Node>();
      leaf->token = token;
      leaf->count = 1;
      leaf->slots.push_back(std::move(slot));
      return leaf;
    }
    node = Own(std::move(node), token);
    if (node->children != nullptr) {
      NodePointer& child = (*node->children)[ChildOf(slot.hash, depth)];
      const std::size_t before = child == nullptr ? 0 : child->count;
      child = SetIn(std::move(child), std::move(slot), depth + 1, token);
      node->count += child->count - before;
      return node;
    }
    const auto at = std::find_if(node->slots.begin(), node->slots.end(), [&](const Slot& other) {
      return !other.Before(slot.hash, slot.value->name);
    });
    if (at != node->slots.end() && at->Is(slot.hash, slot.value->name)) {
      version_ -= at->value->version;
      *at = std::move(slot);
      return node;
    }
    node->slots.insert(at, std::move(slot));
    ++node->count;
    if (node->count > kLeafSize && depth < kDepth) Split(*node, depth, token);
    return node;
  }

  static void Split(Node& node, int depth, EditToken token) {
    node.children = std::make_unique<Children>();
    for (Slot& slot : node.slots) {
      NodePointer& child = (*node.children)[ChildOf(slot.hash, depth)];
      if (child == nullptr) {
        child = std::make_shared<Node>();
        child->token = token;
      }
      child->slots.push_back(std::move(slot));
      ++child->count;
    }
    node.slots = {};
    for (NodePointer& child : *node.children) {
      if (child != nullptr && child->count > kLeafSize && depth + 1 < kDepth)
        Split(*child, depth + 1, token);
    }
  }

  // REQUIRES: the name is there.
  static NodePointer RemoveIn(NodePointer node, std::uint64_t hash, std::string_view name,
                              int depth, EditToken token) {
    if (node->count == 1) return nullptr;
    node = Own(std::move(node), token);
    --node->count;
    if (node->children == nullptr) {
      node->slots.erase(std::find_if(node->slots.begin(), node->slots.end(),
                                     [&](const Slot& slot) { return slot.Is(hash, name); }));
      return node;
    }
    NodePointer& child = (*node->children)[ChildOf(hash, depth)];
    child = RemoveIn(std::move(child), hash, name, depth + 1, token);
    if (node->count <= kLeafSize) {  // as it would be if it had never been bigger
      std::vector<Slot> slots;
      slots.reserve(node->count);
      Gather(*node, slots);
      node->slots = std::move(slots);
      node->children.reset();
    }
    return node;
  }

  static void Gather(const Node& node, std::vector<Slot>& slots) {
    if (node.children == nullptr) {
      slots.insert(slots.end(), node.slots.begin(), node.slots.end());
      return;
    }
    for (const NodePointer& child : *node.children) {
      if (child != nullptr) Gather(*child, slots);
    }
  }

  template <typename Function>
  static void Walk(const Node& node, Function& f) {
    if (node.children == nullptr) {
      for (const Slot& slot : node.slots) f(slot.value);
      return;
    }
    for (const NodePointer& child : *node.children) {
      if (child != nullptr) Walk(*child, f);
    }
  }

  template <typename Function>
  static void DiffNodes(const Node* before, const Node* after, Function& f) {
    if (before == after) return;
    if (before != nullptr && after != nullptr && before->children != nullptr &&
        after->children != nullptr) {
      for (std::size_t i = 0; i < kChildren; ++i) {
        DiffNodes((*before->children)[i].get(), (*after->children)[i].get(), f);
      }
      return;
    }
    if (before != nullptr && after != nullptr && before->children == nullptr &&
        after->children == nullptr) {
      DiffSlots(before->slots, after->slots, f);
      return;
    }
    std::vector<Slot> old_slots;
    std::vector<Slot> new_slots;
    if (before != nullptr) Gather(*before, old_slots);
    if (after != nullptr) Gather(*after, new_slots);
    DiffSlots(old_slots, new_slots, f);
  }

  template <typename Function>
  static void DiffSlots(const std::vector<Slot>& before, const std::vector<Slot>& after,
                        Function& f) {
    static const Pointer kAbsent;
    auto was = before.begin();
    auto is = after.begin();
    while (was != before.end() || is != after.end()) {
      if (is == after.end() || (was != before.end() && was->Before(is->hash, is->value->name))) {
        f(was->value, kAbsent);
        ++was;
      } else if (was == before.end() || is->Before(was->hash, was->value->name)) {
        f(kAbsent, is->value);
        ++is;
      } else {
        if (was->value != is->value && was->value->version != is->value->version)
          f(was->value, is->value);
        ++was;
        ++is;
      }
    }
  }

  NodePointer root_;  // never an empty node
  Hash128 version_;
};

template <typename Value>
struct PersistentMap<Value>::Node {
  EditToken token = kNoEdit;
  std::size_t count = 0;
  std::vector<Slot> slots;             // of a leaf
  std::unique_ptr<Children> children;  // of a branch
};

}  // namespace contour::xds
