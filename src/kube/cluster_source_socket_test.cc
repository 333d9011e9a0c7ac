// SPDX-License-Identifier: Apache-2.0
// Tests the rules of list and watch through libcurl and real sockets, with short limits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "kube/client.h"
#include "kube/cluster_source.h"
#include "kube/testing_files.h"
#include "kube/testing_objects.h"
#include "kube/testing_server.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr char kServices[] = "/api/v1/services";
constexpr char kRoutes[] = "/apis/contour.heptio.com/v1beta1/ingressroutes";
using State = std::map<std::string, std::string>;

// Steps of a script.
ScriptedApi::Step Stream(const std::string& text) {  // and silence
  return [text](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Chunk(text);
    stream.Hang();
  };
}
ScriptedApi::Step StreamThenEnd(const std::string& text) {
  return [text](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Chunk(text);
    stream.Sleep(600ms);  // longer than what counts as ending at once
    stream.End();
  };
}
ScriptedApi::Step StreamThenDrop(const std::string& text) {
  return [text](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Chunk(text);
    stream.Sleep(20ms);
    stream.Raw("ffff\r\nhalf a chunk");
    stream.Drop();
  };
}
ScriptedApi::Step Answer(int status, const std::string& body,
                         const std::vector<std::string>& headers = {}) {
  return [=](const ServerRequest&, ServerStream& stream) { stream.Answer(status, body, headers); };
}

class SocketTest : public testing::Test {
 protected:
  SocketTest() {
    options_.watch.backoff = {20ms, 200ms};
    options_.watch.absent_recheck = 50ms;
    options_.watch.forbidden_grace = 50ms;
  }
  ~SocketTest() override {
    source_.reset();  // before the server, which waits for its clients
    server_.reset();
  }
  void Serve(int port = 0) {
    server_ = std::make_unique<TestServer>(api_.AsHandler(), nullptr, port);
  }
  void Start() {
    if (server_ == nullptr) Serve();
    config_.server = server_->url();
    source_ = std::make_unique<ClusterSource>(*Credentials::Create(config_), options_);
    source_->Start(sink_);
  }
  KindStats Stats(api::Kind kind) {
    for (const KindStats& stats : source_->GetStats().kinds) {
      if (stats.kind == kind) return stats;
    }
    return {};
  }

  ScriptedApi api_;
  std::unique_ptr<TestServer> server_;
  ServerConfig config_;
  ClusterSourceOptions options_;
  RecordingSink sink_;
  std::unique_ptr<ClusterSource> source_;
};

TEST_F(SocketTest, StreamingListThenEvents) {
  api_.On(kServices,
          Stream(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true) +
                 Event("ADDED", ServiceJson("b", 10)) + Event("DELETED", ServiceJson("a", 11))));
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  EXPECT_TRUE(sink_.WaitFor({{"Service default/b", "10"}}));
}

TEST_F(SocketTest, ManyObjectsInOddPieces) {
  State want;
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "s" + std::to_string(i);
    text += Event("ADDED", ServiceJson(name, i + 1));
    want["Service default/" + name] = std::to_string(i + 1);
  }
  text += Bookmark(9000, true);
  api_.On(kServices, [text](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    for (std::size_t at = 0, size = 1; at < text.size(); at += size, size = size * 7 % 9973 + 1) {
      stream.Chunk(std::string_view(text).substr(at, size));
    }
    stream.Hang();
  });
  Start();
  EXPECT_TRUE(sink_.WaitFor(want));
}

TEST_F(SocketTest, PagesWithGzip) {
  api_.On(kServices, Answer(400, StatusJson(400, "BadRequest")));
  api_.On(kServices, Answer(200, StoredGzip(ListJson(20, "next", {ServiceJson("a", 5)})),
                            {"Content-Encoding: gzip"}));
  api_.On(kServices, Answer(200, ListJson(20, "", {ServiceJson("b", 6)})));
  api_.On(kServices, Stream(Event("MODIFIED", ServiceJson("b", 21))));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "5"}, {"Service default/b", "21"}}));
  EXPECT_THAT(api_.Requests(kServices).at(3).target, HasSubstr("resourceVersion=20"));
}

TEST_F(SocketTest, ExpiredContinueToken) {
  options_.watch.streaming_lists = false;
  api_.On(kServices, Answer(200, ListJson(20, "next", {ServiceJson("a", 5)})));
  api_.On(kServices, Answer(410, StatusJson(410, "Expired")));
  api_.On(kServices, Answer(200, ListJson(30, "", {ServiceJson("b", 6)})));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/b", "6"}}));
}

