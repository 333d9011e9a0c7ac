// SPDX-License-Identifier: Apache-2.0
// Tests that one name stands for one content, with objects by which different clusters, endpoints,
// certificates or hosts would get one name. Each case is built in every order of arrival and
// compared with the virtual hosts that it is made from (tests/support/name_faults.h).

#include "envoy/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "core/pipeline.h"
#include "envoy/cluster.h"
#include "graph/model/cluster.h"
#include "tests/support/certificates.h"
#include "tests/support/name_faults.h"

namespace contour::core {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using xds::ResourceType;

// Two Services whose clusters have one plain name, found by trying 20 million names.
constexpr const char* kVictimNamespace = "payments-team-production-eu-west";
constexpr const char* kVictimService = "checkout-frontend";
constexpr const char* kOtherNamespace = "payments-team-of-somebody-else-x";
constexpr const char* kOtherService = "checkout-0186659c";

template <typename T>
std::shared_ptr<T> Make(const std::string& ns, const std::string& name) {
  auto object = std::make_shared<T>();
  object->meta.ns = ns;
  object->meta.name = name;
  return object;
}

std::shared_ptr<api::Service> Service(const std::string& ns, const std::string& name,
                                      const std::string& protocol = "") {
  auto service = Make<api::Service>(ns, name);
  service->spec.ports.push_back({"", 80, "TCP"});
  if (!protocol.empty())
    service->meta.annotations.emplace_back("contour.heptio.com/upstream-protocol." + protocol,
                                           "80");
  return service;
}

std::shared_ptr<api::EndpointSlice> Slice(const std::string& ns, const std::string& service,
                                          const std::string& address) {
  auto slice = Make<api::EndpointSlice>(ns, service + "-1");
  slice->service_name = service;
  slice->address_type = "IPv4";
  slice->ports.push_back({"", 8080, "TCP"});
  slice->endpoints.emplace_back().addresses.push_back(address);
  return slice;
}

api::IngressRouteService To(const std::string& service) { return {.name = service, .port = 80}; }

api::IngressRouteService Checked(const std::string& service, const std::string& path,
                                 std::int64_t unhealthy = 0, std::int64_t healthy = 0,
                                 const std::string& host = "") {
  api::IngressRouteService to = To(service);
  to.health_check = api::IngressRouteHealthCheck{.path = path,
                                                 .host = host,
                                                 .unhealthy_threshold_count = unhealthy,
                                                 .healthy_threshold_count = healthy};
  return to;
}

std::shared_ptr<api::IngressRoute> Root(const std::string& ns, const std::string& host,
                                        const std::vector<api::IngressRouteService>& services) {
  auto root = Make<api::IngressRoute>(ns, host);
  root->spec.virtualhost = api::IngressRouteVirtualHost{host, std::nullopt};
  root->spec.routes.emplace();
  for (const api::IngressRouteService& service : services) {
    api::IngressRouteRoute& route = root->spec.routes->emplace_back();
    route.match = "/" + std::to_string(root->spec.routes->size());
    route.services.push_back(service);
  }
  return root;
}

std::shared_ptr<api::IngressRoute> Passthrough(const std::string& ns, const std::string& host,
                                               const api::IngressRouteService& service) {
  auto root = Make<api::IngressRoute>(ns, host);
  root->spec.virtualhost = api::IngressRouteVirtualHost{host, api::IngressRouteTLS{"", "", true}};
  root->spec.tcpproxy.emplace().services.push_back(service);
  return root;
}

std::shared_ptr<api::Secret> TLSSecret(const std::string& ns, const std::string& name) {
  static const testing::Pair pair = testing::MakePair("a.example");
  auto secret = Make<api::Secret>(ns, name);
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = pair.certificate;
  secret->tls_key = pair.key;
  return secret;
}

std::shared_ptr<api::Ingress> TLSIngress(const std::string& ns, const std::string& host,
                                         const std::string& secret) {
  auto ingress = Make<api::Ingress>(ns, host);
  ingress->spec.tls.push_back({{host}, secret});
  api::IngressRule rule{.host = host};
  rule.http = {{.path = "/", .backend = {.service = "web", .port_number = 80}}};
  ingress->spec.rules.push_back(rule);
  return ingress;
}

using Objects = std::vector<api::ObjectPtr>;

api::Change Added(const api::ObjectPtr& object) { return {object->Ref(), object}; }
api::Change Gone(const api::ObjectPtr& object) { return {object->Ref(), nullptr}; }

// A pipeline whose snapshot is checked after each step.
class Served {
 public:
  explicit Served(Pipeline::Options options = {}) : options_(options), pipeline_(options) {}

