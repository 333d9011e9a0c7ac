// SPDX-License-Identifier: Apache-2.0

#include "leader/replica_role.h"

#include <utility>

#include "base/log.h"

namespace contour::leader {

ReplicaRole::ReplicaRole(Callbacks callbacks, const std::optional<Electing>& electing)
    : all_serve_(!electing || electing->all_serve),
      callbacks_(std::move(callbacks)),
      identity_(electing ? electing->identity : std::string()) {
  callbacks_.set_writing(!electing);
  if (electing) candidate_ = electing->make([this](const View& view) { OnView(view); });
}

ReplicaRole::~ReplicaRole() = default;

void ReplicaRole::Start() {
  if (candidate_ == nullptr) {
    log::Info("serve", "Leader election disabled");
    return;
  }
  candidate_->Start();
}

void ReplicaRole::PostSettle() {
  callbacks_.post([this] { Settle(); });
}

void ReplicaRole::KeysAreGood() {
  keys_are_good_ = true;
  ContendIfAble();
  PostSettle();
}

// Called when either condition becomes true; the second call finds both true.
void ReplicaRole::ContendIfAble() {
  if (candidate_ != nullptr && built_ && keys_are_good_) candidate_->Contend();
}

void ReplicaRole::Built() {
  built_ = true;
  ContendIfAble();
  PostSettle();
}

void ReplicaRole::Remembered() {
  remembered_ = true;
  PostSettle();
}

void ReplicaRole::Leave(std::chrono::milliseconds patience) {
  left_ = true;
  callbacks_.set_writing(false);
  if (candidate_ != nullptr) candidate_->Stop(patience);
}

void ReplicaRole::OnView(const View& view) {
  const Role role = view.elector.role;
  const std::string& holder = view.elector.holder;
  const bool another = view.elector.sight == Sight::kClear && !holder.empty() &&
                       holder != identity_ && !another_seen_.exchange(true);
  const bool changed = role_.exchange(role) != role;
  if (another && remembered_ && !left_) PostSettle();
  if (role != Role::kStandby) remembered_ = false;  // after the role: the port stays open
  if (!changed || left_) return;
  callbacks_.set_writing(role == Role::kLeader);
  PostSettle();
}

bool ReplicaRole::ShouldServe() const {
  if (!keys_are_good_) return false;
  if (all_serve_) return built_ || remembered_;
  if (built_ && role_ != Role::kStandby) return true;
  return remembered_ && !another_seen_;
}

void ReplicaRole::Settle() {
  if (left_) return;
  if (!ShouldServe()) {
    if (open_.exchange(false)) callbacks_.close();
    return;
  }
  if (!open_) open_ = callbacks_.open();
  if (open_ && built_ && candidate_ != nullptr) candidate_->PublishAddress();
}

bool ReplicaRole::MayWrite() const { return candidate_ == nullptr || candidate_->MayWrite(); }

std::string ReplicaRole::NotReady() const {
  if (!built_ && !(remembered_ && ShouldServe())) return "objects are not synced yet";
  if (left_) return "stopping";
  if (!keys_are_good_) return "the keys of the xDS port are not in use yet";
  if (candidate_ != nullptr) {
    if (std::string reason = candidate_->NotReady(); !reason.empty()) return reason;
  }
  return ShouldServe() && !open_ ? "the xDS port is closed" : "";
}

std::string ReplicaRole::Remark() const {
  return candidate_ == nullptr ? std::string() : candidate_->view().address.problem;
}

std::string ReplicaRole::NotAlive() const {
  return candidate_ == nullptr ? std::string() : candidate_->NotAlive();
}

std::optional<View> ReplicaRole::view() const {
  if (candidate_ == nullptr) return std::nullopt;
  return candidate_->view();
}

}  // namespace contour::leader
