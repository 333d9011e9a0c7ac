// SPDX-License-Identifier: Apache-2.0
// Tests properties that fixtures can't show: which changes cause work, the limits of size, and the
// order in which statuses count. (tests/fixtures show the meaning of objects.)

#include "graph/engine/engine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/test_objects.h"
#include "graph/kinds/kinds.h"
#include "graph/model/route.h"
#include "tests/support/certificates.h"

namespace contour::graph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class EngineTest : public ::testing::Test {
 protected:
  // Returns the object from JSON; `spec` may have more than a spec: `"spec":{…},"status":{…}`.
  static api::Change Parsed(const std::string& api_version, const std::string& kind,
                            const std::string& ns, const std::string& name, const std::string& body,
                            const std::string& annotations = "") {
    api::Parser parser;
    const auto parsed = parser.Parse(
        fmt::format(R"({{"apiVersion":"{}","kind":"{}","metadata":{{"namespace":"{}","name":"{}",)"
                    R"("annotations":{{{}}}}},{}}})",
                    api_version, kind, ns, name, annotations, body));
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return {parsed->object->Ref(), parsed->object};
  }
  static api::Change Service(const std::string& ns, const std::string& name,
                             const std::string& annotations = "", int port = 80) {
    return Parsed("v1", "Service", ns, name,
                  fmt::format(R"("spec":{{"ports":[{{"port":{}}}]}})", port), annotations);
  }
  static api::Change Route(const std::string& ns, const std::string& name, const std::string& spec,
                           const std::string& annotations = "") {
    return Parsed("contour.heptio.com/v1beta1", "IngressRoute", ns, name, "\"spec\":" + spec,
                  annotations);
  }
  static api::Change Secret(const std::string& ns, const std::string& name,
                            const testing::Pair& pair) {
    auto secret = std::make_shared<api::Secret>();
    secret->meta.ns = ns;
    secret->meta.name = name;
    secret->type = "kubernetes.io/tls";
    secret->tls_crt = pair.certificate;
    secret->tls_key = pair.key;
    return {secret->Ref(), secret};
  }
  static api::Change Gone(const api::Change& change) { return {change.ref, nullptr}; }

  Engine::Update Apply(const std::vector<api::Change>& changes) { return engine_.Apply(changes); }

  // Returns how many derivations a change causes.
  std::uint64_t Work(const api::Change& change) {
    const std::uint64_t before = engine_.derivations();
    Apply({change});
    return engine_.derivations() - before;
  }

  std::string StatusOf(const std::string& ns, const std::string& name) {
    const Status* status = engine_.FindStatus({api::Kind::kIngressRoute, ns, name});
    return status == nullptr ? "none"
                             : fmt::format("{}: {} [{}]{}", status->Summary().reason.view(),
                                           status->Summary().message, status->entries[0]->vhost,
                                           status->IsMissing() ? " missing" : "");
  }

  Engine engine_{Options(), Kinds()};
};

constexpr const char* kRootSpec =
    R"({"virtualhost":{"fqdn":"a.example"},"routes":[{"match":"/","services":[{"name":"kuard","port":80}]}]})";

TEST_F(EngineTest, UnreadServicesAndSecretsCauseNoWork) {
  const testing::Pair pair = testing::MakePair("a.example");
  EXPECT_EQ(Work(Route("default", "root", kRootSpec)), 1U);
  for (const api::Change& change :
       {Service("default", "other"), Service("marketing", "kuard"), Secret("default", "tls", pair),
        Secret("marketing", "tls", pair)}) {
    EXPECT_EQ(Work(change), 0U) << change.ref.String();
  }
  EXPECT_EQ(Work(Service("default", "other", R"("contour.heptio.com/max-requests":"7")")), 0U);
  EXPECT_EQ(Work(Secret("default", "tls", testing::MakePair("b.example"))), 0U);
  EXPECT_EQ(Work(Gone(Service("default", "other"))), 0U);
  EXPECT_EQ(Work(Gone(Secret("default", "tls", pair))), 0U);
}

