// SPDX-License-Identifier: Apache-2.0

#include "file/folder_watch.h"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "file/manifest.h"

namespace contour::file {
namespace {

// IN_MASK_ADD is set because one inode may be watched for two reasons.
constexpr std::uint32_t kNames = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD;
constexpr std::uint32_t kContent = IN_CLOSE_WRITE | IN_ATTRIB;

// The kubelet's links in a volume go through this one.
constexpr std::string_view kVolumeData = "..data/";

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string Join(std::string_view folder, std::string_view name) {
  return fmt::format("{}{}{}", folder, folder.ends_with('/') ? "" : "/", name);
}

std::string ErrorText(int error) { return std::generic_category().message(error); }

// True if the error means that the file doesn't exist, and not only that it can't be read.
bool IsAbsence(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.string();
}

// Returns the path without links, or the path itself if it can't be resolved.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), std::free);
  return real == nullptr ? path : real.get();
}

std::optional<std::string> ReadLink(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return std::nullopt;
  target.resize(static_cast<std::size_t>(length));
  return target;
}

// The entries of a folder.
struct Listing {
  FolderWatch::Identity identity;
  // The names with their types, in byte order. DT_UNKNOWN: the file system doesn't know the type.
  std::vector<std::pair<std::string, unsigned char>> names;
};

std::optional<Listing> List(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  if (stream == nullptr) return std::nullopt;
  // The path may lead to another folder by now, so the open folder is used.
  struct stat status = {};
  if (fstat(dirfd(stream.get()), &status) != 0) return std::nullopt;
  Listing listing{{status.st_dev, status.st_ino}, {}};
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') listing.names.emplace_back(entry->d_name, entry->d_type);
  }
  if (errno != 0) return std::nullopt;
  std::sort(listing.names.begin(), listing.names.end());
  return listing;
}

}  // namespace

FolderWatch::FolderWatch(std::string root)
    : root_(WithoutTrailingSlash(std::move(root))),
      absolute_root_(Absolute(root_)),
      fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

FolderWatch::~FolderWatch() {
  if (fd_ >= 0) close(fd_);
}

FolderWatch::Place* FolderWatch::Watch(const std::string& folder, std::uint32_t mask,
                                       Progress& progress) {
  const auto [known, is_new] =
      progress.descriptors.try_emplace(fmt::format("{} {}", mask, folder), -1);
  if (is_new) known->second = inotify_add_watch(fd_, folder.c_str(), mask);
  if (known->second >= 0) return &progress.places[known->second];
  if (fd_ < 0) {
    progress.files.unwatched = "no inotify instance left (fs.inotify.max_user_instances)";
  } else if (errno == ENOSPC) {
    progress.files.unwatched = "no inotify watch left (fs.inotify.max_user_watches)";
  }
  return nullptr;
}

void FolderWatch::WatchWay(std::string from, std::string path, Progress& progress) {
  constexpr int kMaxLinks = 40;  // as in the kernel
  std::string rest = std::move(path);
  for (int links = 0; !rest.empty();) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string name = rest.substr(0, slash);
    rest.erase(0, slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      from.erase(std::max<std::size_t>(from.rfind('/'), 1));
      continue;
    }
    const bool is_last = rest.find_first_not_of("/.") == std::string::npos;
    Place* place = Watch(from, is_last ? kNames | kContent : kNames, progress);
    if (place != nullptr) place->names.insert(name);

    std::string next = Join(from, name);
    if (const std::optional<std::string> target = ReadLink(next)) {
      if (++links > kMaxLinks) return;
      if (target->starts_with('/')) from = "/";
      rest = Join(*target, rest);
    } else {
      from = std::move(next);
    }
  }
}

