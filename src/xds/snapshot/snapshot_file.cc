// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/snapshot_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"

namespace contour::xds {
namespace {

constexpr std::string_view kMagic = "contour snapshot\n";
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kFrame = 1 << 20;  // about this long; a record isn't split

// Records. kHead comes first, then each type's resources, each followed by its parts.
enum class Record : std::uint8_t { kHead = 'H', kResource = 'R', kPart = 'P' };

class Encoder {
 public:
  void Byte(std::uint8_t value) { bytes += static_cast<char>(value); }
  void Number(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) Byte(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void Text(std::string_view text) {
    Number(text.size(), 4);
    bytes += text;
  }
  void Texts(const std::vector<std::string>& texts) {
    Number(texts.size(), 4);
    for (const std::string& text : texts) Text(text);
  }
  void Hash(const Hash128& hash) {
    Number(hash.high, 8);
    Number(hash.low, 8);
  }

  std::string bytes;
};

// After an error everything reads as zero and `ok` is false.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return bytes_.empty(); }

  std::string_view Bytes(std::size_t size) {
    if (size > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  std::uint64_t Number(std::size_t size) {
    const std::string_view taken = Bytes(size);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(taken[i])) << (8 * i);
    }
    return value;
  }
  std::uint8_t Byte() { return static_cast<std::uint8_t>(Number(1)); }
  std::string_view View() { return Bytes(Number(4)); }
  std::string Text() { return std::string(View()); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (std::uint64_t left = Number(4); left > 0 && ok_; --left) texts.push_back(Text());
    return texts;
  }
  Hash128 Hash() {
    const std::uint64_t high = Number(8);
    return {high, Number(8)};
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

Hash128 Chain(const Hash128& before, std::string_view frame) {
  return HashPair(before.Hex(), frame);
}

void EncodeResource(const TypeInfo& type, const Resource& resource, Encoder& out) {
  out.Byte(static_cast<std::uint8_t>(Record::kResource));
  out.Text(type.url);
  out.Text(resource.name);
  out.Text(resource.bytes);
  out.Texts(resource.clusters);
  out.Byte(static_cast<std::uint8_t>(resource.warm_by));
  out.Text(resource.assignment);
  out.Number(static_cast<std::uint64_t>(resource.warm_time.count()), 8);
  out.Byte(static_cast<std::uint8_t>(resource.without_endpoints));
}

void EncodePart(const Part& part, Encoder& out) {
  out.Byte(static_cast<std::uint8_t>(Record::kPart));
  out.Text(part.name);
  out.Text(part.bytes);
  out.Texts(part.clusters);
}

using Write = std::function<absl::Status(std::string_view bytes)>;

// Gives the file to `write` piece by piece, so that no second copy of the snapshot is ever in
// memory.
absl::Status Encode(const Snapshot& snapshot, std::int64_t now, const Write& write) {
  Encoder head;
  head.bytes = kMagic;
  head.Number(kFormat, 4);
  CONTOUR_RETURN_IF_ERROR(write(head.bytes));

  Encoder frame;
  Hash128 chain;
  absl::Status status;
  const auto flush = [&] {
    if (frame.bytes.empty() || !status.ok()) return;
    Encoder length;
    length.Number(frame.bytes.size(), 4);
    status = write(length.bytes);
    if (status.ok()) status = write(frame.bytes);
    chain = Chain(chain, frame.bytes);
    frame.bytes.clear();
  };
  const auto flush_if_full = [&] {
    if (frame.bytes.size() >= kFrame) flush();
  };
  frame.Byte(static_cast<std::uint8_t>(Record::kHead));
  frame.Number(static_cast<std::uint64_t>(now), 8);
  frame.Hash(snapshot.Version());
  for (const TypeInfo& type : kTypes) {
    snapshot.table(type.type).ForEach([&](const ResourcePtr& resource) {
      EncodeResource(type, *resource, frame);
      flush_if_full();
      resource->parts.ForEach([&](const PartPtr& part) {
        EncodePart(*part, frame);
        flush_if_full();
      });
    });
  }
  flush();
  CONTOUR_RETURN_IF_ERROR(status);
  Encoder end;
  end.Number(0, 4);
  end.Hash(chain);
  return write(end.bytes);
}

// Reads records into an editor.
class Loader {
 public:
  absl::Status Frame(std::string_view bytes) {
    Decoder in(bytes);
    while (!in.AtEnd()) {
      switch (static_cast<Record>(in.Byte())) {
        case Record::kHead:
          written_ = static_cast<std::int64_t>(in.Number(8));
          version_ = in.Hash();
          break;
        case Record::kResource: {
          Store();
          type_ = FindType(in.View());
          if (type_ == nullptr) return absl::InvalidArgumentError("a resource of an unknown type");
          resource_.name = in.Text();
          resource_.bytes = in.Text();
          resource_.clusters = in.Texts();
          resource_.warm_by = static_cast<WarmBy>(in.Byte());
          resource_.assignment = in.Text();
          resource_.warm_time = std::chrono::milliseconds(in.Number(8));
          resource_.without_endpoints = in.Byte() != 0;
          break;
        }
        case Record::kPart: {
          if (type_ == nullptr) return absl::InvalidArgumentError("a part without a resource");
          Part part;
          part.name = in.Text();
          part.bytes = in.Text();
          part.clusters = in.Texts();
          part.version = HashPair(part.name, part.bytes);
          resource_.parts.Set(std::make_shared<const Part>(std::move(part)), token_);
          break;
        }
        default:
          return absl::InvalidArgumentError("an unknown record");
      }
      if (!in.ok()) return absl::InvalidArgumentError("a record is cut off");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<SavedSnapshot> Finish() {
    Store();
    SavedSnapshot saved;
    saved.snapshot = editor_.Commit();
    saved.written = written_;
    if (saved.snapshot->Version() != version_) {
      return absl::InvalidArgumentError("the resources are not those that were written");
    }
    return saved;
  }

 private:
  void Store() {
    if (type_ != nullptr) editor_.Set(type_->type, std::exchange(resource_, {}));
  }

  SnapshotEditor editor_{nullptr};
  const EditToken token_ = NewEditToken();
  const TypeInfo* type_ = nullptr;  // of resource_; nullptr: none yet
  Resource resource_;
  std::int64_t written_ = 0;
  Hash128 version_;
};

// Fills a buffer of the size that it is given, or fails.
using Read = std::function<absl::Status(char* buffer, std::size_t size)>;

absl::StatusOr<SavedSnapshot> Decode(std::uint64_t size, const Read& read) {
  const auto take = [&](std::size_t wanted, std::string& into) {
    if (wanted > size) return absl::InvalidArgumentError("it is cut off");
    size -= wanted;
    into.resize(wanted);
    return read(into.data(), wanted);
  };
  std::string bytes;
  if (size < kMagic.size() + 4) return absl::InvalidArgumentError("it is no snapshot file");
  CONTOUR_RETURN_IF_ERROR(take(kMagic.size() + 4, bytes));
  if (!bytes.starts_with(kMagic)) return absl::InvalidArgumentError("it is no snapshot file");
  const std::uint64_t format = Decoder(std::string_view(bytes).substr(kMagic.size())).Number(4);
  if (format != kFormat) {
    return InvalidArgument("it has format {}, this program reads format {}", format, kFormat);
  }
  Loader loader;
  Hash128 chain;
  while (true) {
    CONTOUR_RETURN_IF_ERROR(take(4, bytes));
    const std::uint64_t length = Decoder(bytes).Number(4);
    if (length == 0) break;
    CONTOUR_RETURN_IF_ERROR(take(length, bytes));
    chain = Chain(chain, bytes);
    CONTOUR_RETURN_IF_ERROR(loader.Frame(bytes));
  }
  CONTOUR_RETURN_IF_ERROR(take(16, bytes));
  if (Decoder(bytes).Hash() != chain) {
    return absl::InvalidArgumentError("its checksum doesn't match, it is damaged");
  }
  if (size != 0) return absl::InvalidArgumentError("there is something behind its end");
  return loader.Finish();
}

// Closes its descriptor at the end.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int get() const { return descriptor_; }
  int Close() { return close(std::exchange(descriptor_, -1)); }

 private:
  int descriptor_;
};

absl::Status Failed(const std::string& path, const char* what) {
  return Unavailable("{}: can't be {}: {}", path, what, std::strerror(errno));
}

absl::Status WriteAll(const File& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path, "written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

// A moment without a file under `path` is none without a usable one: its reader takes the previous.
absl::Status KeepOld(const std::string& path) {
  const std::string previous = PreviousSnapshotFile(path);
  if (rename(path.c_str(), previous.c_str()) == 0) {
    if (chmod(previous.c_str(), 0600) != 0) return Failed(previous, "made private");
    return absl::OkStatus();
  }
  return errno == ENOENT ? absl::OkStatus() : Failed(previous, "replaced");
}

absl::Status WriteTo(const std::string& temporary, const std::string& path,
                     const Snapshot& snapshot, std::int64_t now, OldFile old) {
  unlink(temporary.c_str());  // of a process that ended in the middle
  File file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return Failed(temporary, "made");
  CONTOUR_RETURN_IF_ERROR(Encode(
      snapshot, now, [&](std::string_view bytes) { return WriteAll(file, temporary, bytes); }));
  if (fsync(file.get()) != 0) return Failed(temporary, "written");
  if (file.Close() != 0) return Failed(temporary, "written");
  if (old == OldFile::kKeep) CONTOUR_RETURN_IF_ERROR(KeepOld(path));
  if (rename(temporary.c_str(), path.c_str()) != 0) return Failed(path, "replaced");
  // By this the new name outlives a crash, too.
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const File folder(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) fsync(folder.get());
  return absl::OkStatus();
}

}  // namespace

std::string PreviousSnapshotFile(const std::string& path) { return path + ".previous"; }

absl::Status WriteSnapshotFile(const std::string& path, const Snapshot& snapshot, std::int64_t now,
                               OldFile old) {
  const std::string temporary = path + ".tmp";
  absl::Status status = WriteTo(temporary, path, snapshot, now, old);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

absl::StatusOr<SavedSnapshot> ReadSnapshotFile(const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return NotFound("{}: there is no such file", path);
    return Failed(path, "opened");
  }
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return Failed(path, "read");
  if (!S_ISREG(info.st_mode)) return InvalidArgument("{}: it is no regular file", path);
  absl::StatusOr<SavedSnapshot> saved =
      Decode(static_cast<std::uint64_t>(info.st_size),
             [&](char* buffer, std::size_t size) -> absl::Status {
               while (size > 0) {
                 const ssize_t got = ::read(file.get(), buffer, size);
                 if (got < 0 && errno == EINTR) continue;
                 if (got < 0) return Failed(path, "read");
                 if (got == 0) return absl::InvalidArgumentError("it is cut off");
                 buffer += got;
                 size -= static_cast<std::size_t>(got);
               }
               return absl::OkStatus();
             });
  if (absl::IsInvalidArgument(saved.status())) {
    return InvalidArgument("{}: {}", path, Message(saved.status()));
  }
  if (saved.ok()) {
    saved->path = path;
    saved->readable_by_others = (info.st_mode & 077) != 0;
  }
  return saved;
}

std::string EncodeSnapshot(const Snapshot& snapshot, std::int64_t now) {
  std::string bytes;
  // Writing into memory can't fail.
  Encode(snapshot, now, [&](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  }).IgnoreError();
  return bytes;
}

absl::StatusOr<SavedSnapshot> DecodeSnapshot(std::string_view bytes) {
  return Decode(bytes.size(), [&](char* buffer, std::size_t size) {
    std::memcpy(buffer, bytes.data(), size);
    bytes.remove_prefix(size);
    return absl::OkStatus();
  });
}

SnapshotSize SizeOf(const Snapshot& snapshot) {
  SnapshotSize size;
  size.virtual_hosts = snapshot.table(ResourceType::kScopedRoutes).size();
  snapshot.table(ResourceType::kRoutes).ForEach([&](const ResourcePtr& routes) {
    size.virtual_hosts += routes->parts.size();
  });
  size.clusters = snapshot.table(ResourceType::kCluster).size();
  snapshot.table(ResourceType::kEndpoints).ForEach([&](const ResourcePtr& assignment) {
    size.reachable += assignment->without_endpoints ? 0 : 1;
  });
  size.secrets = snapshot.table(ResourceType::kSecret).size();
  return size;
}

bool IsSuspiciouslySmaller(const SnapshotSize& after, const SnapshotSize& before) {
  const auto halved = [&](std::size_t SnapshotSize::* number) {
    return after.*number < before.*number - before.*number / 2;
  };
  return halved(&SnapshotSize::virtual_hosts) || halved(&SnapshotSize::clusters) ||
         halved(&SnapshotSize::reachable) || halved(&SnapshotSize::secrets);
}

SnapshotKeeper::SnapshotKeeper(Options options)
    : path_(std::move(options.path)),
      interval_(options.interval),
      hold_(options.hold),
      write_anyway_(options.write_anyway),
      old_(options.old) {
  if (options.on_disk != nullptr)
    on_disk_ = OnDisk{options.on_disk->Version(), SizeOf(*options.on_disk)};
}

SnapshotKeeper::~SnapshotKeeper() { Stop(); }

void SnapshotKeeper::Start() {
  thread_ = std::thread([this] { Run(); });
}

void SnapshotKeeper::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void SnapshotKeeper::Offer(SnapshotPtr snapshot) {
  {
    const MutexLock lock(mutex_);
    next_ = std::move(snapshot);
  }
  wake_.NotifyAll();
}

SnapshotKeeper::Statistics SnapshotKeeper::statistics() const {
  const MutexLock lock(mutex_);
  return statistics_;
}

bool SnapshotKeeper::HoldsBack(const SnapshotSize& size) {
  const bool suspicious = on_disk_ && IsSuspiciouslySmaller(size, on_disk_->size);
  const bool removed = access(path_.c_str(), F_OK) != 0 && errno == ENOENT;
  if (!suspicious || removed) {
    held_since_.reset();
    return false;
  }
  const Clock::time_point now = Clock::now();
  if (!held_since_) {
    held_since_ = now;
    log::Warning(
        "snapshot", "the snapshot file isn't replaced, since more than half of what it has is gone",
        {{"path", path_},
         {"virtual_hosts",
          fmt::format("{} -> {}", on_disk_->size.virtual_hosts, size.virtual_hosts)},
         {"clusters", fmt::format("{} -> {}", on_disk_->size.clusters, size.clusters)},
         {"with_endpoints", fmt::format("{} -> {}", on_disk_->size.reachable, size.reachable)},
         {"secrets", fmt::format("{} -> {}", on_disk_->size.secrets, size.secrets)},
         {"cure",
          fmt::format("if that is right, remove the file, or wait {} s", hold_.count() / 1000)}});
  }
  return now - *held_since_ < hold_;
}

absl::Status SnapshotKeeper::Write(const Snapshot& snapshot, std::int64_t now) {
  absl::Status status = WriteSnapshotFile(path_, snapshot, now, old_);
  if (!status.ok() && !failing_) {
    log::Warning("snapshot", "the snapshot file can't be written; what is served is not touched",
                 {{"error", Message(status)}});
  } else if (status.ok() && failing_) {
    log::Info("snapshot", "the snapshot file is written again", {{"path", path_}});
  }
  failing_ = !status.ok();
  if (!status.ok()) return status;
  on_disk_ = OnDisk{snapshot.Version(), SizeOf(snapshot)};
  write_anyway_ = false;
  old_ = OldFile::kKeep;
  held_since_.reset();
  return status;
}

void SnapshotKeeper::Run() {
  constexpr int kShare = 20;  // at most a twentieth of the time is spent writing
  Clock::time_point earliest;
  MutexLock lock(mutex_);
  while (true) {
    if (next_ == nullptr) {
      if (stopping_) return;
      wake_.Wait(mutex_);
      continue;
    }
    if (!stopping_ && Clock::now() < earliest) {
      wake_.WaitUntil(mutex_, earliest);
      continue;
    }
    const SnapshotPtr snapshot = std::exchange(next_, nullptr);
    statistics_.held_back = false;
    if (on_disk_ && on_disk_->version == snapshot->Version() && !write_anyway_) {
      held_since_.reset();
      continue;
    }
    lock.Unlock();
    const Clock::time_point started = Clock::now();
    const std::int64_t now = std::time(nullptr);
    const bool held_back = HoldsBack(SizeOf(*snapshot));
    const bool written = !held_back && Write(*snapshot, now).ok();
    const auto took = Clock::now() - started;
    lock.Lock();
    earliest = Clock::now() + std::max<Clock::duration>(interval_, took * kShare);
    statistics_.held_back = held_back;
    if (written) {
      statistics_.last_written = now;
      ++statistics_.written;
      continue;
    }
    if (!held_back) ++statistics_.failures;
    if (stopping_) return;
    if (next_ == nullptr) next_ = snapshot;
  }
}

}  // namespace contour::xds