TEST_F(EngineTest, ReadOnesDoAlsoWhenTheyWereAbsent) {
  Apply({Route("default", "root", kRootSpec)});
  EXPECT_EQ(Work(Service("default", "kuard")), 1U);
  EXPECT_EQ(Work(Service("default", "kuard")), 0U) << "the same again";
  EXPECT_EQ(Work(Service("default", "kuard", R"("contour.heptio.com/max-requests":"7")")), 1U);
  EXPECT_EQ(Work(Gone(Service("default", "kuard"))), 1U);
}

TEST_F(EngineTest, RoutesToOneServiceShareItsCluster) {
  Apply({Service("default", "kuard"), Service("default", "other"),
         Route("default", "root",
               R"({"virtualhost":{"fqdn":"a.example"},"routes":[)"
               R"({"match":"/","services":[{"name":"kuard","port":80}]},)"
               R"({"match":"/b","services":[{"name":"other","port":80}]},)"
               R"({"match":"/c","services":[{"name":"kuard","port":80}]}]})")});
  const VirtualHostPtr& host = engine_.FindVirtualHost("a.example");
  ASSERT_NE(host, nullptr);
  ASSERT_THAT(host->Find(kHTTPListener)->routes, SizeIs(3));  // /c, /b, /
  const auto cluster = [&](std::size_t route) {
    return std::get<RouteAction>(host->Find(kHTTPListener)->routes[route].action)
        .clusters.front()
        .cluster;
  };
  EXPECT_EQ(cluster(0), cluster(2));
  EXPECT_EQ(cluster(1)->service, "other");
}

TEST_F(EngineTest, SecretOfAnotherNamespaceIsReadByThoseWhoNameIt) {
  const testing::Pair pair = testing::MakePair("a.example");
  const std::string spec =
      R"({"virtualhost":{"fqdn":"a.example","tls":{"secretName":"certs/tls"}},"routes":[]})";
  Apply({Route("default", "root", spec)});
  EXPECT_EQ(Work(Secret("certs", "tls", pair)), 1U);
  const auto delegation = [&](const char* target) {
    return Parsed(
        "contour.heptio.com/v1beta1", "TLSCertificateDelegation", "certs", "one",
        fmt::format(
            R"("spec":{{"delegations":[{{"secretName":"tls","targetNamespaces":["{}"]}}]}})",
            target));
  };
  EXPECT_EQ(Work(delegation("other")), 1U);
  EXPECT_EQ(StatusOf("default", "root"),
            "invalid: TLS Secret [certs/tls]: certificate delegation not permitted [] missing");
  EXPECT_EQ(Work(delegation("default")), 1U);
  EXPECT_EQ(StatusOf("default", "root"), "valid: valid IngressRoute [a.example]");
  ASSERT_NE(engine_.FindVirtualHost("a.example"), nullptr);
  EXPECT_GT(engine_.FindVirtualHost("a.example")->Find(kHTTPSListener)->secret->not_after, 0);
}

// Each of many tenants has a delegation for its own certificate, all in one namespace.
TEST_F(EngineTest, AChangedDelegationDerivesOnlyTheHostsThatNameItsSecret) {
  const testing::Pair pair = testing::MakePair("a.example");
  const auto delegation = [](int i, const char* target) {
    return Parsed("contour.heptio.com/v1beta1", "TLSCertificateDelegation", "certs",
                  fmt::format("d{}", i),
                  fmt::format(R"("spec":{{"delegations":[)"
                              R"({{"secretName":"s{}","targetNamespaces":["{}"]}}]}})",
                              i, target));
  };
  for (int i = 0; i < 20; ++i) {
    Apply({Secret("certs", fmt::format("s{}", i), pair), delegation(i, "default"),
           Route("default", fmt::format("r{}", i),
                 fmt::format(R"({{"virtualhost":{{"fqdn":"h{}.example",)"
                             R"("tls":{{"secretName":"certs/s{}"}}}},"routes":[]}})",
                             i, i))});
  }
  EXPECT_EQ(Work(delegation(7, "other")), 1U);
  EXPECT_EQ(StatusOf("default", "r7"),
            "invalid: TLS Secret [certs/s7]: certificate delegation not permitted [] missing");
  EXPECT_EQ(StatusOf("default", "r8"), "valid: valid IngressRoute [h8.example]");
  EXPECT_EQ(Work(delegation(7, "*")), 1U) << "of every namespace";
  EXPECT_EQ(StatusOf("default", "r7"), "valid: valid IngressRoute [h7.example]");
  EXPECT_EQ(Work(delegation(100, "default")), 0U) << "nobody names that Secret";
  EXPECT_EQ(Work(Gone(delegation(7, "*"))), 1U);
  EXPECT_EQ(StatusOf("default", "r7"),
            "invalid: TLS Secret [certs/s7]: certificate delegation not permitted [] missing");
}

