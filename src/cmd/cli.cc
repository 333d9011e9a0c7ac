// SPDX-License-Identifier: Apache-2.0
// cli: prints the resources of one type that an xDS server sends, for debugging.

#include <fmt/core.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/read_file.h"
#include "base/status.h"
#include "certgen/ca_file.h"
#include "cmd/command.h"
#include "envoy/service/cluster/v3/cds.grpc.pb.h"
#include "envoy/service/endpoint/v3/eds.grpc.pb.h"
#include "envoy/service/listener/v3/lds.grpc.pb.h"
#include "envoy/service/route/v3/rds.grpc.pb.h"
#include "envoy/service/route/v3/srds.grpc.pb.h"
#include "envoy/service/secret/v3/sds.grpc.pb.h"
#include "xds/snapshot/resource.h"

namespace contour::cmd {
namespace {

using ::envoy::service::discovery::v3::DiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryResponse;
using Stream = std::unique_ptr<grpc::ClientReaderWriter<DiscoveryRequest, DiscoveryResponse>>;

struct Flags {
  std::string server = "127.0.0.1:8001";
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string node_id = "ContourCLI";
  std::string output = "text";
  bool once = false;
  std::vector<std::string> resources;
};

struct Type {
  const char* name;
  const char* text;
  xds::ResourceType type;
  Stream (*open)(const std::shared_ptr<grpc::Channel>&, grpc::ClientContext*);
};

namespace service = ::envoy::service;

constexpr Type kTypes[] = {
    {"cds", "clusters", xds::ResourceType::kCluster,
     [](const auto& channel, auto* context) {
       return service::cluster::v3::ClusterDiscoveryService::NewStub(channel)->StreamClusters(
           context);
     }},
    {"eds", "endpoints", xds::ResourceType::kEndpoints,
     [](const auto& channel, auto* context) {
       return service::endpoint::v3::EndpointDiscoveryService::NewStub(channel)->StreamEndpoints(
           context);
     }},
    {"lds", "listeners", xds::ResourceType::kListener,
     [](const auto& channel, auto* context) {
       return service::listener::v3::ListenerDiscoveryService::NewStub(channel)->StreamListeners(
           context);
     }},
    {"rds", "routes", xds::ResourceType::kRoutes,
     [](const auto& channel, auto* context) {
       return service::route::v3::RouteDiscoveryService::NewStub(channel)->StreamRoutes(context);
     }},
    {"srds", "routes of each host (--delivery sharded, sharded-https)",
     xds::ResourceType::kScopedRoutes,
     [](const auto& channel, auto* context) {
       return service::route::v3::ScopedRoutesDiscoveryService::NewStub(channel)
           ->StreamScopedRoutes(context);
     }},
    {"sds", "secrets (with private keys)", xds::ResourceType::kSecret,
     [](const auto& channel, auto* context) {
       return service::secret::v3::SecretDiscoveryService::NewStub(channel)->StreamSecrets(context);
     }},
};

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const Flags& flags) {
  const int given = !flags.ca_file.empty() + !flags.cert_file.empty() + !flags.key_file.empty();
  if (given != 0 && given != 3) {
    return InvalidArgument(
        "You must supply all three TLS parameters - --cafile, --cert-file, --key-file, or none of "
        "them.");
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  if (given == 0)
    return grpc::CreateCustomChannel(flags.server, grpc::InsecureChannelCredentials(), arguments);
  grpc::SslCredentialsOptions tls;
  CONTOUR_ASSIGN_OR_RETURN(tls.pem_root_certs, ReadFile(certgen::FindCAFile(flags.ca_file).path));
  CONTOUR_ASSIGN_OR_RETURN(tls.pem_cert_chain, ReadFile(flags.cert_file));
  CONTOUR_ASSIGN_OR_RETURN(tls.pem_private_key, ReadFile(flags.key_file));
  arguments.SetSslTargetNameOverride("contour");  // whatever address the server is reached by
  return grpc::CreateCustomChannel(flags.server, grpc::SslCredentials(tls), arguments);
}

absl::StatusOr<std::string> Format(const DiscoveryResponse& response, const std::string& output) {
  std::string text;
  if (output == "json") {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    const auto status = google::protobuf::util::MessageToJsonString(response, &text, options);
    if (!status.ok())
      return InvalidArgument("the response has no JSON form: {}", status.ToString());
    return text + "\n";
  }
  google::protobuf::TextFormat::Printer printer;
  printer.SetExpandAny(true);
  printer.PrintToString(response, &text);
  return text;
}

absl::Status Run(const Type& type, const Flags& flags) {
  CONTOUR_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Connect(flags));
  grpc::ClientContext context;
  const Stream stream = type.open(channel, &context);
  DiscoveryRequest request;
  request.mutable_node()->set_id(flags.node_id);
  request.set_type_url(std::string(xds::Info(type.type).url));
  for (const std::string& name : flags.resources) request.add_resource_names(name);
  DiscoveryResponse response;
  while (stream->Write(request) && stream->Read(&response)) {
    CONTOUR_ASSIGN_OR_RETURN(const std::string text, Format(response, flags.output));
    fmt::print("{}", text);
    std::fflush(stdout);
    if (flags.once) {
      context.TryCancel();
      return absl::OkStatus();
    }
    request.set_version_info(response.version_info());
    request.set_response_nonce(response.nonce());
  }
  const grpc::Status status = stream->Finish();
  return Unavailable("{}: {}", flags.server,
                     status.error_message().empty() ? "the stream ended" : status.error_message());
}

}  // namespace

std::function<int()> Cli(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  const auto chosen = std::make_shared<const Type*>(nullptr);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--contour", flags->server, "address of the xDS server")->capture_default_str();
  app.add_option("--cafile", flags->ca_file, "CA that signed its certificate")
      ->envname("CLI_CAFILE");
  app.add_option("--cert-file", flags->cert_file, "certificate to show")->envname("CLI_CERT_FILE");
  app.add_option("--key-file", flags->key_file, "key of that certificate")->envname("CLI_KEY_FILE");
  app.add_option("--node-id", flags->node_id, "name to give")->capture_default_str();
  app.add_option("--output,-o", flags->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_flag("--once", flags->once,
               "end after the first response instead of waiting for changes");
  for (const Type& type : kTypes) {
    CLI::App* command =
        app.add_subcommand(type.name, fmt::format("print {} as they change", type.text));
    command->add_option("resources", flags->resources, "names; none: all");
    command->callback([chosen, &type] { *chosen = &type; });
  }
  return [flags, chosen] {
    const absl::Status status = Run(**chosen, *flags);
    if (status.ok()) return 0;
    fmt::print(stderr, "{}\n", Message(status));
    return 1;
  };
}

}  // namespace contour::cmd
