// SPDX-License-Identifier: Apache-2.0
// certgen: makes the certificates by which contour and its Envoys authenticate each other, as
// files, manifests or Secrets of the cluster. Nothing is overwritten unless a flag asks for it, and
// nothing is written before all is checked.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "api/base64.h"
#include "base/read_file.h"
#include "base/status.h"
#include "certgen/bundle.h"
#include "cmd/command.h"
#include "config/flags.h"
#include "config/settings.h"
#include "kube/client.h"
#include "kube/credentials.h"
#include "kube/kubeconfig.h"
#include "kube/resources.h"

namespace contour::cmd {
namespace {

namespace fs = std::filesystem;
using certgen::Bundle;
using certgen::Secret;
using Json = nlohmann::json;

constexpr std::time_t kDay = 24 * 3600;

struct Options {
  std::string directory = "certs";
  bool pem = false;
  bool yaml = false;
  bool kube = false;
  bool in_cluster = false;
  std::string kubeconfig;
  std::string ns = "heptio-contour";
  int leaf_days = 365;
  int ca_days = 3650;
  certgen::KeyType key_type = certgen::KeyType::kECDSA;
  bool overwrite = false;
  bool rotate = false;
  bool keep_ca_key = false;
};

void Declare(Options& o, config::Settings& s) {
  s.Add(o.pem, {.flag = "pem", .text = "write PEM files"});
  s.Add(o.yaml, {.flag = "yaml", .text = "write manifests of Secrets"});
  s.Add(o.kube, {.flag = "kube", .text = "create Secrets in the cluster"});
  s.Add(o.in_cluster, {.flag = "incluster", .text = "use the pod's service account"});
  s.Add(o.kubeconfig, {.flag = "kubeconfig",
                       .value = "FILE",
                       .text = "path to kubeconfig (if not running inside a k8s cluster)"});
  s.Add(o.ns, {.flag = "namespace",
               .environment = "CONTOUR_NAMESPACE",
               .value = "NAME",
               .text = "namespace of contour and its Envoys: of the Secrets, and in the names of "
                       "the certificates"});
  s.Add(o.leaf_days, {.flag = "certificate-lifetime",
                      .value = "DAYS",
                      .text = "how long the certificates of contour and Envoy last",
                      .minimum = 1,
                      .maximum = 36500});
  s.Add(o.ca_days, {.flag = "ca-lifetime",
                    .value = "DAYS",
                    .text = "how long the CA lasts; the others end with it",
                    .minimum = 1,
                    .maximum = 36500});
  s.Add(o.key_type, {{"ecdsa", certgen::KeyType::kECDSA}, {"rsa", certgen::KeyType::kRSA}},
        {.flag = "key-type", .value = "TYPE", .text = "kind of keys, ecdsa (P-256) or rsa (2048)"});
  s.Add(o.overwrite, {.flag = "overwrite", .text = "overwrite what is there"});
  s.Add(o.rotate, {.flag = "rotate",
                   .text = "renew the certificates of which less than a third of the lifetime is "
                           "left, under the CA that is there; make all where nothing is"});
  s.Add(o.keep_ca_key, {.flag = "keep-ca-key",
                        .text = "keep the CA's key beside the others, which --rotate needs; who "
                                "has it can be contour and every Envoy"});
}

// The destination of the certificates.
class Target {
 public:
  virtual ~Target() = default;
  virtual std::string Announcement() const = 0;
  // Returns the parts that exist.
  virtual absl::StatusOr<Bundle> Read() = 0;
  // Returns kAlreadyExists, with the name, if any part of a set exists.
  virtual absl::Status CheckAbsent() = 0;
  // Writes the parts that `bundle` has, and prints one line for each on standard output.
  virtual absl::Status Write(const Bundle& bundle, bool overwrite) = 0;
  // Removes the key of a CA that was replaced, if it exists: it belongs to no certificate any more,
  // but could sign certificates for all that still trust that CA.
  virtual absl::Status RemoveCAKey() = 0;
};

// Removes the file unless it has been moved to its place.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {
    unlink(path_.c_str());  // of an earlier run that was killed
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

absl::Status FileError(const std::string& path, int error) {
  if (error == EEXIST) {
    return absl::AlreadyExistsError(fmt::format("can't create file {}: file exists", path));
  }
  return Unavailable("can't create file {}: {}", path, std::strerror(error));
}

// Writes a file completely or not at all, even in a crash; readers see the old or the new content.
absl::Status WriteFile(const fs::path& path, const std::string& content, bool secret,
                       bool overwrite) {
  const TemporaryFile temporary(fmt::format("{}.{}", path.string(), getpid()));
  const int fd = open(temporary.path(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                      secret ? 0600 : 0644);
  if (fd < 0) return FileError(path.string(), errno);
  std::size_t written = 0;
  int error = 0;
  while (written < content.size() && error == 0) {
    const ssize_t count = write(fd, content.data() + written, content.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && fsync(fd) != 0) error = errno;
  close(fd);
  if (error == 0) {
    const int moved =
        overwrite ? rename(temporary.path(), path.c_str()) : link(temporary.path(), path.c_str());
    if (moved != 0) error = errno;
  }
  if (error != 0) return FileError(path.string(), error);
  fmt::print("{} created\n", path.string());
  return absl::OkStatus();
}

class FileTarget : public Target {
 public:
  explicit FileTarget(fs::path directory) : directory_(std::move(directory)) {}

  absl::Status CheckAbsent() override {
    for (const std::string& name : Names()) {
      std::error_code error;
      const fs::path path = directory_ / name;
      if (fs::symlink_status(path, error).type() != fs::file_type::not_found) {
        return FileError(path.string(), EEXIST);
      }
    }
    return absl::OkStatus();
  }

  absl::Status RemoveCAKey() override {
    const fs::path path = directory_ / CAKeyName();
    std::error_code error;
    if (fs::remove(path, error)) fmt::print("{} removed\n", path.string());
    if (!error) return absl::OkStatus();
    return Unavailable("{}: the former CA's key can't be removed: {}", path.string(),
                       error.message());
  }

  absl::Status Write(const Bundle& bundle, bool overwrite) override {
    std::error_code error;
    fs::create_directories(directory_, error);
    if (error) return Unavailable("{}: {}", directory_.string(), error.message());
    for (const certgen::PemFile& file : Files(bundle)) {
      CONTOUR_RETURN_IF_ERROR(
          WriteFile(directory_ / file.name, file.content, file.secret, overwrite));
    }
    return absl::OkStatus();
  }

 protected:
  virtual std::vector<certgen::PemFile> Files(const Bundle& bundle) const = 0;
  virtual std::vector<std::string> Names() const = 0;  // of all files of a set
  virtual std::string CAKeyName() const = 0;
  const fs::path& directory() const { return directory_; }

 private:
  const fs::path directory_;
};

class PemTarget : public FileTarget {
 public:
  using FileTarget::FileTarget;

  std::string Announcement() const override {
    return fmt::format("Outputting certs to PEM files in {}/", directory().string());
  }

  absl::StatusOr<Bundle> Read() override {
    std::map<std::string, std::string> files;
    std::vector<std::string> names = certgen::PemFileNames();
    names.emplace_back(certgen::kOtherCAFile);
    for (const std::string& name : names) {
      absl::StatusOr<std::string> text = ReadFile(directory() / name);
      if (absl::IsNotFound(text.status())) continue;
      if (!text.ok()) return text.status();
      files[name] = *std::move(text);
    }
    return certgen::FromPemFiles(files);
  }

 protected:
  std::vector<certgen::PemFile> Files(const Bundle& bundle) const override {
    return certgen::ToPemFiles(bundle);
  }
  std::vector<std::string> Names() const override { return certgen::PemFileNames(); }
  std::string CAKeyName() const override { return certgen::kCAKeyFile; }
};

class YamlTarget : public FileTarget {
 public:
  YamlTarget(fs::path directory, std::string ns)
      : FileTarget(std::move(directory)), ns_(std::move(ns)) {}

  std::string Announcement() const override {
    return fmt::format("Outputting certs to YAML files in {}/", directory().string());
  }
  absl::StatusOr<Bundle> Read() override {
    return InvalidArgument("--rotate: works with --pem and --kube, not with --yaml");
  }

 protected:
  std::vector<certgen::PemFile> Files(const Bundle& bundle) const override {
    std::vector<certgen::PemFile> files;
    for (const Secret& secret : certgen::ToSecrets(bundle)) {
      files.push_back(
          {secret.name + ".yaml", certgen::SecretYAML(secret, ns_), secret.name != "cacert"});
    }
    return files;
  }
  std::vector<std::string> Names() const override {
    std::vector<std::string> names = certgen::SecretNames();
    for (std::string& name : names) name += ".yaml";
    return names;
  }
  std::string CAKeyName() const override { return std::string(certgen::kCAKeySecret) + ".yaml"; }

 private:
  const std::string ns_;
};

class KubeTarget : public Target {
 public:
  KubeTarget(std::unique_ptr<kube::Client> client, std::string ns)
      : client_(std::move(client)), ns_(std::move(ns)) {}

  std::string Announcement() const override {
    return fmt::format("Outputting certs to Kubernetes in namespace {}/", ns_);
  }

  absl::StatusOr<Bundle> Read() override {
    std::vector<Secret> secrets;
    for (const std::string& name : certgen::SecretNames()) {
      const absl::StatusOr<std::optional<Json>> found = Get(name);
      // Without the right to read the CA's key, it counts as absent.
      if (name == certgen::kCAKeySecret && absl::IsPermissionDenied(found.status())) continue;
      CONTOUR_RETURN_IF_ERROR(found.status());
      const std::optional<Json>& object = *found;
      if (!object) continue;
      Secret secret{name, object->value("type", ""), {}};
      const Json data = object->value("data", Json::object());
      for (const auto& [key, value] : data.items()) {
        const auto decoded = api::DecodeBase64(value.is_string() ? value.get<std::string>() : "");
        if (!decoded) return FailedPrecondition("secret/{}: {} is not base64", name, key);
        secret.data[key] = *decoded;
      }
      versions_[name] = object->at("metadata").value("resourceVersion", "");
      secrets.push_back(std::move(secret));
    }
    return certgen::FromSecrets(secrets);
  }

  absl::Status CheckAbsent() override {
    for (const std::string& name : certgen::SecretNames()) {
      const absl::StatusOr<std::optional<Json>> found = Get(name);
      // Without the right to read the CA's key this isn't known; writing would be refused too.
      if (name == certgen::kCAKeySecret && absl::IsPermissionDenied(found.status())) continue;
      CONTOUR_RETURN_IF_ERROR(found.status());
      if (found->has_value()) return Exists(name);
    }
    return absl::OkStatus();
  }

  absl::Status RemoveCAKey() override {
    const std::string name = certgen::kCAKeySecret;
    const kube::Response response =
        client_->Call({.method = "DELETE", .path = Path() + "/" + name});
    if (absl::IsNotFound(response.status)) return absl::OkStatus();
    if (!response.status.ok()) {
      return absl::Status(response.status.code(),
                          fmt::format("secret/{} in namespace {}: the former CA's key can't be "
                                      "removed: {}",
                                      name, ns_, Message(response.status)));
    }
    fmt::print("secret/{} removed\n", name);
    return absl::OkStatus();
  }

  absl::Status Write(const Bundle& bundle, bool overwrite) override {
    for (const Secret& secret : certgen::ToSecrets(bundle)) {
      kube::Response response = Send("POST", Path(), secret, "");
      bool replaced = false;
      if (absl::IsAlreadyExists(response.status)) {
        if (!overwrite) return Exists(secret.name);
        // Only the version that was read is replaced.
        response = Send("PUT", Path() + "/" + secret.name, secret, versions_[secret.name]);
        replaced = true;
      }
      if (!response.status.ok()) return Error(secret.name, response.status);
      fmt::print("secret/{} {}\n", secret.name, replaced ? "replaced" : "created");
    }
    return absl::OkStatus();
  }

 private:
  std::string Path() const { return kube::CollectionPath("v1", "secrets", ns_); }

  absl::Status Exists(const std::string& name) const {
    return absl::AlreadyExistsError(fmt::format(
        "secret/{}: exists in namespace {} already; --overwrite replaces it, --rotate renews it "
        "when it is time",
        name, ns_));
  }
  absl::Status Error(const std::string& name, const absl::Status& status) const {
    return absl::Status(status.code(),
                        fmt::format("secret/{} in namespace {}: {}", name, ns_, Message(status)));
  }

  // Returns the Secret; nullopt: there is none.
  absl::StatusOr<std::optional<Json>> Get(const std::string& name) {
    const kube::Response response = client_->Call({.path = Path() + "/" + name});
    if (absl::IsNotFound(response.status)) return std::nullopt;
    if (!response.status.ok()) return Error(name, response.status);
    Json object = Json::parse(response.body, nullptr, false);
    if (!object.is_object() || !object.contains("metadata")) {
      return FailedPrecondition("secret/{}: the answer is no Secret", name);
    }
    return std::optional<Json>(std::move(object));
  }

  kube::Response Send(const char* method, const std::string& path, const Secret& secret,
                      const std::string& version) {
    Json data = Json::object();
    for (const auto& [key, value] : secret.data) data[key] = certgen::Base64(value);
    Json object = {
        {"apiVersion", "v1"},
        {"kind", "Secret"},
        {"metadata", {{"name", secret.name}, {"namespace", ns_}, {"labels", {{"app", "contour"}}}}},
        {"type", secret.type},
        {"data", data},
    };
    if (!version.empty()) object["metadata"]["resourceVersion"] = version;
    return client_->Call({.method = method, .path = path, .body = object.dump()});
  }

  const std::unique_ptr<kube::Client> client_;
  const std::string ns_;
  std::map<std::string, std::string> versions_;  // of the Secrets that were read
};

absl::StatusOr<std::unique_ptr<Target>> MakeKubeTarget(const Options& options) {
  CONTOUR_ASSIGN_OR_RETURN(
      kube::ServerConfig server,
      kube::LoadServerConfig({.in_cluster = options.in_cluster, .kubeconfig = options.kubeconfig}));
  CONTOUR_ASSIGN_OR_RETURN(std::shared_ptr<kube::Credentials> credentials,
                           kube::Credentials::Create(std::move(server)));
  return std::make_unique<KubeTarget>(
      std::make_unique<kube::Client>(std::move(credentials), kube::ClientOptions()), options.ns);
}

// True for a name that Kubernetes accepts for a namespace. It becomes part of paths, manifests and
// certificates.
bool IsNamespace(const std::string& name) {
  const auto is_letter = [](unsigned char c) {
    return std::islower(c) != 0 || std::isdigit(c) != 0;
  };
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  for (const char c : name) {
    if (c != '-' && !is_letter(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

bool IsEmpty(const Bundle& bundle) { return certgen::ToPemFiles(bundle).empty(); }

// Renews the pairs that near their end, and prints remarks for the user.
absl::Status Rotate(Target& target, const Options& options, const certgen::Lifetimes& lifetimes) {
  CONTOUR_ASSIGN_OR_RETURN(const Bundle existing, target.Read());
  if (IsEmpty(existing)) {
    CONTOUR_ASSIGN_OR_RETURN(
        const Bundle bundle,
        certgen::MakeBundle(options.key_type, options.ns, lifetimes, options.keep_ca_key));
    CONTOUR_RETURN_IF_ERROR(target.CheckAbsent());  // a half of a pair
    return target.Write(bundle, false);
  }
  CONTOUR_ASSIGN_OR_RETURN(const Bundle renewed,
                           certgen::Renew(existing, options.key_type, options.ns, lifetimes));
  CONTOUR_ASSIGN_OR_RETURN(const certgen::Validity ca,
                           certgen::ReadValidity(*existing.ca_certificate));
  if (ca.not_after - lifetimes.now < lifetimes.leaf_seconds) {
    fmt::print(stderr, "cacert: ends on {}; before that all must be made anew (--overwrite)\n",
               certgen::TimeText(ca.not_after));
  }
  if (IsEmpty(renewed)) {
    fmt::print("nothing to renew\n");
    return absl::OkStatus();
  }
  return target.Write(renewed, true);
}

absl::Status Run(const Options& options) {
  if (!IsNamespace(options.ns)) {
    return InvalidArgument("--namespace: expected a name like heptio-contour, got {}",
                           Quote(options.ns));
  }
  const certgen::Lifetimes lifetimes = {std::time(nullptr), options.leaf_days * kDay,
                                        options.ca_days * kDay};
  std::vector<std::unique_ptr<Target>> targets;
  if (options.pem) targets.push_back(std::make_unique<PemTarget>(options.directory));
  if (options.yaml) {
    targets.push_back(std::make_unique<YamlTarget>(options.directory, options.ns));
  }
  if (options.kube) {
    CONTOUR_ASSIGN_OR_RETURN(std::unique_ptr<Target> target, MakeKubeTarget(options));
    targets.push_back(std::move(target));
  }
  if (options.rotate) {
    if (targets.size() != 1 || options.overwrite) {
      return InvalidArgument("--rotate: expected either --pem or --kube, and not --overwrite");
    }
    fmt::print("{}\n", targets.front()->Announcement());
    return Rotate(*targets.front(), options, lifetimes);
  }
  CONTOUR_ASSIGN_OR_RETURN(
      const Bundle bundle,
      certgen::MakeBundle(options.key_type, options.ns, lifetimes, options.keep_ca_key));
  if (!options.overwrite) {
    for (const auto& target : targets) CONTOUR_RETURN_IF_ERROR(target->CheckAbsent());
  }
  for (const auto& target : targets) {
    fmt::print("{}\n", target->Announcement());
    CONTOUR_RETURN_IF_ERROR(target->Write(bundle, options.overwrite));
    if (options.overwrite && !options.keep_ca_key) CONTOUR_RETURN_IF_ERROR(target->RemoveCAKey());
  }
  if (targets.empty()) {
    fmt::print(stderr, "the certificates are thrown away: give --pem, --yaml or --kube\n");
  }
  return absl::OkStatus();
}

}  // namespace

std::function<int()> Certgen(CLI::App& app) {
  const auto given = std::make_shared<config::GivenFlags>();
  const auto directory = std::make_shared<std::string>(Options().directory);
  app.add_option("outputdir", *directory, "folder for the files")->capture_default_str();
  Options defaults;
  config::Settings settings;
  Declare(defaults, settings);
  config::AddFlags(settings, app, given);
  return [given, directory] {
    Options options;
    config::Settings resolved;
    Declare(options, resolved);
    options.directory = *directory;
    const absl::Status status =
        resolved.Resolve({.environment = config::ProcessEnvironment(), .flags = given.get()});
    if (!status.ok()) {
      fmt::print(stderr, "contour: error: {}, try --help\n", Message(status));
      return 1;
    }
    const absl::Status done = Run(options);
    if (done.ok()) return 0;
    std::fflush(stdout);
    fmt::print(stderr, "{}\n", Message(done));
    return 1;
  };
}

}  // namespace contour::cmd
