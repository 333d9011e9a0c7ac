// SPDX-License-Identifier: Apache-2.0
// Annotations under both prefixes: `projectcontour.io/x` wins over `contour.heptio.com/x`. Some
// values mean different things under the two, hence `Annotation::modern`.

#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "api/object.h"
#include "graph/model/options.h"

namespace contour::graph {

struct Annotation {
  std::string_view value;  // lives as long as the object
  bool modern = false;     // from projectcontour.io/
};

// Looks for an annotation by its name without prefix. nullopt: it is absent under both.
std::optional<Annotation> FindAnnotation(const api::Meta& meta, std::string_view name);

// True if the annotation `key`, which has its prefix, is there and has this value.
bool IsAnnotated(const api::Meta& meta, std::string_view key, std::string_view value);

// Reads a number of base 10 at the beginning of the text as Go does: a sign may be written.
std::from_chars_result ReadInt(std::string_view text, std::int64_t& number);

// Reads the whole text as a base-10 integer; nullopt: it is none, or doesn't fit.
std::optional<std::int64_t> ParseInt(std::string_view text);

// Returns the class that an object's annotations name; nullopt: none (or the empty one).
// Order: projectcontour.io/ingress.class, contour.heptio.com/ingress.class,
// kubernetes.io/ingress.class.
std::optional<std::string_view> ClassAnnotation(const api::Meta& meta);

// True unless the annotations name a class that isn't ours.
bool HasNoForeignClass(const api::Object& object, const Options& options);

}  // namespace contour::graph
