// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: runs any manifest through parsing, derivation and translation. The snapshot
// must have no names that Envoy could not resolve. Objects that come one by one must give the same
// as all at once, and when they are removed, nothing must be left. A manifest that begins with the
// comment
// `#sharded` or `#sharded-https` uses that delivery mode.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/source.h"
#include "core/pipeline.h"
#include "file/manifest.h"
#include "tests/support/closed_snapshot.h"

namespace {

using contour::api::Change;
using contour::core::Pipeline;

void Check(const contour::xds::Snapshot& snapshot) {
  const std::vector<std::string> faults = contour::testing::Faults(snapshot);
  for (const std::string& fault : faults) std::fprintf(stderr, "fault: %s\n", fault.c_str());
  if (!faults.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto objects = contour::file::ParseManifest(text, contour::file::Format::kYaml, "default",
                                                    {.max_json_bytes = 1 << 20, .max_depth = 50});
  if (!objects.ok() || objects->empty()) return 0;

  Pipeline::Options options;
  if (text.starts_with("#sharded-https")) {
    options.listeners.delivery = contour::envoy::Delivery::kShardedHTTPS;
  } else if (text.starts_with("#sharded")) {
    options.listeners.delivery = contour::envoy::Delivery::kSharded;
  }
  const contour::Hash128 nothing = Pipeline(options).Apply({}).snapshot->Version();
  std::map<contour::api::ObjectRef, contour::api::ObjectPtr> last;  // the last of a name counts
  std::vector<Change> changes;
  for (const contour::api::ObjectPtr& object : *objects) {
    changes.push_back({object->Ref(), object});
    last[object->Ref()] = object;
  }
  Pipeline one_by_one(options);
  for (const Change& change : changes) Check(*one_by_one.Apply({change}).snapshot);
  Pipeline at_once(options);
  const contour::xds::SnapshotPtr snapshot = at_once.Apply(changes).snapshot;
  if (!(one_by_one.Apply({}).snapshot->Version() == snapshot->Version())) std::abort();
  for (const auto& [ref, object] : last) Check(*one_by_one.Apply({{ref, nullptr}}).snapshot);
  if (!(one_by_one.Apply({}).snapshot->Version() == nothing)) std::abort();
  return 0;
}
