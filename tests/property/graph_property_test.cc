// SPDX-License-Identifier: Apache-2.0
// Any history of adds, edits and deletes must end in exactly the result that a fresh process
// derives from the final objects, and no step may derive a host whose inputs did not change.
//
// CONTOUR_PROPERTY_SEEDS and CONTOUR_PROPERTY_STEPS set the numbers of histories and of steps,
// CONTOUR_PROPERTY_FIRST_SEED the first seed. A failure prints its seed.

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "api/tls_certificate_delegation.h"
#include "base/status.h"
#include "graph/engine/engine.h"
#include "graph/kinds/kinds.h"
#include "graph/model/status.h"
#include "tests/support/random_objects.h"

namespace contour {
namespace {

int FromEnvironment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

graph::Options OptionsFor(std::uint64_t seed) {
  graph::Options options;
  if (seed % 3 == 0) options.root_namespaces = {"roots", "default"};
  if (seed % 4 == 0) options.disable_permit_insecure = true;
  if (seed % 5 == 0) options.external_name_services = false;
  return options;
}

// The result of a fresh process.
struct Fresh {
  explicit Fresh(const graph::Options& options) : engine(options, graph::Kinds()) {}
  graph::Engine engine;
};

void ExpectEqual(const graph::Engine& incremental, const graph::Engine& fresh) {
  const auto hosts = incremental.VirtualHosts();
  const auto wanted = fresh.VirtualHosts();
  ASSERT_EQ(hosts.size(), wanted.size());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    EXPECT_EQ(*hosts[i], *wanted[i]) << hosts[i]->host << " / " << wanted[i]->host;
  }
  EXPECT_TRUE(incremental.Problems() == fresh.Problems());
  const auto statuses = incremental.Statuses();
  const auto wanted_statuses = fresh.Statuses();
  EXPECT_EQ(statuses.size(), wanted_statuses.size());
  for (const auto& [ref, status] : wanted_statuses) {
    const auto found = statuses.find(ref);
    ASSERT_NE(found, statuses.end()) << ref.String();
    EXPECT_EQ(found->second, status) << ref.String() << ": " << found->second.Summary().message
                                     << " / " << status.Summary().message;
  }
}

// Returns the hosts that read anything that the change touches. It doesn't use the bookkeeping of
// the engine, but plain derivations of every host over the objects before and after.
std::set<std::string> HostsThatMayBeDerived(const std::map<api::ObjectRef, api::ObjectPtr>& before,
                                            const api::Change& change,
                                            const graph::Options& options) {
  const graph::KindTable& kinds = graph::Kinds();
  graph::Store store(options, kinds);
  std::set<std::string> hosts;
  for (const auto& [ref, object] : before) {
    store.Apply({ref, object});
    for (const auto& [host, part] : kinds.ClaimedHosts(*object)) hosts.insert(host);
  }
  std::set<std::string> may;
  const std::set<std::string> known = hosts;
  const auto old_object = before.find(change.ref);
  if (change.object != nullptr) {
    if (old_object != before.end() && api::SameMeaning(*old_object->second, *change.object))
      return may;
    for (const auto& [host, part] : kinds.ClaimedHosts(*change.object)) may.insert(host);
  }
  if (old_object != before.end()) {
    for (const auto& [host, part] : kinds.ClaimedHosts(*old_object->second)) may.insert(host);
  }
  // The Secrets that the delegation names, or named.
  std::set<std::string> delegated;
  for (const api::Object* object :
       {change.object.get(), old_object == before.end() ? nullptr : old_object->second.get()}) {
    const auto* delegation = api::As<api::TLSCertificateDelegation>(object);
    if (delegation == nullptr) continue;
    for (const api::CertificateDelegation& entry : delegation->delegations)
      delegated.insert(entry.secret_name);
  }
  for (const std::string& host : known) {
    graph::Reader reader(store);
    graph::Derive(host, reader, options, kinds);
    for (const graph::Dependency& key : reader.TakeDependencies()) {
      if (key == graph::Dependency::Object(change.ref)) may.insert(host);
      if (key.type == graph::Dependency::Type::kIndex && key.ref.ns == change.ref.ns &&
          delegated.contains(key.ref.name)) {
        may.insert(host);
      }
    }
  }
  return may;
}

TEST(GraphProperty, IncrementalEqualsFreshAfterAnyHistory) {
  const int seeds = FromEnvironment("CONTOUR_PROPERTY_SEEDS", 2000);
  const int steps = FromEnvironment("CONTOUR_PROPERTY_STEPS", 300);
  const int first = FromEnvironment("CONTOUR_PROPERTY_FIRST_SEED", 0);
  for (int seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    testing::RandomWorld world(static_cast<std::uint64_t>(seed));
    const graph::Options options = OptionsFor(static_cast<std::uint64_t>(seed));
    graph::Engine engine(options, graph::Kinds());
    std::map<api::ObjectRef, graph::Status>
        told;  // what the updates said, which must add up to the statuses
    for (int step = 1; step <= steps; ++step) {
      std::vector<api::Change> batch = {world.Step()};
      while (step % 7 == 0 && batch.size() < 5) batch.push_back(world.Step());
      for (const auto& [ref, status] : engine.Apply(batch).statuses) {
        if (status) {
          told[ref] = *status;
        } else {
          told.erase(ref);
        }
      }
      if (step % 100 != 0 && step != steps) continue;
      Fresh fresh(options);
      fresh.engine.Apply(world.Shuffled());
      ExpectEqual(engine, fresh.engine);
      EXPECT_EQ(told, engine.Statuses());
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(GraphProperty, OnlyHostsWhoseInputsChangedAreDerived) {
  const int seeds = FromEnvironment("CONTOUR_PROPERTY_SEEDS", 2000) / 20;
  for (int seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    testing::RandomWorld world(static_cast<std::uint64_t>(seed));
    const graph::Options options = OptionsFor(static_cast<std::uint64_t>(seed));
    graph::Engine engine(options, graph::Kinds());
    for (int step = 0; step < 100; ++step) {
      const auto before = world.objects();
      const api::Change change = world.Step();
      const std::set<std::string> may = HostsThatMayBeDerived(before, change, options);
      const std::uint64_t derivations = engine.derivations();
      engine.Apply({change});
      EXPECT_LE(engine.derivations() - derivations, may.size()) << change.ref.String();
      // The same change again must derive nothing.
      const std::uint64_t again = engine.derivations();
      engine.Apply({change});
      EXPECT_EQ(engine.derivations(), again) << change.ref.String();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace contour
