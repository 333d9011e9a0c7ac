// SPDX-License-Identifier: Apache-2.0

#include "core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <ctime>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "envoy/names.h"
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

// Collects the outputs.
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

// Objects that weren't delivered yet don't count as absent: an empty build would remove every route
// from every Envoy.
TEST(Core, BuildsNothingBeforeThereIsASource) {
  Recorder recorder;
  Core core({}, recorder.Handler());
  core.Start();
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(core.built());
  api::Sink& source = core.AddSource();
  source.Apply({Root("a")});
  source.Synced();
  EXPECT_TRUE(recorder.WaitForStatuses(1));
  EXPECT_EQ(recorder.batches(), 1U);
}

// An expired certificate is served, and the output has its expiry.
TEST(Pipeline, ReportsTheServedCertificatesAndTheirExpiry) {
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

// Plain HTTP of hosts; the host "" is the default host.
class PlainHosts {
 public:
  explicit PlainHosts(envoy::Delivery delivery) : pipeline_(Options(delivery)) {
    for (const char* name : {"web", "other"}) {
      auto service = std::make_shared<api::Service>();
      service->meta.ns = "default";
      service->meta.name = name;
      service->spec.ports.push_back({.name = "http", .port = 80});
      snapshot_ = pipeline_.Apply({{service->Ref(), service}}).snapshot;
    }
  }

  // Returns which resources and parts came, changed or went, without clusters and endpoints.
  std::vector<std::string> Set(const std::string& host, const std::string& service = "web") {
    auto ingress = std::make_shared<api::Ingress>();
    ingress->meta.ns = "default";
    ingress->meta.name = "host-" + (host.starts_with("*") ? "any" + host.substr(1)
                                    : host.empty()        ? "default"
                                                          : host);
    api::IngressRule rule{.host = host};
    rule.http = {{.path = "/", .backend = {.service = service, .port_number = 80}}};
    ingress->spec.rules.push_back(rule);
    const std::map<std::string, std::string> before = Versions();
    snapshot_ = pipeline_.Apply({{ingress->Ref(), ingress}}).snapshot;
    std::vector<std::string> changed;
    for (const auto& [name, version] : Versions()) {
      const auto known = before.find(name);
      if (known == before.end() || known->second != version) changed.push_back(name);
    }
    return changed;
  }

 private:
  static Pipeline::Options Options(envoy::Delivery delivery) {
    Pipeline::Options options;
    options.listeners.delivery = delivery;
    return options;
  }
  std::map<std::string, std::string> Versions() const {
    std::map<std::string, std::string> versions;
    for (const xds::ResourceType type : {xds::ResourceType::kListener, xds::ResourceType::kRoutes,
                                         xds::ResourceType::kScopedRoutes}) {
      for (const xds::ResourcePtr& resource : snapshot_->table(type).Sorted()) {
        if (type != xds::ResourceType::kRoutes)
          versions[resource->name + " of " + std::string(xds::Info(type).name)] =
              resource->version.Hex();
        for (const xds::PartPtr& part : resource->parts.Sorted())
          versions[part->name + " in " + resource->name] = part->version.Hex();
      }
    }
    return versions;
  }

  Pipeline pipeline_;
  xds::SnapshotPtr snapshot_;
};

// Names that a wildcard host doesn't take go to the default host, which isn't a part of the
// wildcard.
TEST(Wildcards, AChangedDefaultHostTouchesNoWildcardHost) {
  using ::testing::ElementsAre;
  PlainHosts classic(envoy::Delivery::kClassic);
  for (int i = 0; i < 50; ++i) classic.Set("*.host-" + std::to_string(i) + ".example");
  classic.Set("");
  EXPECT_THAT(classic.Set("", "other"), ElementsAre("* in ingress_http"));
  PlainHosts sharded(envoy::Delivery::kSharded);
  for (int i = 0; i < 50; ++i) sharded.Set("*.host-" + std::to_string(i) + ".example");
  sharded.Set("");
  EXPECT_THAT(sharded.Set("", "other"), ElementsAre("* of SRDS"));
}

TEST(Wildcards, TheListenerChangesWithTheFirstOnly) {
  using ::testing::ElementsAre;
  using ::testing::UnorderedElementsAre;
  PlainHosts classic(envoy::Delivery::kClassic);
  classic.Set("a.example");
  EXPECT_THAT(classic.Set("*.example"), ElementsAre("*.example in ingress_http"));
  EXPECT_THAT(classic.Set(""),  // the two together
              UnorderedElementsAre("* in ingress_http", "ingress_http of LDS"));
  EXPECT_THAT(classic.Set("*.a.b.example"), ElementsAre("*.a.b.example in ingress_http"));
  PlainHosts sharded(envoy::Delivery::kSharded);
  sharded.Set("a.example");
  EXPECT_THAT(sharded.Set("*.example"),
              UnorderedElementsAre("*.example of SRDS", "ingress_http of LDS"));
  EXPECT_THAT(sharded.Set("*.a.b.example"), ElementsAre("*.a.b.example of SRDS"));
}

// A Service `web` with Ingresses and Secrets of hosts that are served by TLS.
class TLSHosts {
 public:
  TLSHosts() : pipeline_(Options()) {
    auto service = std::make_shared<api::Service>();
    service->meta.ns = "default";
    service->meta.name = "web";
    service->spec.ports.push_back({.name = "http", .port = 80});
    pipeline_.Apply({{service->Ref(), service}});
  }

  static api::Change Secret(const std::string& host) {
    static const testing::Pair pair = testing::MakePair("a.example");
    auto secret = std::make_shared<api::Secret>();
    secret->meta.ns = "default";
    secret->meta.name = "tls-" + (host.starts_with("*") ? "wildcard" + host.substr(1) : host);
    secret->type = "kubernetes.io/tls";
    secret->tls_crt = pair.certificate;
    secret->tls_key = pair.key;
    return {secret->Ref(), secret};
  }
  static api::Change Ingress(const std::string& host, const std::string& minimum_version = "") {
    const std::string secret = Secret(host).ref.name;
    auto made = std::make_shared<api::Ingress>();
    made->meta.ns = "default";
    made->meta.name = secret;
    if (!minimum_version.empty())
      made->meta.annotations.emplace_back("projectcontour.io/tls-minimum-protocol-version",
                                          minimum_version);
    made->spec.tls.push_back({{host}, secret});
    api::IngressRule rule{.host = host};
    rule.http = {{.path = "/", .backend = {.service = "web", .port_number = 80}}};
    made->spec.rules.push_back(rule);
    return {made->Ref(), made};
  }

  void Add(const std::string& host, const std::string& minimum_version = "") {
    snapshot_ = pipeline_.Apply({Secret(host), Ingress(host, minimum_version)}).snapshot;
  }
  void Remove(const std::string& host) {
    snapshot_ = pipeline_.Apply({{Ingress(host).ref, nullptr}}).snapshot;
  }
  std::vector<std::string> Names(xds::ResourceType type) const {
    std::vector<std::string> names;
    for (const xds::ResourcePtr& resource : snapshot_->table(type).Sorted())
      names.push_back(resource->name);
    return names;
  }
  xds::ResourcePtr Listener() const {
    return snapshot_->Find(xds::ResourceType::kListener, envoy::kIngressHTTPS);
  }
  std::vector<std::string> Chains() const {
    std::vector<std::string> names;
    if (Listener() == nullptr) return names;
    for (const xds::PartPtr& part : Listener()->parts.Sorted()) names.push_back(part->name);
    return names;
  }
  const Pipeline& pipeline() const { return pipeline_; }

 private:
  static Pipeline::Options Options() {
    Pipeline::Options options;
    options.listeners.delivery = envoy::Delivery::kShardedHTTPS;
    return options;
  }

  Pipeline pipeline_;
  xds::SnapshotPtr snapshot_;
};

TEST(ShardedHTTPS, ANewHostLeavesTheListenerAlone) {
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  TLSHosts hosts;
  hosts.Add("a.example");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kSecret), ElementsAre("a.example"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kListener),
              ElementsAre("certificates/", "ingress_http", "ingress_https", "stats-health"));
  const xds::ResourcePtr before = hosts.Listener();
  hosts.Add("b.example");
  EXPECT_EQ(hosts.Listener()->version, before->version);
  EXPECT_THAT(hosts.Names(xds::ResourceType::kSecret), ElementsAre("a.example", "b.example"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kScopedRoutes),
              ElementsAre("a.example", "b.example", "https/a.example", "https/b.example"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kRoutes), IsEmpty());

  std::vector<std::string> resources;
  for (const ResourceView& resource : hosts.pipeline().DescribeHost("b.example").resources) {
    resources.push_back(std::string(xds::Info(resource.type).name) + " " + resource.name +
                        (resource.part.empty() ? "" : " " + resource.part));
  }
  EXPECT_THAT(resources, ElementsAre(::testing::StartsWith("CDS "), "EDS default/web/http",
                                     "LDS ingress_https *", "LDS certificates/", "SRDS b.example",
                                     "SRDS https/b.example", "SDS b.example"));
  const auto sources = hosts.pipeline().provenance().SourcesOf(
      {xds::ResourceType::kSecret, "b.example", std::nullopt}, 5);
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(sources[0].ref, TLSHosts::Secret("b.example").ref);
  EXPECT_EQ(sources[1].ref, TLSHosts::Ingress("b.example").ref);

  hosts.Remove("a.example");
  hosts.Remove("b.example");
  EXPECT_THAT(hosts.Names(xds::ResourceType::kListener), ElementsAre("stats-health"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kSecret), IsEmpty());
}