TEST_F(EngineTest, StatusOnlyUpdateCausesNothing) {
  const auto with_status = [](const char* description) {
    return Parsed(
        "contour.heptio.com/v1beta1", "IngressRoute", "default", "root",
        fmt::format(R"("spec":{},"status":{{"currentStatus":"valid","description":"{}"}})",
                    kRootSpec, description));
  };
  Apply({Service("default", "kuard"), with_status("")});
  const std::uint64_t before = engine_.derivations();
  const Engine::Update update = Apply({with_status("valid IngressRoute")});
  EXPECT_EQ(engine_.derivations(), before);
  EXPECT_THAT(update.hosts, IsEmpty());
  EXPECT_THAT(update.statuses, IsEmpty());
  const auto* object =
      api::As<api::IngressRoute>(engine_.FindObject({api::Kind::kIngressRoute, "default", "root"}));
  EXPECT_EQ(object->status.description, "valid IngressRoute") << "it is known all the same";
}

TEST_F(EngineTest, EqualResultsStopThere) {
  Apply({Service("default", "kuard"), Route("default", "root", kRootSpec)});
  const VirtualHostPtr before = engine_.FindVirtualHost("a.example");
  const Engine::Update update =
      Apply({Parsed("v1", "Service", "default", "kuard",
                    R"("spec":{"ports":[{"port":80},{"name":"admin","port":8080}]})")});
  EXPECT_THAT(update.hosts, IsEmpty());
  EXPECT_EQ(engine_.FindVirtualHost("a.example"), before) << "the very same object";
}

TEST_F(EngineTest, ObjectLeavesWhenItsClassChanges) {
  const std::string ours = R"("contour.heptio.com/ingress.class":"contour")";
  const std::string foreign = R"("contour.heptio.com/ingress.class":"nginx")";
  Apply({Service("default", "kuard"), Route("default", "root", kRootSpec, ours)});
  EXPECT_NE(engine_.FindVirtualHost("a.example"), nullptr);
  const Engine::Update update = Apply({Route("default", "root", kRootSpec, foreign)});
  EXPECT_THAT(update.hosts, ElementsAre("a.example"));
  ASSERT_THAT(update.statuses, SizeIs(1));
  EXPECT_EQ(update.statuses[0].second, std::nullopt) << "not ours to speak of any more";
  EXPECT_EQ(engine_.FindVirtualHost("a.example"), nullptr);
  EXPECT_EQ(Work(Route("default", "root", kRootSpec, foreign)), 0U);
  Apply({Route("default", "root", kRootSpec, ours)});
  EXPECT_NE(engine_.FindVirtualHost("a.example"), nullptr);
}

TEST_F(EngineTest, EditOfOneRuleOfAnIngressDerivesItsHostOnly) {
  const auto ingress = [](const std::string& first_path) {
    std::string rules;
    for (int i = 0; i < 10; ++i) {
      rules += fmt::format(
          R"({}{{"host":"h{}.example","http":{{"paths":[{{"path":"{}","pathType":"Prefix",)"
          R"("backend":{{"service":{{"name":"kuard","port":{{"number":80}}}}}}}}]}}}})",
          i == 0 ? "" : ",", i, i == 0 ? first_path : "/");
    }
    return Parsed("networking.k8s.io/v1", "Ingress", "default", "big",
                  "\"spec\":{\"rules\":[" + rules + "]}");
  };
  Apply({Service("default", "kuard")});
  EXPECT_EQ(Work(ingress("/a")), 10U);
  EXPECT_EQ(Work(ingress("/b")), 1U);
}

