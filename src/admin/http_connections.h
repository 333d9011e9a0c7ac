// SPDX-License-Identifier: Apache-2.0
// Manages the open connections of one HTTP port: how many there may be, which of them ends when
// another one comes, and how many requests of one kind are answered at a time.
//
// Example, given `int socket`:
//   HttpConnections connections;
//   HttpConnections::Connection connection(connections, socket, "10.0.0.1");
//   connection.Enter(HttpConnections::Phase::kHandling);
//   connections.MakeRoom(1);  // by the thread that accepts connections, when there are too many
//
// A connection that waits for its client (for a request, or for the client to read the answer) can
// be ended at any moment by shutting its socket down; to the thread that serves it this looks as if
// the client had closed it. A connection whose request is being handled is never ended.
//
// The methods may be called on any thread.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "base/mutex.h"

namespace contour::admin {

class HttpConnections {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Phase : std::uint8_t {
    kReading,   // waits for a request, or for its end
    kHandling,  // the request is being handled
    kWriting    // the answer is being written
  };

  // Limits how many requests of one kind are answered at a time, the writing of the answers
  // included.
  class Gate {
   public:
    // `per_address` is the limit for the clients of one address; 0: the same as `at_most`.
    explicit Gate(std::size_t at_most, std::size_t per_address = 0)
        : at_most_(at_most), per_address_(per_address == 0 ? at_most : per_address) {}

   private:
    friend class HttpConnections;
    const std::size_t at_most_;
    const std::size_t per_address_;
  };

  class Connection;

  // Ends `wanted` connections soon: those that have waited longest for their clients, once they
  // have waited for kGrace. Until RoomIsMade no connection waits for a second request.
  void MakeRoom(std::size_t wanted) ABSL_LOCKS_EXCLUDED(mutex_);
  void RoomIsMade() ABSL_LOCKS_EXCLUDED(mutex_);

  // From now on no connection waits for a request, and the client has `kLastWords` to read an
  // answer.
  void BeginStop() ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the connections whose answer wasn't read in this time. To be called repeatedly after
  // BeginStop.
  void EndUnread() ABSL_LOCKS_EXCLUDED(mutex_);

  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);  // BeginStop was called

  static constexpr std::chrono::milliseconds kLastWords{1000};
  static constexpr std::chrono::milliseconds kGrace{100};

 private:
  // A client that reads its answer for longer makes room for others.
  static constexpr std::chrono::milliseconds kSlowReader{2000};
  // How long a request waits at a gate for another one to be done.
  static constexpr std::chrono::milliseconds kWaitAtGate{500};

  // Returns the connection that has waited longest for its client, of those that have passed `gate`
  // and whose client has `address` (nullptr: any).
  Connection* Slowest(const Gate* gate, const std::string* address) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns the connection that has waited longest for another request after an answer.
  Connection* LongestIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakesGate(Connection& connection, const Gate& gate) ABSL_LOCKS_EXCLUDED(mutex_);

  mutable Mutex mutex_;
  Condition left_;
  std::list<Connection*> all_ ABSL_GUARDED_BY(mutex_);
  bool crowded_ ABSL_GUARDED_BY(mutex_) = false;  // connections wait for a thread
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// One connection, as long as its thread serves it. The socket is closed after it is destroyed.
class HttpConnections::Connection {
 public:
  Connection(HttpConnections& all, int socket, std::string address);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins the phase. Returns false if the connection is to end instead.
  bool Enter(Phase phase);

  // Takes a place at the gate, which it keeps until LeaveGate. Returns false if there is none.
  bool PassGate(const Gate& gate) { return all_.TakesGate(*this, gate); }
  void LeaveGate();

  const std::string& address() const { return address_; }

 private:
  friend class HttpConnections;

  // Shuts the socket down, once.
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(all_.mutex_);

  HttpConnections& all_;
  const int socket_;
  const std::string address_;
  Phase phase_ ABSL_GUARDED_BY(all_.mutex_) = Phase::kReading;
  Clock::time_point since_ ABSL_GUARDED_BY(all_.mutex_);
  bool served_ ABSL_GUARDED_BY(all_.mutex_) = false;  // it had a request
  bool ended_ ABSL_GUARDED_BY(all_.mutex_) = false;
  const Gate* gate_ ABSL_GUARDED_BY(all_.mutex_) = nullptr;
};

}  // namespace contour::admin
