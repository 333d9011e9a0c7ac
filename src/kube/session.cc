// SPDX-License-Identifier: Apache-2.0

#include "kube/session.h"

#include <utility>

#include "base/status.h"

namespace contour::kube {

class Session::Call final : public HttpHandler, public std::enable_shared_from_this<Call> {
 public:
  Call(Session& session, CallId id, ApiRequest request, HttpHandler& handler)
      : session_(session), id_(id), request_(std::move(request)), handler_(handler) {}

  // Runs as a task of its own, since the identity may be known already, and handlers must never be
  // called inside Start.
  void Begin() {
    session_.loop_.Post([weak = weak_from_this()] {
      if (const auto call = weak.lock()) call->Try();
    });
  }

  void Abandon() {
    if (running_) session_.transport_.Cancel(*running_);
  }

 private:
  void Try() {
    session_.credentials_->Get(session_.loop_,
                               [weak = weak_from_this()](absl::StatusOr<Identity> identity) {
                                 if (const auto call = weak.lock()) call->Send(std::move(identity));
                               });
  }

  void Send(absl::StatusOr<Identity> identity) {
    if (!identity.ok())
      return End(absl::UnauthenticatedError(std::string(Message(identity.status()))));
    identity_ = *std::move(identity);
    const ServerConfig& config = session_.credentials_->config();
    HttpRequest http;
    http.method = request_.method;
    http.url = config.server + request_.path;
    http.headers.emplace_back("Accept", "application/json");
    if (!identity_.authorization.empty()) {
      http.headers.emplace_back("Authorization", identity_.authorization);
    }
    if (!request_.body.empty()) {
      http.headers.emplace_back("Content-Type", request_.content_type.empty()
                                                    ? "application/json"
                                                    : request_.content_type);
    }
    http.body = request_.body;
    http.tls = identity_.tls;
    http.proxy = config.proxy;
    http.timeout = request_.timeout;
    http.accept_gzip = request_.accept_gzip && !config.disable_compression;
    http.may_start = request_.may_start;
    running_ = session_.transport_.Start(std::move(http), *this);
  }

  void OnHead(const HttpHead& head) override {
    constexpr int kUnauthorized = 401;
    if (head.status == kUnauthorized && !std::exchange(tried_again_, true) &&
        session_.credentials_->Refused(identity_)) {
      session_.transport_.Cancel(*std::exchange(running_, std::nullopt));
      return Begin();
    }
    handler_.OnHead(head);
  }
  void OnBody(std::string_view bytes) override { handler_.OnBody(bytes); }
  void OnEnd(const absl::Status& status) override {
    running_.reset();
    End(status);
  }

  void End(const absl::Status& status) {
    const auto keep = shared_from_this();  // the map lets go of us
    session_.calls_.erase(id_);
    handler_.OnEnd(status);
  }

  Session& session_;
  const CallId id_;
  const ApiRequest request_;
  HttpHandler& handler_;
  Identity identity_;
  std::optional<Transport::RequestId> running_;
  bool tried_again_ = false;
};

Session::Session(std::shared_ptr<Credentials> credentials, Loop& loop, Transport& transport)
    : credentials_(std::move(credentials)), loop_(loop), transport_(transport) {}

Session::~Session() {
  credentials_->Forget(loop_);
  for (const auto& [id, call] : calls_) call->Abandon();
}

Session::CallId Session::Start(ApiRequest request, HttpHandler& handler) {
  const auto id = static_cast<CallId>(++last_id_);
  const auto call = std::make_shared<Call>(*this, id, std::move(request), handler);
  calls_.emplace(id, call);
  call->Begin();
  return id;
}

void Session::Cancel(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Call> call = std::move(found->second);
  calls_.erase(found);
  call->Abandon();
}

}  // namespace contour::kube
