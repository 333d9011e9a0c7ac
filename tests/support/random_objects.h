// SPDX-License-Identifier: Apache-2.0
// Makes random objects with few names and hosts, so that objects collide and refer to one another,
// and to objects that don't exist.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "api/source.h"
#include "tests/support/certificates.h"

namespace contour::testing {

class RandomWorld {
 public:
  enum class Vocabulary : std::uint8_t {
    kUsual,
    // Names and settings by which different clusters, secrets and hosts get equal names.
    kMeeting,
  };
  explicit RandomWorld(std::uint64_t seed, Vocabulary vocabulary = Vocabulary::kUsual);

  // Makes one random change: an object is added, edited (also without a change of meaning) or
  // deleted.
  api::Change Step();

  // Returns the objects after all steps so far.
  const std::map<api::ObjectRef, api::ObjectPtr>& objects() const { return objects_; }

  // Returns a sequence of changes that brings an empty process to the same objects, in random
  // order.
  std::vector<api::Change> Shuffled();

 private:
  int Pick(int count);  // returns 0 … count-1
  bool Chance(int percent) { return Pick(100) < percent; }
  template <typename T>
  const T& PickOf(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(Pick(static_cast<int>(values.size())))];
  }

  template <typename Rows>
  void Annotate(const Rows& rows, int percent, api::Meta& meta);

  std::string Namespace();
  std::string Host();
  std::string SecretReference();
  std::shared_ptr<api::Object> MakeService();
  std::shared_ptr<api::Object> MakeSecret();
  std::shared_ptr<api::Object> MakeIngress();
  std::shared_ptr<api::Object> MakeIngressClass();
  std::shared_ptr<api::Object> MakeIngressRoute();
  std::shared_ptr<api::Object> MakeDelegation();
  std::shared_ptr<api::Object> MakeEndpointSlice();
  std::shared_ptr<api::Object> MakeEndpoints();

  struct Words;
  static const Words& WordsOf(Vocabulary vocabulary);

  std::mt19937_64 random_;
  const Words& words_;
  std::map<api::ObjectRef, api::ObjectPtr> objects_;
  std::uint64_t version_ = 0;
};

}  // namespace contour::testing
