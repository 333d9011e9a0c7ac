// SPDX-License-Identifier: Apache-2.0

#include "kube/credentials.h"

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/read_file.h"
#include "base/status.h"
#include "base/strings.h"
#include "kube/exec_credential.h"
#include "kube/files.h"
#include "kube/pem.h"
#include "kube/process.h"

namespace contour::kube {
namespace {

// The last good content of a Material.
struct Content {
  Material source;
  std::optional<FileSignature> signature;  // of what `text` was read from
  std::string text;

  // True if the file has changed since it was read.
  bool Stale() const { return !source.file.empty() && SignatureOf(source.file) != signature; }
  const std::string& where() const { return source.file; }
};

struct Fresh {
  std::optional<FileSignature> signature;
  std::string text;
};

absl::StatusOr<Fresh> Read(const Content& content) {
  if (content.source.file.empty()) return Fresh{std::nullopt, content.source.text};
  Fresh fresh;
  fresh.signature =
      SignatureOf(content.source.file);  // before reading: a later change is then seen as one
  CONTOUR_ASSIGN_OR_RETURN(fresh.text, ReadFile(content.source.file));
  return fresh;
}

void Take(Fresh fresh, Content* content) {
  content->signature = fresh.signature;
  content->text = std::move(fresh.text);
}

absl::Status CheckToken(std::string_view token) {
  if (token.empty()) return InvalidArgument("no token in it");
  for (const char c : token) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      return InvalidArgument("the token has white space or control characters in it");
    }
  }
  return absl::OkStatus();
}

absl::Status FindProgram(const ExecPlugin& plugin) {
  const std::string hint =
      plugin.install_hint.empty() ? "" : "; " + std::string(Trim(plugin.install_hint));
  if (plugin.command.find('/') != std::string::npos) {
    if (access(plugin.command.c_str(), X_OK) == 0) return absl::OkStatus();
    return InvalidArgument("exec: {} can't be run{}", plugin.command, hint);
  }
  const char* const path = std::getenv("PATH");
  for (const std::string& folder : SplitList(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    if (access((folder + "/" + plugin.command).c_str(), X_OK) == 0) return absl::OkStatus();
  }
  return InvalidArgument("exec: {} isn't in PATH{}", plugin.command, hint);
}

}  // namespace

class Credentials::Impl {
 public:
  Impl(ServerConfig config, Options options)
      : config_(std::move(config)), options_(std::move(options)) {
    const MutexLock lock(mutex_);
    ca_.source = config_.ca;
    cert_.source = config_.client_cert;
    key_.source = config_.client_key;
    token_.source = config_.token;
  }

  ~Impl() {
    std::jthread worker;
    {
      const MutexLock lock(mutex_);
      waiting_.clear();
      worker = std::move(worker_);
    }
  }

  const ServerConfig& config() const { return config_; }

  absl::Status Init() {
    const MutexLock lock(mutex_);
    for (const absl::Status& status : {ReadCa(), ReadKeyPair(), ReadToken()}) {
      if (!status.ok()) return InvalidArgument("{}: {}", config_.origin, Message(status));
    }
    if (config_.exec) {
      if (absl::Status found = FindProgram(*config_.exec); !found.ok()) {
        return InvalidArgument("{}: {}", config_.origin, Message(found));
      }
    }
    Renew();
    return absl::OkStatus();
  }

  void Get(Loop& loop, Done done) {
    absl::StatusOr<Identity> identity;
    {
      const MutexLock lock(mutex_);
      LookAtFiles();
      if (config_.exec && !PluginAnswerIsGood()) {
        waiting_.push_back({&loop, std::move(done)});
        if (!plugin_runs_) StartPlugin();
        return;
      }
      identity = current_;
    }
    done(std::move(identity));
  }

  void Forget(Loop& loop) {
    const MutexLock lock(mutex_);
    std::erase_if(waiting_, [&](const Waiter& waiter) { return waiter.loop == &loop; });
  }