TEST_F(EngineTest, AnIngressThatWasMadeAnewIsYounger) {
  const auto ingress = [](const char* name, const char* service, std::int64_t made) {
    auto object = std::make_shared<api::Ingress>(*api::As<api::Ingress>(
        Parsed("networking.k8s.io/v1", "Ingress", "default", name,
               fmt::format(R"("spec":{{"rules":[{{"host":"a.example","http":{{"paths":[)"
                           R"({{"path":"/","pathType":"Prefix","backend":{{"service":)"
                           R"({{"name":"{}","port":{{"number":80}}}}}}}}]}}}}]}})",
                           service))
            .object.get()));
    object->meta.creation_time = made;
    return api::Change{object->Ref(), object};
  };
  const auto served = [&] {
    const auto& route = engine_.FindVirtualHost("a.example")->Find(kHTTPListener)->routes.front();
    return std::get<RouteAction>(route.action).clusters.front().cluster->service;
  };
  Apply({Service("default", "one"), Service("default", "two"), ingress("one", "one", 1),
         ingress("two", "two", 2)});
  EXPECT_EQ(served(), "one");
  // Its deletion wasn't seen, and the content is the same.
  Apply({ingress("one", "one", 3)});
  EXPECT_EQ(served(), "two");
}

// ---- Statuses ----

TEST_F(EngineTest, WhatRefusesARootComesBeforeWhatAWalkFindsInIt) {
  Options options;
  options.root_namespaces = {"roots"};
  Engine engine(options, Kinds());
  // An older root delegates to one that may not be a root; and to one that shares its fqdn.
  auto parent = std::make_shared<api::IngressRoute>(
      *api::As<api::IngressRoute>(Route("roots", "parent",
                                        R"({"virtualhost":{"fqdn":"p.example"},"routes":[
                 {"match":"/a","delegate":{"name":"forbidden","namespace":"other"}},
                 {"match":"/b","delegate":{"name":"twin-a"}}]})")
                                      .object.get()));
  parent->meta.creation_time = 1;
  const auto root = [](const char* ns, const char* name, const char* host, const char* path) {
    return Route(ns, name,
                 fmt::format(R"({{"virtualhost":{{"fqdn":"{}"}},"routes":[{{"match":"{}",)"
                             R"("services":[{{"name":"s","port":80}}]}}]}})",
                             host, path));
  };
  std::vector<api::Change> changes = {{parent->Ref(), parent},
                                      Service("other", "s"),
                                      Service("roots", "s"),
                                      root("other", "forbidden", "f.example", "/a"),
                                      root("roots", "twin-a", "t.example", "/b"),
                                      root("roots", "twin-b", "t.example", "/b")};
  for (api::Change& change : changes) {
    if (change.object == parent || change.ref.kind != api::Kind::kIngressRoute) continue;
    auto copy =
        std::make_shared<api::IngressRoute>(*api::As<api::IngressRoute>(change.object.get()));
    copy->meta.creation_time = 2;
    change.object = copy;
  }
  engine.Apply(changes);
  const auto description = [&](const char* ns, const char* name) {
    return engine.FindStatus({api::Kind::kIngressRoute, ns, name})->Summary().message;
  };
  EXPECT_EQ(description("roots", "parent"), "valid IngressRoute");
  EXPECT_EQ(description("other", "forbidden"),
            "root IngressRoute cannot be defined in this namespace");
  EXPECT_EQ(description("roots", "twin-a"),
            "fqdn \"t.example\" is used in multiple IngressRoutes: roots/twin-a, roots/twin-b");
  EXPECT_EQ(engine.FindVirtualHost("p.example")->Find(kHTTPListener)->routes.size(), 2U)
      << "served as children";
  EXPECT_EQ(engine.FindVirtualHost("f.example"), nullptr);
}