  Pipeline::Output Apply(const std::vector<api::Change>& changes) {
    Pipeline::Output output = pipeline_.Apply(changes);
    snapshot_ = output.snapshot;
    EXPECT_THAT(testing::NameFaults(pipeline_, *snapshot_, options_), IsEmpty());
    return output;
  }
  void Add(const Objects& objects) {
    for (const api::ObjectPtr& object : objects) Apply({Added(object)});
  }

  std::vector<std::string> Names(ResourceType type) const {
    std::vector<std::string> names;
    for (const xds::ResourcePtr& resource : snapshot_->table(type).Sorted())
      names.push_back(resource->name);
    return names;
  }
  std::vector<std::string> ClustersOf(const std::string& host) const {
    return snapshot_->Find(ResourceType::kRoutes, "ingress_http")->parts.Find(host)->clusters;
  }
  const std::string& Bytes(ResourceType type, const std::string& name) const {
    return snapshot_->Find(type, name)->bytes;
  }
  const xds::SnapshotPtr& snapshot() const { return snapshot_; }
  const Pipeline& pipeline() const { return pipeline_; }

 private:
  Pipeline::Options options_;
  Pipeline pipeline_;
  xds::SnapshotPtr snapshot_;
};

// Builds the objects in one batch, in every order one by one, and with each of them going and
// coming again; all must end in the same bytes. Returns the snapshot of the batch.
std::unique_ptr<Served> InEveryOrder(Objects objects, const Pipeline::Options& options = {}) {
  auto served = std::make_unique<Served>(options);
  std::vector<api::Change> changes;
  for (const api::ObjectPtr& object : objects) changes.push_back(Added(object));
  served->Apply(changes);
  std::sort(objects.begin(), objects.end());
  do {
    Served one(options);
    one.Add(objects);
    EXPECT_EQ(one.snapshot()->Version(), served->snapshot()->Version());
    if (one.snapshot()->Version() != served->snapshot()->Version()) break;
  } while (std::next_permutation(objects.begin(), objects.end()));
  for (const api::ObjectPtr& object : objects) {
    Served one(options);
    one.Apply(changes);
    one.Apply({Gone(object)});
    one.Apply({Added(object)});
    EXPECT_EQ(one.snapshot()->Version(), served->snapshot()->Version());
  }
  return served;
}

constexpr const char* kTLSSocket = "envoy.transport_sockets.tls";

TEST(OneNameOneContent, AHealthPathThatLooksLikeAPassthroughProxyKeepsTheUpstreamEncrypted) {
  const auto served = InEveryOrder({Service("default", "web", "tls"),
                                    Root("default", "a.example", {Checked("web", "/tcp")}),
                                    Passthrough("default", "0.example", Checked("web", "/"))});
  const std::vector<std::string> clusters = served->Names(ResourceType::kCluster);
  ASSERT_THAT(clusters, SizeIs(2));
  ASSERT_THAT(served->ClustersOf("a.example"), SizeIs(1));
  const std::string encrypted = served->ClustersOf("a.example")[0];
  for (const std::string& cluster : clusters) {
    EXPECT_THAT(cluster, StartsWith("default/web/80/sha256-"));
    if (cluster == encrypted) {
      EXPECT_THAT(served->Bytes(ResourceType::kCluster, cluster), HasSubstr(kTLSSocket));
    } else {
      EXPECT_THAT(served->Bytes(ResourceType::kCluster, cluster), Not(HasSubstr(kTLSSocket)));
    }
  }
}

TEST(OneNameOneContent, AHealthPathThatLooksLikeAValidationLeavesTheUpstreamVerified) {
  auto ca = Make<api::Secret>("default", "cax");
  ca->ca_crt = testing::MakePair("ca.example").certificate;
  ca->type = "Opaque";
  api::IngressRouteService verified = Checked("web", "/");
  verified.validation = api::IngressRouteUpstreamValidation{"cax", "sub.test"};
  const auto served =
      InEveryOrder({Service("default", "web", "tls"), ca, Root("default", "z.example", {verified}),
                    Root("default", "a.example", {Checked("web", "/caxsub.test")})});
  ASSERT_THAT(served->ClustersOf("z.example"), SizeIs(1));
  EXPECT_THAT(served->Bytes(ResourceType::kCluster, served->ClustersOf("z.example")[0]),
              HasSubstr("sub.test"));
  EXPECT_THAT(served->Names(ResourceType::kCluster),
              ::testing::Each(StartsWith("default/web/80/sha256-")));
}

TEST(OneNameOneContent, HealthCheckNumbersThatJoinToOneTextStayApart) {
  const auto served = InEveryOrder(
      {Service("default", "web"),
       Root("default", "a.example", {Checked("web", "/", 1, 23), Checked("web", "/", 12, 3)})});
  EXPECT_THAT(served->ClustersOf("a.example"), SizeIs(2));
}

TEST(OneNameOneContent, HealthChecksWithOtherHostHeadersStayApart) {
  const auto served = InEveryOrder(
      {Service("default", "web"),
       Root("default", "a.example",
            {Checked("web", "/", 0, 0, "a.example"), Checked("web", "/", 0, 0, "b.example")})});
  EXPECT_THAT(served->ClustersOf("a.example"), SizeIs(2));
}

TEST(OneNameOneContent, ASearchedServiceNameOfAnotherNamespaceDoesntTakeTheTraffic) {
  const Objects victim = {Service(kVictimNamespace, kVictimService),
                          Slice(kVictimNamespace, kVictimService, "10.0.0.1"),
                          Root(kVictimNamespace, "victim.example", {To(kVictimService)})};
  Served before;
  before.Add(victim);
  ASSERT_THAT(before.Names(ResourceType::kCluster), SizeIs(1));
  EXPECT_EQ(before.Names(ResourceType::kCluster)[0].size(),
            std::string("payments-123456/checkout-123456/80/da39a3ee5e").size());

  Objects all = victim;
  all.push_back(Service(kOtherNamespace, kOtherService));
  all.push_back(Root(kOtherNamespace, "a.example", {To(kOtherService)}));
  const auto served = InEveryOrder(all);
  ASSERT_THAT(served->ClustersOf("victim.example"), SizeIs(1));
  const std::string cluster = served->ClustersOf("victim.example")[0];
  EXPECT_THAT(cluster,
              StartsWith(std::string(kVictimNamespace) + "/" + kVictimService + "/80/sha256-"));
  EXPECT_EQ(served->snapshot()->Find(ResourceType::kCluster, cluster)->assignment,
            std::string(kVictimNamespace) + "/" + kVictimService);

  // Once the other has gone, it has its old name again.
  served->Apply({Gone(all.back())});
  EXPECT_EQ(served->ClustersOf("victim.example"), before.ClustersOf("victim.example"));
  served->Apply({Gone(all[3])});
  EXPECT_EQ(served->snapshot()->Version(), before.snapshot()->Version());
}

TEST(OneNameOneContent, NamesThatLookLikeShortenedOnesStayApart) {
  const std::string ns = "it-is-a-truth-universally-acknowledged-that-a-single-man-in-pos";
  graph::Cluster long_one;
  long_one.ns = ns;
  long_one.service = "must-be-in-want-of-a-wife";
  long_one.port = 80;
  const std::string shortened = envoy::ClusterName(long_one);
  const std::size_t slash = shortened.find('/');
  const std::string like_ns = shortened.substr(0, slash);
  const std::string like_service =
      shortened.substr(slash + 1, shortened.find('/', slash + 1) - slash - 1);
  const auto served = InEveryOrder(
      {Service(ns, long_one.service), Root(ns, "victim.example", {To(long_one.service)}),
       Service(like_ns, like_service), Root(like_ns, "a.example", {To(like_service)})});
  EXPECT_THAT(served->ClustersOf("victim.example"), ElementsAre(StartsWith(ns + "/")));
  EXPECT_THAT(served->ClustersOf("a.example"), ElementsAre(StartsWith(like_ns + "/")));
}

// Finds two texts with an equal hash of 24 bits, as an attacker would.
std::pair<std::string, std::string> FindMeeting(
    const std::function<std::string(const std::string&)>& name_of) {
  std::map<std::string, std::string> known;
  for (int i = 0;; ++i) {
    const std::string text = std::to_string(i);
    const auto [other, is_new] = known.try_emplace(name_of(text), text);
    if (!is_new) return {other->second, text};
  }
}

TEST(OneNameOneContent, SecretsWhoseShortNamesMeetStayApart) {
  const std::string beginning = std::string(55, 's') + "-";
  const auto [one, two] = FindMeeting([&](const std::string& text) {
    return envoy::SecretName({.ns = "default", .name = beginning + text});
  });
  for (const envoy::Delivery delivery :
       {envoy::Delivery::kClassic, envoy::Delivery::kShardedHTTPS}) {
    Pipeline::Options options;
    options.listeners.delivery = delivery;
    const auto served =
        InEveryOrder({TLSSecret("default", beginning + one), TLSSecret("default", beginning + two),
                      TLSIngress("default", "a.example", beginning + one),
                      TLSIngress("default", "b.example", beginning + two)},
                     options);
    EXPECT_THAT(served->Names(ResourceType::kSecret), SizeIs(2));
    if (delivery == envoy::Delivery::kShardedHTTPS) continue;
    EXPECT_THAT(served->Names(ResourceType::kSecret),
                ElementsAre(StartsWith("default/" + beginning + one + "/sha256-"),
                            StartsWith("default/" + beginning + two + "/sha256-")));
    // A renewed certificate keeps its name.
    const std::vector<std::string> names = served->Names(ResourceType::kSecret);
    const testing::Pair renewed = testing::MakePair("renewed.example");
    auto secret = TLSSecret("default", beginning + one);
    secret->tls_crt = renewed.certificate;
    secret->tls_key = renewed.key;
    const Pipeline::Output output = served->Apply({Added(secret)});
    EXPECT_EQ(served->Names(ResourceType::kSecret), names);
    EXPECT_THAT(output.secrets, SizeIs(1));
  }
}

// Where HTTPS is sharded, hosts name secrets too: a host must not have the name of a secret.
TEST(OneNameOneContent, AHostThatIsCalledLikeAShortenedSecretDoesntMeetIt) {
  const std::string ns(40, 'n');
  const std::string name(40, 's');
  const std::string host = envoy::HashName(60, {ns, name});
  ASSERT_EQ(host.size(), 60U);
  Pipeline::Options options;
  options.listeners.delivery = envoy::Delivery::kShardedHTTPS;
  auto strict = TLSIngress(ns, "strict.example", name);  // has a filter chain of its own
  strict->meta.annotations.emplace_back("projectcontour.io/tls-minimum-protocol-version", "1.3");
  const auto served = InEveryOrder({TLSSecret(ns, name), strict, TLSSecret("default", "tls"),
                                    TLSIngress("default", host, "tls")},
                                   options);
  EXPECT_THAT(served->Names(ResourceType::kSecret),
              ElementsAre(host, StartsWith(ns + "/" + name + "/sha256-")));
}

// Only manifest folders can have names with the separator.
TEST(OneNameOneContent, EndpointsWhoseNamesWouldJoinAlikeStayApart) {
  const auto served = InEveryOrder(
      {Service("a", "b/c"), Slice("a", "b/c", "10.0.0.1"), Root("a", "one.example", {To("b/c")}),
       Service("a/b", "c"), Slice("a/b", "c", "10.0.0.2"), Root("a/b", "two.example", {To("c")})});
  EXPECT_THAT(served->Names(ResourceType::kEndpoints),
              ElementsAre(StartsWith("a/b/c/sha256-"), StartsWith("a/b/c/sha256-")));
  EXPECT_THAT(served->Names(ResourceType::kCluster),
              ElementsAre(StartsWith("a/b/c/80/sha256-"), StartsWith("a/b/c/80/sha256-")));
  // Changes of the objects reach them.
  served->Apply({Added(Slice("a/b", "c", "10.0.0.3"))});
  int found = 0;
  for (const std::string& name : served->Names(ResourceType::kEndpoints))
    found += served->Bytes(ResourceType::kEndpoints, name).find("10.0.0.3") != std::string::npos;
  EXPECT_EQ(found, 1);
}

// Full names differ by their hashes alone, which tests can shorten until they are equal.
class MeetingHashes : public ::testing::Test {
 protected:
  static Pipeline::Options NoDigits() {
    Pipeline::Options options;
    options.hash_digits = 0;
    return options;
  }
};

TEST_F(MeetingHashes, ClustersWithEqualHashesAnswer503) {
  Served served(NoDigits());
  served.Add(
      {Service("default", "web", "tls"), Root("default", "a.example", {Checked("web", "/tcp")})});
  const api::ObjectPtr proxy = Passthrough("default", "0.example", Checked("web", "/"));
  Pipeline::Output output = served.Apply({Added(proxy)});
  EXPECT_THAT(served.Names(ResourceType::kCluster), ElementsAre("default/web/80/sha256-"));
  EXPECT_EQ(served.Bytes(ResourceType::kCluster, "default/web/80/sha256-"),
            envoy::ClosedCluster("default/web/80/sha256-").resource.bytes);
  EXPECT_THAT(served.Names(ResourceType::kEndpoints), IsEmpty());
  ASSERT_THAT(output.conflicts, SizeIs(2));
  EXPECT_TRUE(output.conflicts[1].closed && output.conflicts[1].begins);
  EXPECT_EQ(output.conflicts[1].name, "default/web/80/sha256-");
  EXPECT_EQ(output.names.closed[xds::Index(ResourceType::kCluster)], 1U);
  EXPECT_EQ(output.names.contested[xds::Index(ResourceType::kCluster)], 1U);

  output = served.Apply({Gone(proxy)});
  EXPECT_THAT(served.Names(ResourceType::kCluster), ElementsAre(Not(HasSubstr("sha256"))));
  EXPECT_THAT(served.Names(ResourceType::kEndpoints), ElementsAre("default/web"));
  ASSERT_THAT(output.conflicts, SizeIs(2));
  EXPECT_FALSE(output.conflicts[0].begins || output.conflicts[1].begins);
  EXPECT_EQ(output.names.closed[xds::Index(ResourceType::kCluster)], 0U);
}

TEST_F(MeetingHashes, EndpointsWithEqualHashesAreEmpty) {
  const auto served = InEveryOrder(
      {Service("a", "b/c"), Slice("a", "b/c", "10.0.0.1"), Root("a", "one.example", {To("b/c")}),
       Service("a/b", "c"), Root("a/b", "two.example", {Checked("c", "/")})},
      NoDigits());
  EXPECT_THAT(served->Names(ResourceType::kEndpoints), ElementsAre("a/b/c/sha256-"));
  EXPECT_TRUE(
      served->snapshot()->Find(ResourceType::kEndpoints, "a/b/c/sha256-")->without_endpoints);
}

TEST_F(MeetingHashes, CertificatesWithEqualHashesAreNotServed) {
  const std::string ns(40, 'n');
  const auto served = InEveryOrder(
      {TLSSecret(ns, "a/b"), TLSSecret(ns + "/a", "b"), TLSIngress(ns, "a.example", ns + "/a/b"),
       TLSIngress(ns + "/a", "b.example", "b")},
      NoDigits());
  EXPECT_THAT(served->Names(ResourceType::kSecret), IsEmpty());
}

TEST_F(MeetingHashes, HostsWithEqualHashesAreNotServed) {
  const std::string one = std::string(60, 'a') + ".example";
  const std::string two = std::string(60, 'b') + ".example";
  Served served(NoDigits());
  served.Add({Service("default", "web"), Root("default", one, {To("web")})});
  const auto routes = [&] {
    return served.snapshot()->Find(ResourceType::kRoutes, "ingress_http")->parts.size();
  };
  EXPECT_EQ(routes(), 1U);
  const Pipeline::Output output = served.Apply({Added(Root("default", two, {To("web")}))});
  EXPECT_EQ(routes(), 0U);
  ASSERT_THAT(output.conflicts, SizeIs(1));
  EXPECT_TRUE(output.conflicts[0].closed);
  served.Apply({Gone(Root("default", one, {}))});
  EXPECT_EQ(routes(), 1U);
}

// A name that becomes contested costs the hosts that read its Services, and no other.
TEST(OneNameOneContent, ARenamedClusterConcernsItsOwnHostsAlone) {
  Served served;
  served.Add({Service("default", "other"), Service("default", "web")});
  for (int i = 0; i < 20; ++i)
    served.Apply({Added(Root("default", "h" + std::to_string(i) + ".example", {To("other")}))});
  served.Add({Root("default", "a.example", {Checked("web", "/", 1, 23)})});
  const auto part = [&](const std::string& host) {
    return served.snapshot()->Find(ResourceType::kRoutes, "ingress_http")->parts.Find(host);
  };
  const xds::PartPtr other = part("h0.example");
  const xds::PartPtr own = part("a.example");
  const std::uint64_t derivations = served.pipeline().engine().derivations();
  served.Add({Root("default", "b.example", {Checked("web", "/", 12, 3)})});
  EXPECT_EQ(part("h0.example"), other);
  EXPECT_NE(part("a.example")->version, own->version);
  EXPECT_EQ(served.pipeline().engine().derivations(), derivations + 1);

  // A third content under the name concerns nobody else.
  const xds::PartPtr renamed = part("a.example");
  served.Add({Root("default", "c.example", {Checked("web", "/", 0, 123)})});
  EXPECT_EQ(part("a.example"), renamed);
}

}  // namespace
}  // namespace contour::core
