// SPDX-License-Identifier: Apache-2.0

#include "admin/http_connections.h"

#include <sys/socket.h>

#include <utility>

namespace contour::admin {

HttpConnections::Connection* HttpConnections::Slowest(const Gate* gate,
                                                      const std::string* address) const {
  Connection* slowest = nullptr;
  for (Connection* each : all_) {
    if (each->ended_ || each->phase_ == Phase::kHandling) continue;
    if (gate != nullptr && (each->gate_ != gate || each->phase_ != Phase::kWriting)) continue;
    if (address != nullptr && each->address_ != *address) continue;
    if (slowest == nullptr || each->since_ < slowest->since_) slowest = each;
  }
  return slowest;
}

HttpConnections::Connection* HttpConnections::LongestIdle() const {
  Connection* longest = nullptr;
  for (Connection* each : all_) {
    if (each->ended_ || !each->served_ || each->phase_ != Phase::kReading) continue;
    if (longest == nullptr || each->since_ < longest->since_) longest = each;
  }
  return longest;
}

void HttpConnections::MakeRoom(std::size_t wanted) {
  const MutexLock lock(mutex_);
  crowded_ = true;
  std::size_t ending = 0;
  for (const Connection* each : all_) ending += each->ended_ ? 1 : 0;
  const Clock::time_point now = Clock::now();
  for (; ending < wanted; ++ending) {
    Connection* gone = LongestIdle();
    if (gone == nullptr) {
      gone = Slowest(nullptr, nullptr);
      if (gone == nullptr || now - gone->since_ < kGrace) return;
    }
    gone->End();
  }
}

void HttpConnections::RoomIsMade() {
  const MutexLock lock(mutex_);
  crowded_ = false;
}

void HttpConnections::BeginStop() {
  const MutexLock lock(mutex_);
  stopping_ = true;
  for (Connection* each : all_) {
    if (each->phase_ == Phase::kReading) each->End();
  }
}

void HttpConnections::EndUnread() {
  const MutexLock lock(mutex_);
  const Clock::time_point now = Clock::now();
  for (Connection* each : all_) {
    if (each->phase_ == Phase::kWriting && now - each->since_ > kLastWords) each->End();
  }
}

bool HttpConnections::stopping() const {
  const MutexLock lock(mutex_);
  return stopping_;
}

bool HttpConnections::TakesGate(Connection& connection, const Gate& gate) {
  const MutexLock lock(mutex_);
  const Clock::time_point began = Clock::now();
  while (true) {
    std::size_t inside = 0;
    std::size_t of_address = 0;
    for (const Connection* each : all_) {
      if (each->gate_ != &gate) continue;
      ++inside;
      if (each->address_ == connection.address_) ++of_address;
    }
    const bool address_is_full = of_address >= gate.per_address_;
    if (inside < gate.at_most_ && !address_is_full) {
      connection.gate_ = &gate;
      return true;
    }
    Connection* const slowest = Slowest(&gate, address_is_full ? &connection.address_ : nullptr);
    if (slowest != nullptr && began - slowest->since_ >= kSlowReader) slowest->End();
    if (!left_.WaitUntil(mutex_, began + kWaitAtGate) && Clock::now() >= began + kWaitAtGate)
      return false;
  }
}

HttpConnections::Connection::Connection(HttpConnections& all, int socket, std::string address)
    : all_(all), socket_(socket), address_(std::move(address)), since_(Clock::now()) {
  const MutexLock lock(all_.mutex_);
  all_.all_.push_back(this);
}

HttpConnections::Connection::~Connection() {
  const MutexLock lock(all_.mutex_);
  all_.all_.remove(this);
  all_.left_.NotifyAll();
}

bool HttpConnections::Connection::Enter(Phase phase) {
  const MutexLock lock(all_.mutex_);
  phase_ = phase;
  since_ = Clock::now();
  if (phase == Phase::kReading) return !all_.stopping_ && !(served_ && all_.crowded_);
  served_ = true;
  return !ended_;
}

void HttpConnections::Connection::LeaveGate() {
  const MutexLock lock(all_.mutex_);
  if (std::exchange(gate_, nullptr) != nullptr) all_.left_.NotifyAll();
}

void HttpConnections::Connection::End() {
  if (!std::exchange(ended_, true)) shutdown(socket_, SHUT_RDWR);
}

}  // namespace contour::admin
