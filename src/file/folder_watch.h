// SPDX-License-Identifier: Apache-2.0
// The manifest files below a folder, and news of them by inotify.
//
//   FolderWatch watch("/etc/contour/manifests");
//   FolderWatch::Files files = watch.Scan();          // all of them; watches are set on the way
//   poll(watch.fd()); FolderWatch::News news = watch.Drain();
//
// What counts: folders and files whose names don't begin with a dot, files that FormatOf() knows,
// at any depth. Links to files and folders are followed; a link to a folder that contains it ends
// there. What a link (or the folder's own path) depends on is watched too, wherever it lies: so the
// `..data` link of a mounted ConfigMap, a replaced target, and the folder deleted and made again
// are all noticed.
//
// The kernel's events only say where to look again; the truth is read from the disk. Events inside
// the tree name single files; anything about folders, links or lost events asks for a new Scan. A
// watch is set before the folder is listed, so that nothing can fall between. One thread.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace contour::file {

class FolderWatch {
 public:
  using Identity = std::pair<std::uint64_t, std::uint64_t>;  // device and inode

  struct Files {
    std::set<std::string> paths;  // `root`/…, in byte order
    // The folders that were listed, and which ones they were at that moment.
    StringMap<Identity> folders;
    // Folders that could not be listed, and why. What is below them is unknown, not gone.
    std::map<std::string, std::string> unread;
    // Folders that were not listed because of the limits below. They are unknown, too.
    std::map<std::string, std::string> beyond_limits;
    // Links of a mounted ConfigMap or Secret whose `..data` isn't there.
    std::set<std::string> without_data;
    // Empty: all is watched. Else why not; news may be missed and only scanning again helps.
    std::string unwatched;
  };

  struct News {
    bool scan = false;              // Scan() again, after looking at the files below
    std::set<std::string> written;  // complete content has appeared, by closing or renaming
    std::set<std::string> changed;  // gone, or other rights
    std::set<std::string> open;     // somebody is writing; `written` or `changed` will follow
  };

  // `root` as it shall appear in paths.
  explicit FolderWatch(std::string root);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // As given, without a slash at the end.
  const std::string& root() const { return root_; }
  // Readable when there is news; -1: the kernel gave no inotify instance.
  int fd() const { return fd_; }

  Files Scan();
  // All news so far; never waits.
  News Drain();

  static constexpr int kMaxDepth = 64;
  static constexpr std::size_t kMaxFolders = 10'000;

 private:
  // One watched inode.
  struct Place {
    std::vector<std::string>
        folders;      // of the tree, under which it is reached; links may give several
    StringSet names;  // entries that a path from outside depends on
  };
  using Places = std::unordered_map<int, Place>;  // by watch descriptor

  // What one Scan has found.
  struct Progress {
    Files files;
    Places places;
    StringMap<int> descriptors;  // by mask and path; -1: can't be watched
    std::vector<Identity> way;   // the folders that we are in
  };

  void Walk(const std::string& folder, Progress& progress);
  // Watches what `path`, seen from the real folder `from`, depends on.
  void WatchWay(std::string from, std::string path, Progress& progress);
  // nullptr: can't be watched; errno tells why.
  Place* Watch(const std::string& folder, std::uint32_t mask, Progress& progress);
  void Handle(int descriptor, std::uint32_t mask, std::string_view name, News& news);

  const std::string root_;
  const std::string absolute_root_;
  const int fd_;
  Places places_;
  StringSet folders_;  // of the tree
};

}  // namespace contour::file
