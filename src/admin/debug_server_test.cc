// SPDX-License-Identifier: Apache-2.0

#include "admin/debug_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/log.h"
#include "graph/model/route.h"

namespace contour::admin {
namespace {

using ::testing::HasSubstr;

class DebugServerTest : public ::testing::Test {
 protected:
  DebugServerTest()
      : server_("127.0.0.1", 0,
                {.virtual_hosts = [this]() -> std::optional<std::vector<graph::VirtualHostPtr>> {
                   if (busy_) return std::nullopt;
                   return std::vector{Host("a.example"), Host("b.example")};
                 },
                 .host = [](const std::string& name) -> std::optional<core::HostView> {
                   core::HostView view;
                   view.graph.host = name;
                   if (name == "a.example") view.graph.virtual_host = Host(name);
                   return view;
                 },
                 .object = [](const api::ObjectRef& ref) -> std::optional<core::ObjectView> {
                   core::ObjectView view;
                   view.object.ref = ref;
                   if (ref == api::ObjectRef{api::Kind::kIngress, "default", "a"}) {
                     view.object.exists = true;
                     view.hosts.emplace_back().graph.virtual_host = Host("a.example");
                   }
                   return view;
                 },
                 .envoys =
                     [this](const xds::ViewFilter&) {
                       return xds::SessionViews{.busy_workers = busy_ ? 2U : 0U, .workers = 2};
                     },
                 .fates =
                     [this](const std::vector<xds::ResourceQuestion>& resources) {
                       return xds::FleetFates{
                           .resources = std::vector<xds::ResourceFates>(resources.size()),
                           .busy_workers = busy_ ? 2U : 0U,
                           .workers = 2};
                     },
                 .quarantined = [] { return std::vector<xds::QuarantineView>(); }}) {
    const absl::StatusOr<std::uint16_t> port = server_.Start();
    EXPECT_TRUE(port.ok()) << port.status();
    client_ = std::make_unique<httplib::Client>("127.0.0.1", *port);
  }

  static graph::VirtualHostPtr Host(const std::string& name) {
    auto host = std::make_shared<graph::VirtualHost>();
    host->host = name;
    host->At(graph::kHTTPListener).routes.push_back({{}, false, graph::DirectResponse{503}});
    return host;
  }

  // Returns "200 text/plain body".
  std::string Get(const std::string& path, const httplib::Headers& headers = {}) {
    const auto result = client_->Get(path.c_str(), headers);
    if (!result) return "no answer";
    return std::to_string(result->status) + " " + result->get_header_value("Content-Type") + " " +
           result->body;
  }
  std::string Put(const std::string& path, const std::string& body) {
    const auto result = client_->Put(path.c_str(), body, "text/plain");
    if (!result) return "no answer";
    return std::to_string(result->status) + " " + result->body;
  }