// Settings of its own follow from the host alone; whether a wildcard's chain would take it does
// not.
TEST(ShardedHTTPS, SomeHostsKeepAChainOfTheirOwn) {
  using ::testing::ElementsAre;
  TLSHosts hosts;
  hosts.Add("a.example");
  hosts.Add("strict.example", "1.3");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*", "strict.example"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kSecret),
              ElementsAre("a.example", "default/tls-strict.example"));
  hosts.Add("b.a.wild.example");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*", "strict.example"));
  hosts.Add("*.wild.example");
  EXPECT_THAT(hosts.Chains(),
              ElementsAre("*", "*.wild.example", "b.a.wild.example", "strict.example"));
  hosts.Add("wild.example");
  hosts.Add("a.wild.example");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*", "*.wild.example", "a.wild.example",
                                          "b.a.wild.example", "strict.example"));
  hosts.Remove("*.wild.example");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*", "strict.example"));
  hosts.Add("strict.example");
  EXPECT_THAT(hosts.Chains(), ElementsAre("*"));
  EXPECT_THAT(hosts.Names(xds::ResourceType::kSecret),
              ElementsAre("a.example", "a.wild.example", "b.a.wild.example", "strict.example",
                          "wild.example"));
}

// There could already be a build without the source's objects, and Envoys would see an empty state.
TEST(CoreDeathTest, NoSourceComesAfterTheStart) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Core core({}, [](const Pipeline::Output&) {});
  core.AddSource();
  core.Start();
  EXPECT_DEATH(core.AddSource(), "AddSource after Start");
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