TEST_F(EngineTest, TellsWhatIsOnlyMissing) {
  const auto root = [](const std::string& rest) {
    return R"({"virtualhost":{"fqdn":"a.example"})" + rest + "}";
  };
  const auto service = [](const char* port, const char* more = "") {
    return fmt::format(R"(,"routes":[{{"match":"/","services":[{{"name":"kuard","port":{}{}}}]}}])",
                       port, more);
  };
  Apply({Route("default", "root", root(service("80")))});
  EXPECT_EQ(StatusOf("default", "root"),
            "invalid: Service [kuard:80] is invalid or missing [] missing");
  Apply({Service("default", "kuard", R"("contour.heptio.com/upstream-protocol.tls":"80")")});
  Apply({Route("default", "root", root(service("81")))});
  EXPECT_EQ(StatusOf("default", "root"), "invalid: Service [kuard:81] is invalid or missing []")
      << "the Service is there, its port won't come by itself";
  Apply({Route("default", "root", root(service("0")))});
  EXPECT_EQ(
      StatusOf("default", "root"),
      "invalid: route \"/\": service \"kuard\": port must be in the range 1-65535 [a.example]");
  Apply({Route("default", "root",
               root(service("80", R"(,"validation":{"caSecret":"ca","subjectName":"x"})")))});
  EXPECT_EQ(StatusOf("default", "root"),
            "invalid: route \"/\": service \"kuard\": upstreamValidation requested but secret not "
            "found or misconfigured [a.example] missing");
  Apply({Route("default", "child", R"({"routes":[]})")});
  EXPECT_EQ(StatusOf("default", "child"),
            "orphaned: this IngressRoute is not part of a delegation chain from a root "
            "IngressRoute [] missing");
  Apply({Gone(Route("default", "child", "{}"))});
  EXPECT_EQ(StatusOf("default", "child"), "none");
}

// An object of a kind that the configuration leaves out is unknown, not missing.
TEST_F(EngineTest, WhatDependsOnAKindThatIsNotReadIsUnknownNotInvalid) {
  const auto status_of = [](std::vector<api::Kind> unread, const std::string& spec,
                            std::vector<api::Change> others) {
    Options options;
    options.unread_kinds = std::move(unread);
    Engine engine(options, Kinds());
    others.push_back(Service("default", "kuard"));
    others.push_back(
        Service("default", "tls", R"("contour.heptio.com/upstream-protocol.tls":"80")"));
    others.push_back(Route("default", "root", spec));
    engine.Apply(others);
    const Status* status = engine.FindStatus({api::Kind::kIngressRoute, "default", "root"});
    return status == nullptr
               ? "none"
               : fmt::format("{}: {}{}", status->Summary().reason.view(), status->Summary().message,
                             status->IsMissing() ? " missing" : "");
  };
  const std::string routes = R"("routes":[{"match":"/","services":[{"name":"kuard","port":80}]}]})";
  const std::string own =
      R"({"virtualhost":{"fqdn":"a.example","tls":{"secretName":"tls"}},)" + routes;
  const std::string foreign =
      R"({"virtualhost":{"fqdn":"a.example","tls":{"secretName":"certs/tls"}},)" + routes;
  const std::string verified =
      R"({"virtualhost":{"fqdn":"a.example"},"routes":[{"match":"/","services":[{"name":"tls",)"
      R"("port":80,"validation":{"caSecret":"ca","subjectName":"x"}}]}]})";
  const api::Change secret = Secret("certs", "tls", testing::MakePair("a.example"));

  EXPECT_EQ(status_of({api::Kind::kSecret}, own, {}),
            "unknown: TLS Secret [tls]: Secrets are not read");
  EXPECT_EQ(
      status_of({api::Kind::kSecret}, verified, {}),
      "unknown: route \"/\": service \"tls\": upstreamValidation requested but Secrets are not "
      "read");
  EXPECT_EQ(status_of({api::Kind::kTLSCertificateDelegation}, foreign, {secret}),
            "unknown: TLS Secret [certs/tls]: TLSCertificateDelegations are not read");
  // Everything else is as before.
  EXPECT_EQ(status_of({}, own, {}), "invalid: TLS Secret [tls] not found or is malformed missing");
  EXPECT_EQ(status_of({api::Kind::kTLSCertificateDelegation}, own, {}),
            "invalid: TLS Secret [tls] not found or is malformed missing");
  EXPECT_EQ(status_of({api::Kind::kSecret}, foreign, {secret}),
            "invalid: TLS Secret [certs/tls]: certificate delegation not permitted missing");
}