TEST_F(SocketTest, WatchEndsInTimeAndGoesOn) {
  api_.On(kServices,
          StreamThenEnd(Bookmark(9, true) + Event("ADDED", ServiceJson("a", 10)) + Bookmark(15)));
  api_.On(kServices, Stream(Event("MODIFIED", ServiceJson("a", 16))));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "16"}}));
  EXPECT_THAT(api_.Requests(kServices).at(1).target, HasSubstr("resourceVersion=15&"));
}

TEST_F(SocketTest, ConnectionBreaksInsideAnEvent) {
  api_.On(kServices, StreamThenDrop(Bookmark(9, true) + Event("ADDED", ServiceJson("a", 10))));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("b", 11))));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "10"}, {"Service default/b", "11"}}));
  EXPECT_THAT(api_.Requests(kServices).at(1).target, HasSubstr("resourceVersion=10&"));
}

TEST_F(SocketTest, GoneAsStatusAndAsEvent) {
  api_.On(kServices, StreamThenEnd(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true)));
  api_.On(kServices, Answer(410, StatusJson(410, "Expired")));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("b", 6)) + Bookmark(20, true) +
                            Event("ADDED", ServiceJson("c", 21)) +
                            Event("ERROR", StatusJson(410, "Expired"))));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("b", 6)) +
                            Event("ADDED", ServiceJson("d", 30)) + Bookmark(40, true)));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/b", "6"}, {"Service default/d", "30"}}));
  EXPECT_THAT(sink_.Take(), HasSubstr("+Service default/d@30 -Service default/c |"));
}

TEST_F(SocketTest, RetryAfter) {
  api_.On(kServices, Answer(429, StatusJson(429, "TooManyRequests"), {"Retry-After: 1"}));
  api_.On(kServices, Answer(200, ListJson(9, "", {ServiceJson("a", 5)})));
  const TimePoint begin = Clock::now();
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "5"}}));
  EXPECT_GE(Clock::now() - begin, 1s);
}

TEST_F(SocketTest, SilenceIsNoticed) {
  options_.watch.silence_limit = 300ms;
  api_.On(kServices, Stream(Bookmark(9, true)));
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  EXPECT_TRUE(api_.WaitForRequests(kServices, 2));
  const ServerRequest again = api_.Requests(kServices).at(1);
  EXPECT_THAT(again.target, HasSubstr("resourceVersion=9&"));
  EXPECT_NE(again.connection, api_.Requests(kServices).at(0).connection);
}

TEST_F(SocketTest, OptionalKindAppearsAndGoes) {
  api_.On(kRoutes, Answer(404, "404 page not found\n"));
  api_.On(kRoutes,
          StreamThenEnd(Event("ADDED", ObjectJson(api::Kind::kIngressRoute, "default", "r", 5)) +
                        BookmarkAt(kRoutes, 9)));
  for (int i = 0; i < 100; ++i) {
    api_.On(kRoutes, Answer(404, "404 page not found\n"));
    api_.On("/apis", Answer(200, GroupsJson({})));
  }
  // These paths are longer, so that their requests don't take the steps of discovery.
  for (const api::Kind kind : {api::Kind::kEndpointSlice, api::Kind::kIngress,
                               api::Kind::kIngressClass, api::Kind::kTLSCertificateDelegation}) {
    api_.On(CollectionPath(kind, ""), Stream(Bookmark(1, true, kind)));
  }
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  EXPECT_TRUE(sink_.WaitFor({{"IngressRoute default/r", "5"}}));
  EXPECT_TRUE(sink_.WaitFor({}));
  EXPECT_TRUE(Stats(api::Kind::kIngressRoute).absent);
}

TEST_F(SocketTest, AMissingRightIsWaitedFor) {
  for (int i = 0; i < 20; ++i)
    api_.On("/api/v1/secrets", Answer(403, StatusJson(403, "Forbidden")));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true)));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "5"}}));
  EXPECT_FALSE(sink_.WaitSynced(500ms));
  EXPECT_TRUE(Stats(api::Kind::kSecret).forbidden);
  EXPECT_THAT(Stats(api::Kind::kSecret).last_error, HasSubstr("HTTP 403 Forbidden"));
  EXPECT_TRUE(sink_.WaitSynced());
}