TEST(Core, AnswersQuestionsBetweenBatches) {
  Recorder recorder;
  Core core({}, recorder.Handler());
  const auto roots = [](const std::string& host) {
    return [host](const Pipeline& pipeline) { return pipeline.DescribeHost(host).graph.roots; };
  };
  EXPECT_EQ(core.Ask(roots("a.example"), 10s), std::nullopt) << "it doesn't run";
  api::Sink& source = core.AddSource();
  core.Start();
  EXPECT_THAT(core.Ask(roots("a.example"), 10s), ::testing::Optional(::testing::IsEmpty()));
  source.Apply({Root("a")});
  source.Synced();
  ASSERT_TRUE(recorder.WaitForStatuses(1));
  EXPECT_THAT(core.Ask(roots("a.example"), 10s),
              ::testing::Optional(::testing::ElementsAre(Root("a").ref)));
  core.Stop();
  EXPECT_EQ(core.Ask(roots("a.example"), 10s), std::nullopt);
}

// Pages that are read while the core is busy cause no work later.
TEST(Core, AQuestionWhoseAskerHasGoneIsNotAnswered) {
  std::promise<void> entered;
  std::promise<void> go;
  Core core({}, [&](const Pipeline::Output&) {
    entered.set_value();
    go.get_future().wait();
  });
  core.AddSource().Synced();
  core.Start();
  entered.get_future().wait();
  const auto answered = std::make_shared<std::promise<void>>();
  EXPECT_EQ(core.Ask(
                [answered](const Pipeline&) {
                  answered->set_value();
                  return 7;
                },
                1ms),
            std::nullopt);
  go.set_value();
  EXPECT_THAT(core.Ask([](const Pipeline&) { return 8; }, 10s), ::testing::Optional(8));
  EXPECT_EQ(answered->get_future().wait_for(0s), std::future_status::timeout);
}

