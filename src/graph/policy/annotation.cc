// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/annotation.h"

#include <fmt/core.h>

#include <string>

namespace contour::graph {

std::optional<Annotation> FindAnnotation(const api::Meta& meta, std::string_view name) {
  if (const std::string* value = meta.FindAnnotation(fmt::format("projectcontour.io/{}", name))) {
    return Annotation{*value, true};
  }
  if (const std::string* value = meta.FindAnnotation(fmt::format("contour.heptio.com/{}", name))) {
    return Annotation{*value, false};
  }
  return std::nullopt;
}

bool IsAnnotated(const api::Meta& meta, std::string_view key, std::string_view value) {
  const std::string* found = meta.FindAnnotation(key);
  return found != nullptr && *found == value;
}

std::from_chars_result ReadInt(std::string_view text, std::int64_t& number) {
  const char* begin = text.data();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') ++begin;
  return std::from_chars(begin, text.data() + text.size(), number);
}

std::optional<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = ReadInt(text, number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string_view> ClassAnnotation(const api::Meta& meta) {
  for (const std::string_view key :
       {"projectcontour.io/ingress.class", "contour.heptio.com/ingress.class",
        "kubernetes.io/ingress.class"}) {
    if (const std::string* value = meta.FindAnnotation(key)) {
      return value->empty() ? std::nullopt : std::optional<std::string_view>(*value);
    }
  }
  return std::nullopt;
}

bool HasNoForeignClass(const api::Object& object, const Options& options) {
  const std::optional<std::string_view> wanted = ClassAnnotation(object.meta);
  return !wanted || *wanted == options.ingress_class.value_or(kDefaultIngressClass);
}

}  // namespace contour::graph