void FolderWatch::Walk(const std::string& folder, Progress& progress) {
  const auto unread = [&](std::string why) {
    progress.files.unread.emplace(folder, std::move(why));
  };
  const auto beyond = [&](const char* why) { progress.files.beyond_limits.emplace(folder, why); };
  if (progress.way.size() >= kMaxDepth) return beyond("too many folders within each other");
  if (progress.files.folders.size() >= kMaxFolders) return beyond("too many folders");
  struct stat status = {};
  if (stat(folder.c_str(), &status) != 0) {
    // A folder that was just listed and is gone again is no problem, unless it is the root.
    if (IsAbsence(errno) && !progress.way.empty()) return;
    return unread(ErrorText(errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    if (progress.way.empty()) unread("not a folder");
    return;
  }
  const Identity identity = {status.st_dev, status.st_ino};
  if (std::find(progress.way.begin(), progress.way.end(), identity) != progress.way.end()) return;

  // The watch must be set before the folder is listed.
  Place* place = Watch(folder, kNames | kContent | IN_MODIFY, progress);
  if (place != nullptr) place->folders.push_back(folder);
  const auto listing = List(folder);
  if (!listing) {
    if (IsAbsence(errno) && !progress.way.empty()) return;
    return unread(ErrorText(errno));
  }
  progress.files.folders.insert_or_assign(folder, listing->identity);
  progress.way.push_back(identity);
  std::string real_folder;  // only links need it
  for (const auto& [name, listed_type] : listing->names) {
    const std::string path = Join(folder, name);
    unsigned char type = listed_type;
    struct stat entry = {};
    if (type == DT_UNKNOWN) {
      if (lstat(path.c_str(), &entry) == 0) {
        type = IFTODT(entry.st_mode);
      } else if (!IsAbsence(errno)) {
        type = DT_REG;  // whoever reads it will say what is wrong
      }
    }
    if (type == DT_LNK) {
      if (real_folder.empty()) real_folder = RealPath(folder);
      WatchWay(real_folder, name, progress);
      if (stat(path.c_str(), &entry) == 0) {
        type = IFTODT(entry.st_mode);
      } else if (!IsAbsence(errno)) {
        type = DT_REG;  // whoever reads it will say what is wrong
      } else if (ReadLink(path).value_or("").starts_with(kVolumeData)) {
        progress.files.without_data.insert(path);
      }
    }
    if (type == DT_DIR) {
      Walk(path, progress);
    } else if (type == DT_REG && FormatOf(name)) {
      progress.files.paths.insert(path);
    }
  }
  progress.way.pop_back();
}

FolderWatch::Files FolderWatch::Scan() {
  Progress progress;
  WatchWay("/", absolute_root_, progress);
  Walk(root_, progress);
  for (const auto& [descriptor, place] : places_) {
    if (!progress.places.contains(descriptor)) inotify_rm_watch(fd_, descriptor);
  }
  places_ = std::move(progress.places);
  folders_.clear();
  for (const auto& [folder, identity] : progress.files.folders) folders_.insert(folder);
  return std::move(progress.files);
}

FolderWatch::News FolderWatch::Drain() {
  News news;
  alignas(inotify_event) char buffer[64 << 10];
  while (fd_ >= 0) {
    const ssize_t length = read(fd_, buffer, sizeof(buffer));
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    for (const char* at = buffer; at < buffer + length;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      Handle(event->wd, event->mask,
             event->len == 0 ? std::string_view() : std::string_view(event->name), news);
      at += sizeof(inotify_event) + event->len;
    }
  }
  return news;
}

void FolderWatch::Handle(int descriptor, std::uint32_t mask, std::string_view name, News& news) {
  if ((mask & IN_Q_OVERFLOW) != 0) news.scan = true;
  const auto found = places_.find(descriptor);
  if (found == places_.end()) return;
  const Place& place = found->second;
  if (name.empty()) {
    // The event is about the watched folder itself.
    if ((mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0) news.scan = true;
    if ((mask & IN_ATTRIB) != 0 && !place.folders.empty()) news.scan = true;
    if ((mask & IN_IGNORED) != 0) places_.erase(found);
    return;
  }
  if ((mask & IN_MODIFY) == 0 && place.names.contains(name)) news.scan = true;
  if (name.front() == '.') return;
  for (const std::string& folder : place.folders) {
    const std::string path = Join(folder, name);
    struct stat status = {};
    if ((mask & IN_ISDIR) != 0 || folders_.contains(path)) {
      news.scan = true;
      continue;
    }
    const bool is_new =
        (mask & (IN_CREATE | IN_MOVED_TO)) != 0 && lstat(path.c_str(), &status) == 0;
    if (is_new && S_ISLNK(status.st_mode)) {
      news.scan = true;
      continue;
    }
    if (!FormatOf(name)) continue;
    // A hard link is a further name of a complete file. Any other new file will be closed.
    const bool is_hard_link = is_new && status.st_nlink > 1;
    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0 || is_hard_link) {
      news.open.erase(path);
      news.written.insert(path);
    } else if ((mask & (IN_DELETE | IN_MOVED_FROM | IN_ATTRIB)) != 0) {
      if ((mask & IN_ATTRIB) == 0) news.open.erase(path);
      news.changed.insert(path);
    } else {
      news.open.insert(path);
    }
  }
}

}  // namespace contour::file
