// SPDX-License-Identifier: Apache-2.0
// Finds the manifest files below a folder, and reports changes of them by inotify.
//
// Example:
//   FolderWatch watch("/etc/contour/manifests");
//   const FolderWatch::Files files = watch.Scan();  // all of them; watches are set on the way
//   // …when watch.fd() is readable:
//   const FolderWatch::News news = watch.Drain();
//
// Files count if FormatOf() knows them, at any depth. Names that begin with a dot don't count.
// Links to files and folders are followed; a link to a folder that contains it isn't. The folders
// on which a link (or the folder's own path) depends are watched too, wherever they are. So it
// notices when the `..data` link of a mounted ConfigMap is replaced, when the target of a link is
// replaced, and when the folder is deleted and made again.
//
// The kernel's events only say where to look again; the state is read from the disk. Events inside
// the tree name single files. Events about folders and links, and lost events, ask for a new Scan.
// A watch is set before the folder is listed, so that no change can be missed in between. For one
// thread.

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
    // The folders that were listed, with their identities at that moment.
    StringMap<Identity> folders;
    // Folders that could not be listed, and why. The files below them are unknown, not gone.
    std::map<std::string, std::string> unread;
    // Folders that were not listed because of the limits below. Their files are unknown, too.
    std::map<std::string, std::string> beyond_limits;
    // Links of a mounted ConfigMap or Secret whose `..data` doesn't exist.
    std::set<std::string> without_data;
    // The reason why a folder isn't watched, so that changes are found only by scanning again.
    // Empty: all are watched.
    std::string unwatched;
  };

  struct News {
    bool scan = false;              // Scan() must be called, after the files below were looked at
    std::set<std::string> written;  // files with complete content: they were closed or renamed
    std::set<std::string> changed;  // files that are gone, or have other rights
    std::set<std::string> open;     // files being written; they will be in `written` or `changed`
  };

  // Paths begin with `root` as it is written here.
  explicit FolderWatch(std::string root);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Returns the root as given, without a slash at the end.
  const std::string& root() const { return root_; }
  // Returns a descriptor that can be read when there is news; -1: there is no inotify instance.
  int fd() const { return fd_; }

  Files Scan();
  // Returns all news so far; never waits.
  News Drain();

  static constexpr int kMaxDepth = 64;
  static constexpr std::size_t kMaxFolders = 10'000;

 private:
  // One watched inode.
  struct Place {
    std::vector<std::string>
        folders;      // the paths by which it is reached in the tree; links may give several
    StringSet names;  // entries on which a path from outside depends
  };
  using Places = std::unordered_map<int, Place>;  // by watch descriptor

  // The results of a Scan under way.
  struct Progress {
    Files files;
    Places places;
    StringMap<int> descriptors;  // by mask and path; -1: can't be watched
    std::vector<Identity> way;   // the folders from the root to the current one
  };

  void Walk(const std::string& folder, Progress& progress);
  // Watches the folders on which `path`, seen from the real folder `from`, depends.
  void WatchWay(std::string from, std::string path, Progress& progress);
  // Returns nullptr if the folder can't be watched; errno has the reason.
  Place* Watch(const std::string& folder, std::uint32_t mask, Progress& progress);
  void Handle(int descriptor, std::uint32_t mask, std::string_view name, News& news);

  const std::string root_;
  const std::string absolute_root_;
  const int fd_;
  Places places_;
  StringSet folders_;  // the folders of the tree
};

}  // namespace contour::file
