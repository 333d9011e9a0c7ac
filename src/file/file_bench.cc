// SPDX-License-Identifier: Apache-2.0
// Measures manifests: parsing, the first read of a large folder, and one edit in it.

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "api/source.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "file/manifest.h"
#include "file/manifest_source.h"

namespace contour::file {
namespace {

constexpr int kObjects = 10'000;

std::string Route(int index, std::string_view prefix = "/") {
  return fmt::format(
      "---\napiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata:\n  name: "
      "route-{0}\n"
      "  namespace: ns-{1}\nspec:\n  virtualhost:\n    fqdn: host-{0}.example.com\n    tls:\n"
      "      secretName: wildcard\n  routes:\n    - match: {2}\n      services:\n        - name: "
      "web\n"
      "          port: 80\n        - name: canary\n          port: 80\n          weight: 10\n"
      "    - match: /api\n      timeoutPolicy:\n        request: 10s\n      services:\n"
      "        - name: api\n          port: 8080\n",
      index, index % 100, prefix);
}

void BM_ParseYaml(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < kObjects; ++i) text += Route(i);
  for (auto _ : state) {
    const auto objects = ParseManifest(text, Format::kYaml);
    if (!objects.ok() || objects->size() != kObjects) return state.SkipWithError("refused");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  state.SetItemsProcessed(state.iterations() * kObjects);
}
BENCHMARK(BM_ParseYaml)->Unit(benchmark::kMillisecond);

// Counts batches.
class CountingSink : public api::Sink {
 public:
  void Apply(std::vector<api::Change>) override {
    const MutexLock lock(mutex_);
    ++batches_;
    changed_.NotifyAll();
  }
  void Synced() override {
    const MutexLock lock(mutex_);
    synced_ = true;
    changed_.NotifyAll();
  }
  void AwaitSynced() {
    const MutexLock lock(mutex_);
    while (!synced_) changed_.Wait(mutex_);
  }
  void AwaitBatch() {
    const MutexLock lock(mutex_);
    while (batches_ == seen_) changed_.Wait(mutex_);
    seen_ = batches_;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool synced_ = false;
  int batches_ = 0;
  int seen_ = 0;
};

// 10,000 files of one object each, 100 in a folder.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "manifests.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    for (int i = 0; i < kObjects; ++i) Write(i, "/");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void Write(int index, std::string_view prefix) const {
    const std::filesystem::path folder = path_ / std::to_string(index / 100);
    std::filesystem::create_directory(folder);
    std::ofstream(folder / fmt::format("{}.yaml", index)) << Route(index, prefix);
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void BM_FirstRead(benchmark::State& state) {
  log::SetLevel(log::Level::kWarning);
  const Folder folder;
  for (auto _ : state) {
    CountingSink sink;
    ManifestSource source(folder.path());
    if (!source.Start(sink).ok()) return state.SkipWithError("not started");
    sink.AwaitSynced();
  }
  state.SetItemsProcessed(state.iterations() * kObjects);
}
BENCHMARK(BM_FirstRead)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_OneEdit(benchmark::State& state) {
  log::SetLevel(log::Level::kWarning);
  const Folder folder;
  CountingSink sink;
  ManifestSource source(folder.path());
  if (!source.Start(sink).ok()) return state.SkipWithError("not started");
  sink.AwaitSynced();
  sink.AwaitBatch();
  int edit = 0;
  for (auto _ : state) {
    ++edit;
    folder.Write(edit % kObjects, fmt::format("/{}", edit));
    sink.AwaitBatch();
  }
}
BENCHMARK(BM_OneEdit)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace contour::file