TEST_F(EngineTest, RootThatMovesTakesItsStatusesAlong) {
  const auto root = [](const char* host) {
    return Route("default", "root",
                 fmt::format(R"({{"virtualhost":{{"fqdn":"{}"}},"routes":[)"
                             R"({{"match":"/","delegate":{{"name":"child"}}}}]}})",
                             host));
  };
  Apply({root("a.example"), Route("default", "child", R"({"routes":[]})")});
  EXPECT_EQ(StatusOf("default", "child"), "valid: valid IngressRoute [a.example]");
  for (const char* host : {"b.example", "a.example", "0.example"}) {
    const Engine::Update update = Apply({root(host)});
    EXPECT_THAT(update.statuses, SizeIs(2)) << "vhost is part of it";
    EXPECT_EQ(StatusOf("default", "child"), fmt::format("valid: valid IngressRoute [{}]", host));
    EXPECT_EQ(StatusOf("default", "root"), fmt::format("valid: valid IngressRoute [{}]", host));
  }
}

// ---- Size ----

TEST_F(EngineTest, LongChainsWork) {
  constexpr int kLength = 20'000;
  std::vector<api::Change> changes = {Service("default", "kuard")};
  for (int i = 0; i < kLength; ++i) {
    const std::string route = i + 1 < kLength ? fmt::format(R"("delegate":{{"name":"n{}"}})", i + 1)
                                              : R"("services":[{"name":"kuard","port":80}])";
    changes.push_back(
        Route("default", fmt::format("n{}", i),
              fmt::format(R"({{{}"routes":[{{"match":"/",{}}}]}})",
                          i == 0 ? R"("virtualhost":{"fqdn":"a.example"},)" : "", route)));
  }
  EXPECT_THAT(Apply(changes).statuses, SizeIs(kLength));
  EXPECT_EQ(StatusOf("default", fmt::format("n{}", kLength - 1)),
            "valid: valid IngressRoute [a.example]");
  ASSERT_NE(engine_.FindVirtualHost("a.example"), nullptr);
  EXPECT_THAT(engine_.FindVirtualHost("a.example")->Find(kHTTPListener)->routes, SizeIs(1));
}

TEST_F(EngineTest, LongChainsOfTCPProxiesWork) {
  constexpr int kLength = 20'000;
  std::vector<api::Change> changes = {Service("default", "kuard")};
  for (int i = 0; i < kLength; ++i) {
    const std::string proxy = i + 1 < kLength ? fmt::format(R"("delegate":{{"name":"n{}"}})", i + 1)
                                              : R"("services":[{"name":"kuard","port":80}])";
    const char* host =
        i == 0 ? R"("virtualhost":{"fqdn":"a.example","tls":{"passthrough":true}},)" : "";
    changes.push_back(Route("default", fmt::format("n{}", i),
                            fmt::format(R"({{{}"tcpproxy":{{{}}}}})", host, proxy)));
  }
  EXPECT_THAT(Apply(changes).statuses, SizeIs(kLength));
  EXPECT_EQ(StatusOf("default", "n0"), "valid: valid IngressRoute [a.example]");
  EXPECT_TRUE(engine_.FindVirtualHost("a.example")->Find(kHTTPSListener)->tcp_proxy);
}

TEST_F(EngineTest, ManyChildrenWork) {
  constexpr int kChildren = 10'000;
  std::vector<api::Change> changes = {Service("default", "kuard")};
  std::string routes;
  for (int i = 0; i < kChildren; ++i) {
    routes +=
        fmt::format(R"({}{{"match":"/{}","delegate":{{"name":"n{}"}}}})", i == 0 ? "" : ",", i, i);
    changes.push_back(Route(
        "default", fmt::format("n{}", i),
        fmt::format(R"({{"routes":[{{"match":"/{}","services":[{{"name":"kuard","port":80}}]}}]}})",
                    i)));
  }
  changes.push_back(
      Route("default", "root",
            fmt::format(R"({{"virtualhost":{{"fqdn":"a.example"}},"routes":[{}]}})", routes)));
  EXPECT_THAT(Apply(changes).statuses, SizeIs(kChildren + 1));
  EXPECT_THAT(engine_.FindVirtualHost("a.example")->Find(kHTTPListener)->routes, SizeIs(kChildren));
}

