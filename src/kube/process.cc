// SPDX-License-Identifier: Apache-2.0

#include "kube/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/status.h"

extern char** environ;

namespace contour::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMostErrorText = 2048;
constexpr milliseconds kLook{
    20};  // how often we look whether the program has ended or should be ended

class Pipe {
 public:
  Pipe() { open_ = pipe2(ends_.data(), O_CLOEXEC) == 0; }
  ~Pipe() {
    CloseWrite();
    if (open_) close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  bool ok() const { return open_; }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void CloseWrite() {
    if (open_ && ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool open_ = false;
};

// Returns our environment with the given variables added, as NAME=value.
std::vector<std::string> MergedEnvironment(const ProcessSpec& spec) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const std::string_view name = variable.substr(0, variable.find('='));
    bool replaced = false;
    for (const auto& [own, value] : spec.env) replaced = replaced || own == name;
    if (!replaced) variables.emplace_back(variable);
  }
  for (const auto& [name, value] : spec.env) variables.push_back(fmt::format("{}={}", name, value));
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<pid_t> Spawn(const ProcessSpec& spec, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out.write_end(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, err.write_end(), STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t reset;
  sigfillset(&reset);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &reset);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> argv = spec.argv;
  std::vector<std::string> env = MergedEnvironment(spec);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0].c_str(), &files, &attributes,
                                 Pointers(argv).data(), Pointers(env).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == ENOENT) return NotFound("{}: no such program", spec.argv[0]);
  if (error != 0) {
    return absl::InternalError(fmt::format("{}: {}", spec.argv[0], std::strerror(error)));
  }
  return child;
}

// Reads some bytes. Returns false if no more will come.
bool ReadSome(int from, std::string* into, std::size_t most) {
  char buffer[16 * 1024];
  const ssize_t got = read(from, buffer, sizeof buffer);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (into->size() < most) into->append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

}  // namespace

absl::StatusOr<ProcessResult> RunProcess(const ProcessSpec& spec, const std::stop_token& stop) {
  Pipe out;
  Pipe err;
  if (!out.ok() || !err.ok()) return absl::InternalError("no pipe for a program's output");
  CONTOUR_ASSIGN_OR_RETURN(const pid_t child, Spawn(spec, out, err));
  out.CloseWrite();
  err.CloseWrite();
  fcntl(out.read_end(), F_SETFL, O_NONBLOCK);
  fcntl(err.read_end(), F_SETFL, O_NONBLOCK);

  ProcessResult result;
  absl::Status problem;
  const auto deadline = steady_clock::now() + spec.timeout;
  std::array<pollfd, 2> pipes{pollfd{out.read_end(), POLLIN, 0}, pollfd{err.read_end(), POLLIN, 0}};
  int wait_status = 0;
  bool ended = false;
  while (true) {
    poll(pipes.data(), pipes.size(), static_cast<int>(kLook.count()));
    if (pipes[0].fd >= 0 && pipes[0].revents != 0 &&
        !ReadSome(pipes[0].fd, &result.out, spec.max_output + 1)) {
      pipes[0].fd = -1;
    }
    if (pipes[1].fd >= 0 && pipes[1].revents != 0 &&
        !ReadSome(pipes[1].fd, &result.err, kMostErrorText)) {
      pipes[1].fd = -1;
    }
    if (result.out.size() > spec.max_output) {
      problem = absl::ResourceExhaustedError(
          fmt::format("{}: printed more than {} bytes", spec.argv[0], spec.max_output));
    } else if (stop.stop_requested()) {
      problem = absl::CancelledError(spec.argv[0] + ": no longer wanted");
    } else if (steady_clock::now() >= deadline) {
      problem = absl::DeadlineExceededError(
          fmt::format("{}: not done after {} ms", spec.argv[0], spec.timeout.count()));
    }
    if (!problem.ok()) break;
    // Processes that it started may keep the pipes open after its end. Then the bytes that are
    // there now are read, and no more.
    if (ended && (pipes[0].revents == 0 || pipes[0].fd < 0)) break;
    if (!ended) ended = waitpid(child, &wait_status, WNOHANG) == child;
  }
  if (!ended) {
    kill(-child, SIGKILL);
    while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
    }
  }
  if (!problem.ok()) return problem;
  result.err.resize(std::min(result.err.size(), kMostErrorText));
  result.exit_code =
      WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
  return result;
}

}  // namespace contour::kube