TEST_F(SocketTest, Namespaces) {
  options_.watch_namespaces = {"a", "b"};
  for (const char* ns : {"a", "b"}) {
    api_.On(
        fmt::format("/api/v1/namespaces/{}/services", ns),
        Stream(Event("ADDED", ObjectJson(api::Kind::kService, ns, "web", 5)) + Bookmark(9, true)));
  }
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  EXPECT_TRUE(sink_.WaitFor({{"Service a/web", "5"}, {"Service b/web", "5"}}));
  EXPECT_TRUE(api_.Requests(kServices).empty());
}

TEST_F(SocketTest, ServerComesUpLaterAndAgain) {
  Serve();
  const int port = server_->port();
  config_.server = server_->url();
  server_.reset();
  source_ = std::make_unique<ClusterSource>(*Credentials::Create(config_), options_);
  source_->Start(sink_);
  EXPECT_FALSE(sink_.WaitSynced(200ms));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true)));
  Serve(port);
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "5"}}));
  EXPECT_TRUE(sink_.WaitSynced());
  server_.reset();
  api_.On(kServices, Stream(Event("MODIFIED", ServiceJson("a", 10))));
  Serve(port);
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "10"}}));
  EXPECT_EQ(sink_.synced(), 1);
}

TEST_F(SocketTest, TokenFileIsExchanged) {
  const TempFolder folder;
  config_.token.file = folder.Write("token", "one");
  api_.On(kServices, [&](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Chunk(Bookmark(9, true));
    folder.Write("token", "two");
    stream.Sleep(600ms);
    stream.End();
  });
  Start();
  ASSERT_TRUE(api_.WaitForRequests(kServices, 2));
  EXPECT_EQ(api_.Requests(kServices).at(0).header("authorization"), "Bearer one");
  EXPECT_EQ(api_.Requests(kServices).at(1).header("authorization"), "Bearer two");
}

TEST_F(SocketTest, PluginIsAskedAgainAfterA401) {
  const TempFolder folder;
  config_.exec = ExecPlugin{};
  config_.exec->api_version = "client.authentication.k8s.io/v1";
  config_.exec->command = folder.WriteProgram(
      "plugin", "#!/bin/sh\necho x >> " + folder.path() +
                    "/count\nprintf '{\"apiVersion\":\"client.authentication.k8s.io/v1\"," +
                    "\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t%s\"}}' $(wc -l < " +
                    folder.path() + "/count)\n");
  api_.On(kServices, Answer(401, StatusJson(401, "Unauthorized")));
  api_.On(kServices, Stream(Event("ADDED", ServiceJson("a", 5)) + Bookmark(9, true)));
  Start();
  EXPECT_TRUE(sink_.WaitFor({{"Service default/a", "5"}}));
  EXPECT_EQ(api_.Requests(kServices).at(0).header("authorization"), "Bearer t1");
  EXPECT_EQ(api_.Requests(kServices).at(1).header("authorization"), "Bearer t2");
}

TEST_F(SocketTest, StopIsPrompt) {
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  const TimePoint begin = Clock::now();
  source_->Stop();
  EXPECT_LT(Clock::now() - begin, 2s);
}

TEST_F(SocketTest, WritesHaveAConnectionOfTheirOwn) {
  // A server that answers the watches and then nothing any more on their connections.
  api_.On("/apis/coordination.k8s.io", Answer(200, "{}"));
  Start();
  EXPECT_TRUE(sink_.WaitSynced());
  Client client(*Credentials::Create(config_), {});
  const Response response =
      client.Call({.method = "PUT",
                   .path = "/apis/coordination.k8s.io/v1/namespaces/x/leases/contour",
                   .body = "{}",
                   .deadline = 5s,
                   .urgent = true});
  EXPECT_TRUE(response.status.ok()) << response.status;
  const auto lease = api_.Requests("/apis/coordination.k8s.io");
  ASSERT_EQ(lease.size(), 1u);
  for (const ServerRequest& watch : api_.Requests("/api/"))
    EXPECT_NE(watch.connection, lease[0].connection);
}

TEST_F(SocketTest, CallToAServerThatHangsEndsAtItsDeadline) {
  api_.On("/hang", [](const ServerRequest&, ServerStream& stream) { stream.Hang(); });
  Serve();
  config_.server = server_->url();
  Client client(*Credentials::Create(config_), {});
  const Response response = client.Call({.path = "/hang", .deadline = 200ms});
  EXPECT_TRUE(absl::IsDeadlineExceeded(response.status)) << response.status;
}

}  // namespace
}  // namespace contour::kube
