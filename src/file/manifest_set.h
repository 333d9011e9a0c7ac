// SPDX-License-Identifier: Apache-2.0
// Decides which objects are in force, given the objects of each file. Pure: no files, no threads.
//
// Example, given `std::vector<api::ObjectPtr> objects` and `api::Sink& sink`:
//   ManifestSet set;
//   set.Put("/m/a.yaml", objects);
//   set.Remove("/m/b.yaml");
//   sink.Apply(set.TakeChanges());
//
// An object (kind, namespace, name) that is in two files comes from the first path in byte order;
// within one file the first one counts. When the winner goes, the other takes its place at once. A
// file that has vanished but isn't removed yet (see Yield) comes after all others.

#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "api/source.h"

namespace contour::file {

// An object that isn't in force because another file has it too.
struct Shadowed {
  api::ObjectRef ref;
  std::string winner;  // path
  std::string loser;   // path; equal to `winner` if one file has it twice

  auto operator<=>(const Shadowed&) const = default;
};

class ManifestSet {
 public:
  // Sets all objects of a file, in place of those that it had. Ends its yielding.
  void Put(const std::string& path, std::vector<api::ObjectPtr> objects);
  // Notes that the file has vanished, possibly for a moment. Its objects stay as long as no other
  // file has them.
  void Yield(const std::string& path) { SetYielding(path, true); }
  void Unyield(const std::string& path) { SetYielding(path, false); }
  void Remove(const std::string& path);

  // Returns the changes since the last call, in the order of the refs. An object is a change only
  // if its meaning or status differs.
  std::vector<api::Change> TakeChanges();

  // Returns the objects that are shadowed since the last call (true), or no longer are (false), by
  // comparing the states at the calls of TakeChanges().
  std::vector<std::pair<Shadowed, bool>> TakeShadowedChanges();

  std::size_t object_count() const { return in_force_.size(); }

 private:
  struct File {
    bool yielding = false;
    std::vector<api::ObjectRef> refs;  // those of its objects
  };
  // An object in a file.
  struct Claim {
    const std::string* path;  // key of files_
    const File* file;
    api::ObjectPtr object;
  };
  using Claims = std::vector<Claim>;

  void SetYielding(const std::string& path, bool yielding);
  void Unclaim(const File& file);
  static const Claim& Winner(const Claims& claims);
  void SetShadowed(const api::ObjectRef& ref, std::vector<Shadowed> shadowed);

  std::map<std::string, File> files_;
  std::map<api::ObjectRef, Claims> claims_;  // never empty ones
  std::map<api::ObjectRef, api::ObjectPtr> in_force_;
  std::map<api::ObjectRef, std::vector<Shadowed>> shadowed_;  // sorted; never empty ones
  std::vector<std::pair<Shadowed, bool>> shadowed_changes_;
  std::set<api::ObjectRef> touched_;  // to be looked at by TakeChanges()
};

}  // namespace contour::file
