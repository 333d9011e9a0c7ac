// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/fleet.h"

#include <utility>

#include "base/log.h"

namespace contour::cmd {

Fleet::Fleet(std::optional<FleetOptions> options, Lifecycle& lifecycle, Doors doors)
    : all_serve_(!options || options->election.xds == leader::Serving::kAll),
      lifecycle_(lifecycle),
      doors_(std::move(doors)) {
  doors_.writes(!options);
  if (!options) return;
  options->address.all_serve = all_serve_;
  identity_ = options->election.identity;
  election_ = std::make_unique<leader::Election>(
      std::move(options->credentials), options->election, std::move(options->address),
      [this](const leader::View& view) { OnView(view); });
}

Fleet::~Fleet() = default;

void Fleet::Start() {
  if (election_ == nullptr) {
    log::Info("serve", "Leader election disabled");
    return;
  }
  election_->Start();
}

void Fleet::KeysAreGood() {
  keys_are_good_ = true;
  ContendIfAble();
  lifecycle_.Post([this] { Settle(); });
}

// Whichever of the two conditions comes last calls it with both true.
void Fleet::ContendIfAble() {
  if (election_ != nullptr && built_ && keys_are_good_) election_->Contend();
}

void Fleet::Built() {
  built_ = true;
  ContendIfAble();
  lifecycle_.Post([this] { Settle(); });
}

void Fleet::Remembered() {
  remembered_ = true;
  lifecycle_.Post([this] { Settle(); });
}

void Fleet::Leave(std::chrono::milliseconds patience) {
  left_ = true;
  doors_.writes(false);
  if (election_ != nullptr) election_->Stop(patience);
}

void Fleet::OnView(const leader::View& view) {
  const leader::Role role = view.elector.role;
  const std::string& holder = view.elector.holder;
  const bool another = view.elector.sight == leader::Sight::kClear && !holder.empty() &&
                       holder != identity_ && !another_seen_.exchange(true);
  const bool changed = role_.exchange(role) != role;
  if (another && remembered_ && !left_) lifecycle_.Post([this] { Settle(); });
  if (role != leader::Role::kStandby) remembered_ = false;  // after the role: the port stays open
  if (!changed || left_) return;
  doors_.writes(role == leader::Role::kLeader);
  lifecycle_.Post([this] { Settle(); });
}

bool Fleet::ShouldServe() const {
  if (!keys_are_good_) return false;
  if (all_serve_) return built_ || remembered_;
  if (built_ && role_ != leader::Role::kStandby) return true;
  return remembered_ && !another_seen_;
}

void Fleet::Settle() {
  if (left_) return;
  if (!ShouldServe()) {
    if (open_.exchange(false)) doors_.close();
    return;
  }
  if (!open_) open_ = doors_.open();
  if (open_ && built_ && election_ != nullptr) election_->PublishAddress();
}

bool Fleet::MayWrite() const { return election_ == nullptr || election_->MayWrite(); }

std::string Fleet::NotReady() const {
  if (!built_ && !(remembered_ && ShouldServe())) return "objects are not synced yet";
  if (left_) return "stopping";
  if (!keys_are_good_) return "the keys of the xDS port are not in use yet";
  if (election_ != nullptr) {
    if (std::string reason = election_->NotReady(); !reason.empty()) return reason;
  }
  return ShouldServe() && !open_ ? "the xDS port is closed" : "";
}

std::string Fleet::Remark() const {
  return election_ == nullptr ? std::string() : election_->view().address.problem;
}

std::string Fleet::NotAlive() const {
  return election_ == nullptr ? std::string() : election_->NotAlive();
}

void Fleet::AddTo(admin::MetricsText& text) const {
  if (election_ == nullptr) return;
  const leader::View view = election_->view();
  for (const leader::Role role :
       {leader::Role::kStandby, leader::Role::kLeader, leader::Role::kCutOff}) {
    text.Set("contour_leader_role", view.elector.role == role, leader::RoleName(role));
  }
  text.Set("contour_leader_lock_usable", view.elector.sight == leader::Sight::kClear);
  text.Set("contour_leader_lock_watched", view.watching);
  text.Set("contour_leader_lock_transitions", view.elector.transitions);
  text.Set("contour_leader_gained_total", view.elector.gained);
  text.Set("contour_leader_lost_total", view.elector.lost);
  text.Set("contour_leader_renewals_total", view.elector.renewals);
  text.Set("contour_leader_failures_total", view.elector.failures);
  text.Set("contour_leader_address_published", view.address.published);
}

}  // namespace contour::cmd
