// SPDX-License-Identifier: Apache-2.0

#include "core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <ctime>
#include <future>
#include <mutex>
#include <thread>

#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "tests/support/certificates.h"

namespace contour::core {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

api::Change Root(const std::string& name) {
  auto route = std::make_shared<api::IngressRoute>();
  route->meta.ns = "default";
  route->meta.name = name;
  route->spec.virtualhost = api::IngressRouteVirtualHost{name + ".example", std::nullopt};
  return {route->Ref(), route};
}

// Outputs as they come.
class Recorder {
 public:
  Core::Handler Handler() {
    return [this](const Pipeline::Output& output) {
      const std::lock_guard lock(mutex_);
      statuses_ += output.statuses.size();
      ++batches_;
      changed_.notify_all();
    };
  }
  bool WaitForStatuses(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return statuses_ >= count; });
  }
  std::size_t batches() {
    const std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t statuses_ = 0;
  std::size_t batches_ = 0;
};

TEST(Core, BuildsOnceAfterAllSourcesAreSynced) {
  Recorder recorder;
  Core core({}, recorder.Handler());
  api::Sink& first = core.AddSource();
  api::Sink& second = core.AddSource();
  core.Start();
  first.Apply({Root("a")});
  first.Synced();
  second.Apply({Root("b")});
  std::this_thread::sleep_for(20ms);  // long enough for a build that must not happen
  EXPECT_FALSE(core.built());
  EXPECT_EQ(recorder.batches(), 0U);
  second.Synced();
  EXPECT_TRUE(recorder.WaitForStatuses(2));
  EXPECT_TRUE(core.built());
  EXPECT_EQ(recorder.batches(), 1U);
}

// An expired certificate is served, and whoever has a clock can tell.
TEST(Pipeline, TellsWhichCertificatesAreServedAndUntilWhen) {
  const testing::Pair pair = testing::MakePair("old.example", -1);
  auto secret = std::make_shared<api::Secret>();
  secret->meta.ns = "default";
  secret->meta.name = "tls";
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = pair.certificate;
  secret->tls_key = pair.key;
  auto ingress = std::make_shared<api::Ingress>();
  ingress->meta.ns = "default";
  ingress->meta.name = "old";
  ingress->spec.tls.push_back({{"old.example"}, "tls"});

  Pipeline pipeline({});
  const Pipeline::Output came =
      pipeline.Apply({{secret->Ref(), secret}, {ingress->Ref(), ingress}});
  ASSERT_EQ(came.secrets.size(), 1U);
  EXPECT_EQ(came.secrets[0].first, "default/tls");
  ASSERT_NE(came.secrets[0].second, nullptr);
  EXPECT_NEAR(static_cast<double>(came.secrets[0].second->not_after - std::time(nullptr)), -86400.0,
              100.0);
  const Pipeline::Output went = pipeline.Apply({{ingress->Ref(), nullptr}});
  ASSERT_EQ(went.secrets.size(), 1U);
  EXPECT_EQ(went.secrets[0].second, nullptr);
}

TEST(Core, BuildsAlsoWithoutAnyObject) {
  std::promise<xds::SnapshotPtr> built;
  Core core({}, [&](const Pipeline::Output& output) { built.set_value(output.snapshot); });
  api::Sink& source = core.AddSource();
  core.Start();
  source.Synced();
  auto future = built.get_future();
  ASSERT_EQ(future.wait_for(10s), std::future_status::ready);
  EXPECT_NE(future.get(), nullptr);
}

TEST(Core, GathersWhatArrivesInAStorm) {
  Recorder recorder;
  Core core({.pipeline = {}, .floor = 50ms}, recorder.Handler());
  api::Sink& source = core.AddSource();
  core.Start();
  source.Synced();
  for (int i = 0; i < 200; ++i) source.Apply({Root("r" + std::to_string(i))});
  EXPECT_TRUE(recorder.WaitForStatuses(200));
  EXPECT_LE(recorder.batches(), 10U);
  core.Stop();
  EXPECT_EQ(core.statistics().changes, 200U);
}

TEST(Core, StopsWithWorkInTheQueue) {
  Core core({}, [](const Pipeline::Output&) {});
  api::Sink& source = core.AddSource();
  core.Start();
  source.Apply({Root("a")});
  core.Stop();
  source.Apply({Root("b")});  // refused, no harm
}

}  // namespace
}  // namespace contour::core