// Each object delegates twice to the next: 2^30 ways to the last.
TEST_F(EngineTest, MultiplyingChainsEnd) {
  constexpr int kLength = 30;
  std::vector<api::Change> changes = {Service("default", "kuard")};
  for (int i = 0; i < kLength; ++i) {
    const std::string next = fmt::format(R"({{"match":"/","delegate":{{"name":"n{}"}}}})", i + 1);
    changes.push_back(
        Route("default", fmt::format("n{}", i),
              fmt::format(R"({{{}"routes":[{},{}]}})",
                          i == 0 ? R"("virtualhost":{"fqdn":"a.example"},)" : "", next, next)));
  }
  changes.push_back(Route("default", fmt::format("n{}", kLength),
                          R"({"routes":[{"match":"/","services":[{"name":"kuard","port":80}]}]})"));
  Apply(changes);
  EXPECT_EQ(StatusOf("default", "n0"),
            "invalid: more than 100000 routes under one virtual host [a.example]");
  EXPECT_THAT(engine_.FindVirtualHost("a.example")->Find(kHTTPListener)->routes, SizeIs(1))
      << "routes before it stay";
}

// A kind that gives each object that it derives a status for two parents; the message has the host.
void DeriveParents(const std::vector<Claim>& claims, Derivation& derivation) {
  for (const Claim& claim : claims) {
    const auto order = std::make_shared<const RootOrder>(RootOrder{
        true, claim.object->meta.creation_time, claim.object->meta.ns, derivation.builder.host()});
    for (const std::uint16_t parent : {1, 0}) {
      StatusEntry entry;
      entry.parent = parent;
      entry.conditions.push_back({.type = "Accepted",
                                  .reason = "Accepted",
                                  .message = derivation.builder.host(),
                                  .truth = Condition::Truth::kTrue});
      derivation.result.statuses.push_back(
          {claim.object->Ref(), order, std::make_shared<const StatusEntry>(std::move(entry))});
    }
  }
}

TEST(Engine, FoldsStatusesByParent) {
  static const Status kNone{{std::make_shared<const StatusEntry>()}};
  const KindTable kinds({{.kind = api::Kind::kIngress,
                          .claims =
                              [](const api::Object& object) {
                                HostParts hosts;
                                for (const api::IngressRule& rule :
                                     api::As<api::Ingress>(object)->spec.rules)
                                  hosts[rule.host];
                                return hosts;
                              },
                          .derive = DeriveParents,
                          .initial_status = []() -> const Status& { return kNone; }}});
  Engine engine(Options(), kinds);
  const auto ingress = [](const std::vector<std::string>& hosts) {
    auto object = std::make_shared<api::Ingress>();
    object->meta.name = "a";
    for (const std::string& host : hosts) object->spec.rules.push_back({.host = host, .http = {}});
    return api::Change{object->Ref(), object};
  };
  const auto entries = [&](const api::Change& change) {
    engine.Apply({change});
    std::vector<std::string> texts;
    for (const StatusEntryPtr& entry : engine.FindStatus(change.ref)->entries) {
      texts.push_back(entry->parent
                          ? fmt::format("{} {}", *entry->parent, entry->conditions.front().message)
                          : "initial");
    }
    return texts;
  };
  EXPECT_THAT(entries(ingress({"a", "b"})), ElementsAre("0 a", "1 a"));
  EXPECT_THAT(entries(ingress({"b"})), ElementsAre("0 b", "1 b"));
  EXPECT_THAT(entries(ingress({})), ElementsAre("initial"));
}

}  // namespace
}  // namespace contour::graph