  std::atomic<bool> busy_ = false;
  DebugServer server_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(DebugServerTest, Dag) {
  const std::string all = Get("/debug/dag");
  EXPECT_THAT(all, HasSubstr("200 text/vnd.graphviz; charset=utf-8 digraph DAG {"));
  EXPECT_THAT(all, HasSubstr("{http://b.example}"));
  for (const char* filter : {"?host=a.example", "?object=default/a", "?object=Ingress/default/a"}) {
    const std::string one = Get(std::string("/debug/dag") + filter);
    EXPECT_THAT(one, HasSubstr("{http://a.example}")) << filter;
    EXPECT_EQ(one.find("b.example"), std::string::npos) << filter;
  }
  EXPECT_EQ(Get("/debug/dag?host=unknown").find("shape"), std::string::npos);
  EXPECT_THAT(Get("/debug/dag?format=json"), HasSubstr("200 application/json {"));
  EXPECT_THAT(Get("/debug/dag?format=svg"), HasSubstr("400 "));
  EXPECT_THAT(Get("/debug/dag?limit=x"), HasSubstr("400 "));
  const std::string limited = Get("/debug/dag?limit=1");
  EXPECT_EQ(limited.find("b.example"), std::string::npos);
  EXPECT_THAT(limited, HasSubstr("// 1 further virtual hosts"));
  EXPECT_THAT(Get("/debug/dag?limit=1&format=json"), HasSubstr("\"furtherVirtualHosts\": 1"));
  busy_ = true;
  EXPECT_THAT(Get("/debug/dag"), HasSubstr("503 "));
}

TEST_F(DebugServerTest, Explain) {
  EXPECT_THAT(Get("/debug/explain?host=a.example"), HasSubstr("\"httpRoutes\": 1"));
  EXPECT_THAT(Get("/debug/explain?host=unknown"), HasSubstr("\"served\": \"nothing\""));
  EXPECT_THAT(Get("/debug/explain?object=default/a"), HasSubstr("\"Ingress/default/a\""));
  EXPECT_THAT(Get("/debug/explain?object=default/b"), HasSubstr("404 "));
  EXPECT_THAT(Get("/debug/explain?object=b"), HasSubstr("400 "));
  EXPECT_THAT(Get("/debug/explain"), HasSubstr("400 "));
}

TEST_F(DebugServerTest, ReportsBusyWorkers) {
  EXPECT_THAT(Get("/debug/xds"), HasSubstr("200 application/json {"));
  EXPECT_THAT(Get("/debug/xds?type=XDS"), HasSubstr("400 "));
  busy_ = true;
  EXPECT_THAT(Get("/debug/xds"), HasSubstr("503 "));
  EXPECT_THAT(Get("/debug/explain?host=a.example"), HasSubstr("503 "));
  EXPECT_THAT(Get("/debug/explain?object=default/a"), HasSubstr("503 "));
}

TEST_F(DebugServerTest, LogLevel) {
  const log::Level before = log::GetLevel();
  EXPECT_EQ(Put("/debug/log-level", "error\n"), "200 error\n");
  EXPECT_EQ(log::GetLevel(), log::Level::kError);
  EXPECT_THAT(Get("/debug/log-level"), HasSubstr(" error\n"));
  EXPECT_THAT(Put("/debug/log-level", "loud"), HasSubstr("400 "));
  EXPECT_EQ(log::GetLevel(), log::Level::kError);
  log::SetLevel(before);
  // A web page could send this without asking first.
  const auto post = client_->Post("/debug/log-level", "debug", "text/plain");
  ASSERT_TRUE(post);
  EXPECT_EQ(post->status, 404);
}

// A web page in a browser on this machine whose name was rebound to 127.0.0.1 can read nothing.
TEST_F(DebugServerTest, AnswersOnlyByAddress) {
  EXPECT_THAT(Get("/debug/xds", {{"Host", "evil.example:6060"}}), HasSubstr("403 "));
  EXPECT_THAT(Get("/debug/xds", {{"Host", "localhost:6060"}}), HasSubstr("200 "));
  EXPECT_THAT(Get("/debug/xds", {{"Host", "localhost"}}), HasSubstr("200 "));
  EXPECT_THAT(Get("/debug/xds", {{"Host", "[::1]:6060"}}), HasSubstr("200 "));
}

TEST_F(DebugServerTest, OtherPathsAndMethods) {
  EXPECT_THAT(Get("/debug/"), HasSubstr("/debug/dag"));
  EXPECT_THAT(Get("/debug/other"), HasSubstr("404 "));
  EXPECT_THAT(Get("/metrics"), HasSubstr("404 "));
  const auto deleted = client_->Delete("/debug/dag");
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->status, 404);
}

TEST_F(DebugServerTest, Profiles) {
  EXPECT_THAT(Get("/debug/pprof/threads"), HasSubstr("admin_test"));
  EXPECT_THAT(Get("/debug/pprof/cmdline"), HasSubstr("admin_test"));
  EXPECT_THAT(Get("/debug/pprof/symbol"), HasSubstr("num_symbols: 1"));
  EXPECT_THAT(Get("/debug/pprof/profile?seconds=0"), HasSubstr("400 "));
  EXPECT_THAT(Get("/debug/pprof/profile?seconds=1x"), HasSubstr("400 "));
  EXPECT_THAT(Get("/debug/pprof/heap"), HasSubstr("501 "));
  EXPECT_THAT(Get("/debug/pprof/heap"), HasSubstr("LD_PRELOAD"));
}

TEST(Symbols, AreThoseOfTheProgram) {
  const auto address = reinterpret_cast<std::uintptr_t>(&log::SetLevel);
  const std::string answer = Symbols(fmt::format("{:#x}+0x1+nonsense", address));
  EXPECT_THAT(answer, HasSubstr(fmt::format("{:#x}\tcontour::log::SetLevel", address)));
}

#ifdef CONTOUR_PROFILER
// The header of the format: 0, 3 words follow, version 0, microseconds between samples, 0.
TEST(Profiles, GivesACPUProfile) {
  Profiles profiles;
  std::atomic<bool> done = false;
  std::thread busy([&] {
    while (!done) {
    }
  });
  const absl::StatusOr<std::string> profile = profiles.CPU(std::chrono::seconds(1));
  done = true;
  busy.join();
  ASSERT_TRUE(profile.ok()) << profile.status();
  std::uintptr_t words[5] = {};
  ASSERT_GT(profile->size(), sizeof(words));
  std::memcpy(words, profile->data(), sizeof(words));
  EXPECT_THAT(words, ::testing::ElementsAre(0, 3, 0, 10'000, 0));
  EXPECT_GT(profile->size(), 200U);
  EXPECT_THAT(*profile, HasSubstr("admin_test")) << "the mappings at its end";
}

TEST(Profiles, EndWithTheProcess) {
  Profiles profiles;
  std::thread asker([&] {
    EXPECT_THAT(profiles.CPU(std::chrono::hours(1)).status().ToString(), HasSubstr("stopping"));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it has begun; if not, no harm
  profiles.Cancel();
  asker.join();
  EXPECT_THAT(profiles.CPU(std::chrono::hours(1)).status().ToString(), HasSubstr("stopping"));
}
#endif

}  // namespace
}  // namespace contour::admin