TEST(Core, MeasuresItsBatches) {
  std::size_t observed = 0;
  Recorder recorder;
  Core core({.observer =
                 [&](const Core::Batch& batch) {
                   observed += batch.changes.size();
                   EXPECT_GT(batch.derived.count(), 0);
                 }},
            recorder.Handler());
  api::Sink& source = core.AddSource();
  core.Start();
  source.Apply({Root("a"), Root("b")});
  source.Synced();
  EXPECT_TRUE(recorder.WaitForStatuses(2));
  core.Stop();
  EXPECT_EQ(observed, 2U);
  EXPECT_EQ(core.statistics().derive.Count(), 1U);
  EXPECT_EQ(core.statistics().wait.Count(), 1U);
}

// A view has the sources of a host and its resources.
TEST(Pipeline, DescribesHostsAndObjects) {
  const testing::Pair pair = testing::MakePair("a.example");
  auto secret = std::make_shared<api::Secret>();
  secret->meta.ns = "default";
  secret->meta.name = "tls";
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = pair.certificate;
  secret->tls_key = pair.key;
  auto service = std::make_shared<api::Service>();
  service->meta.ns = "default";
  service->meta.name = "web";
  service->spec.ports.push_back({.name = "http", .port = 80});
  auto slice = std::make_shared<api::EndpointSlice>();
  slice->meta.ns = "default";
  slice->meta.name = "web-1";
  slice->service_name = "web";
  const auto ingress = [](const std::string& name, const std::string& backend) {
    auto made = std::make_shared<api::Ingress>();
    made->meta.ns = "default";
    made->meta.name = name;
    made->spec.tls.push_back({{name + ".example"}, "tls"});
    api::IngressRule rule{.host = name + ".example"};
    rule.http = {{.path = "/", .backend = {.service = backend, .port_number = 80}}};
    made->spec.rules.push_back(rule);
    return made;
  };
  Pipeline pipeline({});
  pipeline.Apply({{secret->Ref(), secret},
                  {service->Ref(), service},
                  {slice->Ref(), slice},
                  {ingress("a", "web")->Ref(), ingress("a", "web")},
                  {ingress("b", "none")->Ref(), ingress("b", "none")}});

  const HostView a = pipeline.DescribeHost("a.example");
  EXPECT_THAT(a.graph.roots, ::testing::ElementsAre(ingress("a", "")->Ref()));
  EXPECT_THAT(a.graph.read, ::testing::UnorderedElementsAre(ingress("a", "")->Ref(), secret->Ref(),
                                                            service->Ref()));
  EXPECT_THAT(a.graph.missing, ::testing::IsEmpty());
  std::vector<std::string> resources;
  for (const ResourceView& resource : a.resources) {
    EXPECT_EQ(resource.version.size(), 32U);
    resources.push_back(std::string(xds::Info(resource.type).name) + " " + resource.name +
                        (resource.part.empty() ? "" : " " + resource.part));
  }
  EXPECT_THAT(resources, ::testing::ElementsAre(
                             ::testing::StartsWith("CDS default/web/80/"), "EDS default/web/http",
                             "LDS ingress_https a.example", "RDS ingress_http a.example",
                             "RDS ingress_https a.example", "SDS default/tls"));

  const HostView b = pipeline.DescribeHost("b.example");
  EXPECT_THAT(b.graph.missing,
              ::testing::ElementsAre(api::ObjectRef{api::Kind::kService, "default", "none"}));
  EXPECT_THAT(b.graph.problems, ::testing::SizeIs(1));

  const auto hosts = [&](const api::ObjectRef& ref) {
    return pipeline.DescribeObject(ref, 1).object.hosts;
  };
  EXPECT_THAT(hosts(secret->Ref()), ::testing::ElementsAre("a.example", "b.example"));
  EXPECT_THAT(pipeline.DescribeObject(secret->Ref(), 1).hosts, ::testing::SizeIs(1));
  EXPECT_THAT(hosts(slice->Ref()), ::testing::ElementsAre("a.example"));
  EXPECT_THAT(hosts({api::Kind::kService, "default", "none"}), ::testing::ElementsAre("b.example"));
  EXPECT_FALSE(pipeline.DescribeObject({api::Kind::kService, "default", "none"}, 1).object.exists);
  EXPECT_THAT(hosts({api::Kind::kService, "default", "unknown"}), ::testing::IsEmpty());
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