  bool Refused(const Identity& identity) {
    const MutexLock lock(mutex_);
    if (identity.serial != current_.serial) return true;
    if (config_.exec) {
      if (answer_follows_refusal_ && Clock::now() - answered_at_ < options_.refused_pause)
        return false;
      plugin_answer_.reset();
      refused_ = true;
      return true;
    }
    LookAtFiles();
    return identity.serial != current_.serial;
  }

 private:
  struct Waiter {
    Loop* loop;
    Done done;
  };

  absl::Status ReadCa() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ca_.source.empty()) return absl::OkStatus();
    CONTOUR_ASSIGN_OR_RETURN(Fresh fresh, Read(ca_));
    if (absl::Status good = CheckCertificates(fresh.text); !good.ok()) {
      return InvalidArgument("certificate-authority {}: {}", ca_.where(), Message(good));
    }
    Take(std::move(fresh), &ca_);
    return absl::OkStatus();
  }

  absl::Status ReadKeyPair() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (cert_.source.empty()) return absl::OkStatus();
    CONTOUR_ASSIGN_OR_RETURN(Fresh cert, Read(cert_));
    CONTOUR_ASSIGN_OR_RETURN(Fresh key, Read(key_));
    if (absl::Status good = CheckKeyPair(cert.text, key.text); !good.ok()) {
      return InvalidArgument("client-certificate {}: {}", cert_.where(), Message(good));
    }
    Take(std::move(cert), &cert_);
    Take(std::move(key), &key_);
    return absl::OkStatus();
  }

  absl::Status ReadToken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (token_.source.empty()) return absl::OkStatus();
    CONTOUR_ASSIGN_OR_RETURN(Fresh fresh, Read(token_));
    fresh.text = std::string(Trim(fresh.text));
    if (absl::Status good = CheckToken(fresh.text); !good.ok()) {
      return InvalidArgument("token {}: {}", token_.where(), Message(good));
    }
    Take(std::move(fresh), &token_);
    return absl::OkStatus();
  }

  void LookAtFiles() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    bool changed = false;
    if (ca_.Stale()) changed |= Noted("certificate-authority", ReadCa());
    if (cert_.Stale() || key_.Stale()) changed |= Noted("client-certificate", ReadKeyPair());
    if (token_.Stale()) changed |= Noted("token", ReadToken());
    if (changed) Renew();
  }

  // Logs the outcome of reading something again. Returns true if it succeeded.
  bool Noted(std::string_view what, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::string problem(Message(status));
    if (status.ok()) {
      log::Info("kube", "credentials read again", {{"what", what}});
    } else if (problem != last_problem_) {  // once, not with each request
      log::Warning("kube", "changed credentials can't be used, the old ones stay",
                   {{"error", problem}});
    }
    last_problem_ = problem;
    return status.ok();
  }

  // Makes current_ from the last good contents.
  void Renew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    TlsOptions tls;
    tls.ca_pem = ca_.text;
    tls.cert_pem = cert_.text;
    tls.key_pem = key_.text;
    tls.server_name = config_.tls_server_name;
    tls.skip_verify = config_.insecure_skip_tls_verify;
    std::string token = token_.text;
    if (plugin_answer_) {
      if (!plugin_answer_->token.empty()) token = plugin_answer_->token;
      if (!plugin_answer_->cert_pem.empty()) {
        tls.cert_pem = plugin_answer_->cert_pem;
        tls.key_pem = plugin_answer_->key_pem;
      }
    }
    if (current_.tls == nullptr || *current_.tls != tls) {
      current_.tls = std::make_shared<const TlsOptions>(std::move(tls));
    }
    current_.authorization = token.empty() ? "" : "Bearer " + token;
    ++current_.serial;
  }

  bool PluginAnswerIsGood() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return plugin_answer_ && (!plugin_answer_->expires ||
                              *plugin_answer_->expires - options_.expiry_margin > options_.now());
  }

  void StartPlugin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    plugin_runs_ = true;
    ProcessSpec spec;
    spec.argv = {config_.exec->command};
    spec.argv.insert(spec.argv.end(), config_.exec->args.begin(), config_.exec->args.end());
    spec.env = config_.exec->env;
    spec.env.emplace_back("KUBERNETES_EXEC_INFO", ExecInfo(config_, ca_.text));
    spec.timeout = options_.plugin_timeout;
    // An earlier thread, if any, released the lock as its last step, so joining it doesn't wait.
    worker_ = std::jthread([this, spec = std::move(spec)](const std::stop_token& stop) {
      absl::StatusOr<ExecCredential> answer = AskPlugin(spec, stop);
      if (!stop.stop_requested()) TakeAnswer(std::move(answer));
    });
  }

  absl::StatusOr<ExecCredential> AskPlugin(const ProcessSpec& spec,
                                           const std::stop_token& stop) const {
    const auto failed = [&](std::string_view problem) {
      return Unavailable("credential plugin {}: {}", spec.argv[0], problem);
    };
    const absl::StatusOr<ProcessResult> result = RunProcess(spec, stop);
    if (!result.ok()) return failed(Message(result.status()));
    if (result->exit_code != 0) {
      return failed(fmt::format("exit code {}: {}", result->exit_code, Trim(result->err)));
    }
    absl::StatusOr<ExecCredential> answer =
        ParseExecCredential(result->out, config_.exec->api_version);
    if (!answer.ok()) return failed(Message(answer.status()));
    if (!answer->cert_pem.empty()) {
      if (absl::Status good = CheckKeyPair(answer->cert_pem, answer->key_pem); !good.ok()) {
        return failed(Message(good));
      }
    }
    return answer;
  }

  void TakeAnswer(absl::StatusOr<ExecCredential> answer) {
    const MutexLock lock(mutex_);
    plugin_runs_ = false;
    answered_at_ = Clock::now();
    answer_follows_refusal_ = std::exchange(refused_, false);
    absl::StatusOr<Identity> identity;
    if (answer.ok()) {
      plugin_answer_ = *std::move(answer);
      Renew();
      identity = current_;
    } else {
      identity = answer.status();
      log::Warning("kube", "no credentials from the plugin", {{"error", Message(answer.status())}});
    }
    for (Waiter& waiter : std::exchange(waiting_, {})) {
      waiter.loop->Post([done = std::move(waiter.done), identity] { done(identity); });
    }
  }

  const ServerConfig config_;
  const Options options_;

  Mutex mutex_;
  Content ca_ ABSL_GUARDED_BY(mutex_);
  Content cert_ ABSL_GUARDED_BY(mutex_);
  Content key_ ABSL_GUARDED_BY(mutex_);
  Content token_ ABSL_GUARDED_BY(mutex_);
  Identity current_ ABSL_GUARDED_BY(mutex_);
  std::string last_problem_ ABSL_GUARDED_BY(mutex_);

  std::optional<ExecCredential> plugin_answer_ ABSL_GUARDED_BY(mutex_);
  bool plugin_runs_ ABSL_GUARDED_BY(mutex_) = false;
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;  // what the plugin gave, since it was asked last
  bool answer_follows_refusal_ ABSL_GUARDED_BY(mutex_) = false;
  TimePoint answered_at_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiter> waiting_ ABSL_GUARDED_BY(mutex_);
  std::jthread worker_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::shared_ptr<Credentials>> Credentials::Create(ServerConfig config,
                                                                 Options options) {
  auto impl = std::make_unique<Impl>(std::move(config), std::move(options));
  CONTOUR_RETURN_IF_ERROR(impl->Init());
  return std::shared_ptr<Credentials>(new Credentials(std::move(impl)));
}

Credentials::Credentials(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Credentials::~Credentials() = default;
const ServerConfig& Credentials::config() const { return impl_->config(); }
void Credentials::Get(Loop& loop, Done done) { impl_->Get(loop, std::move(done)); }
void Credentials::Forget(Loop& loop) { impl_->Forget(loop); }
bool Credentials::Refused(const Identity& identity) { return impl_->Refused(identity); }

}  // namespace contour::kube
