// SPDX-License-Identifier: Apache-2.0

#include "base/yaml.h"

#include <fmt/core.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <sstream>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/strings.h"

namespace contour {
namespace {

using NodeId = std::uint32_t;

struct Node {
  enum class Kind : std::uint8_t { kNull, kText, kPlain, kList, kMap, kAlias };

  Kind kind = Kind::kNull;
  Position position;
  std::string text;              // kText; kPlain: a scalar whose type its spelling tells
  std::vector<NodeId> children;  // kList: the items; kMap: key, value, key, value, …
  NodeId target = 0;             // kAlias
};

Position ToPosition(const YAML::Mark& mark) {
  return mark.is_null() ? Position() : Position{mark.line + 1, mark.column + 1};
}

// Returns the text, with an end mark after it if it ends with white space. yaml-cpp accepts a
// quoted scalar that is never closed if only white space follows up to the end of the file, but not
// before an end mark.
std::string WithEndMark(std::string_view text) {
  std::string marked(text);
  if (text.ends_with('\n')) {
    marked += "...\n";
  } else if (text.ends_with(' ') || text.ends_with('\t') || text.ends_with('\r')) {
    marked += "\n...\n";
  }
  return marked;
}

// Returns the position, or the end of the text if it is in the end mark after that.
Position Clamp(Position position, std::string_view text) {
  const Position end = PositionAt(text, text.size());
  return position.line > end.line ? end : position;
}

// The exception by which the error of a visitor leaves yaml-cpp.
struct Stopped {
  absl::Status status;
};

bool AllDigits(std::string_view text, std::string_view digits = "0123456789") {
  return !text.empty() && text.find_first_not_of(digits) == std::string_view::npos;
}

std::string_view StripLeadingZeros(std::string_view digits) {
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

// Returns a JSON number that is no integer; nullopt: it is infinite, which JSON doesn't have.
std::optional<std::string> DecimalJson(const std::string& text) {
  double value = 0;
  // from_chars accepts no plus sign.
  const char* begin = text.data() + (text.front() == '+' ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  std::string json = fmt::format("{}", value);
  if (json.find_first_of(".e") == std::string::npos) json += ".0";
  return json;
}

// Returns the JSON number of an integer of the core schema in base 8, 10 or 16; nullopt if it is
// none.
std::optional<std::string> IntegerJson(const std::string& text) {
  std::string_view digits = text;
  int base = 10;
  bool negative = false;
  if (digits.starts_with("0o")) {
    base = 8;
    digits.remove_prefix(2);
    if (!AllDigits(digits, "01234567")) return std::nullopt;
  } else if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
    if (!AllDigits(digits, "0123456789abcdefABCDEF")) return std::nullopt;
  } else {
    if (!digits.empty() && (digits.front() == '-' || digits.front() == '+')) {
      negative = digits.front() == '-';
      digits.remove_prefix(1);
    }
    if (!AllDigits(digits)) return std::nullopt;
  }
  digits = StripLeadingZeros(digits);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  const bool fits = error == std::errc() && !(negative && value > std::uint64_t{1} << 63);
  if (fits) return fmt::format("{}{}", negative && value != 0 ? "-" : "", value);
  // No field that contour reads is so large. As a decimal it is still a number for fields that
  // aren't read.
  return base == 10 ? DecimalJson(text) : std::nullopt;
}

// [-+]? ( \.[0-9]+ | [0-9]+(\.[0-9]*)? ) ([eE][-+]?[0-9]+)?
bool IsDecimal(std::string_view text) {
  const auto skip_digits = [&text] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  const auto skip_sign = [&text] {
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  };
  skip_sign();
  const std::size_t whole = skip_digits();
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    if (skip_digits() + whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (!text.empty() && (text.front() == 'e' || text.front() == 'E')) {
    text.remove_prefix(1);
    skip_sign();
    if (skip_digits() == 0) return false;
  }
  return text.empty();
}

void AppendJsonText(std::string_view text, std::string* json) {
  *json += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      *json += '\\';
      *json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      *json += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      *json += c;
    }
  }
  *json += '"';
}

void AppendPlain(const std::string& text, std::string* json) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    *json += "null";
  } else if (text == "true" || text == "True" || text == "TRUE") {
    *json += "true";
  } else if (text == "false" || text == "False" || text == "FALSE") {
    *json += "false";
  } else if (const std::optional<std::string> integer = IntegerJson(text)) {
    *json += *integer;
  } else if (const std::optional<std::string> decimal =
                 IsDecimal(text) ? DecimalJson(text) : std::nullopt) {
    *json += *decimal;
  } else {
    AppendJsonText(text, json);  // also .inf and .nan, which no JSON number can say
  }
}

}  // namespace

struct YamlDocument::Tree {
  std::vector<Node> nodes;  // the root first
};

// Builds the tree from yaml-cpp's events.
class YamlDocument::Builder : public YAML::EventHandler {
 public:
  using Visit = std::function<absl::Status(const YamlDocument&)>;
  Builder(std::string_view text, const Visit& visit) : text_(text), visit_(visit) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // At a comma between documents yaml-cpp would make empty documents without end.
    const Position start = ToPosition(mark);
    if (start == start_) throw Stopped{ErrorAt(start, "not YAML: expected a document")};
    start_ = start;
    document_.reset(new YamlDocument());
    open_.clear();
    block_maps_.clear();
    anchors_.clear();
  }
  void OnDocumentEnd() override {
    if (absl::Status status = visit_(*document_); !status.ok()) throw Stopped{std::move(status)};
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Node::Kind::kNull, mark, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const NodeId target = anchor < anchors_.size() ? anchors_[anchor] : kNoNode;
    if (target == kNoNode) throw Stopped{ErrorAt(ToPosition(mark), "unknown alias")};
    if (std::find(open_.begin(), open_.end(), target) != open_.end()) {
      throw Stopped{ErrorAt(ToPosition(mark), "an alias of something that contains it")};
    }
    nodes()[Add(Node::Kind::kAlias, mark, 0)].target = target;
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?" means plain text without a tag. The standard tags of numbers, booleans and null leave the
    // type to the spelling too.
    const bool plain = tag == "?" || tag == "tag:yaml.org,2002:int" ||
                       tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:bool" ||
                       tag == "tag:yaml.org,2002:null";
    const NodeId id = Add(plain ? Node::Kind::kPlain : Node::Kind::kText, mark, anchor);
    nodes()[id].text = value;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back(Add(Node::Kind::kList, mark, anchor));
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open_.push_back(Add(Node::Kind::kMap, mark, anchor));
    if (style == YAML::EmitterStyle::Block) block_maps_.insert(open_.back());
  }
  void OnMapEnd() override {
    if (block_maps_.erase(open_.back()) != 0) CheckLastKey(nodes()[open_.back()]);
    open_.pop_back();
  }

 private:
  static constexpr NodeId kNoNode = UINT32_MAX;

  std::vector<Node>& nodes() { return document_->tree_->nodes; }

  NodeId Add(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    const NodeId id = static_cast<NodeId>(nodes().size());
    nodes().push_back({kind, ToPosition(mark), {}, {}, 0});
    if (!open_.empty()) nodes()[open_.back()].children.push_back(id);
    if (anchor != 0) {
      if (anchor >= anchors_.size()) anchors_.resize(anchor + 1, kNoNode);
      anchors_[anchor] = id;
    }
    return id;
  }

  // yaml-cpp takes plain text at the end of a block map, where a file was cut off, for a key
  // without a value. It is a key only with a colon after it or a question mark before it.
  void CheckLastKey(const Node& map) {
    if (map.children.size() < 2) return;
    const Node& key = nodes()[map.children[map.children.size() - 2]];
    if (key.kind != Node::Kind::kPlain || nodes()[map.children.back()].kind != Node::Kind::kNull) {
      return;
    }
    const std::string_view line = Line(key.position.line);
    const std::size_t start =
        line.find(key.text, static_cast<std::size_t>(key.position.column) - 1);
    if (start == std::string_view::npos) return;
    if (Trim(line.substr(0, start)).ends_with('?')) return;
    if (Trim(line.substr(start + key.text.size())).starts_with(':')) return;
    throw Stopped{ErrorAt(key.position, "expected a colon behind the key")};
  }
  std::string_view Line(int number) {
    if (line_starts_.empty()) {
      line_starts_.push_back(0);
      for (std::size_t i = 0; i < text_.size(); ++i) {
        if (text_[i] == '\n') line_starts_.push_back(i + 1);
      }
    }
    const auto index = static_cast<std::size_t>(number) - 1;
    if (index >= line_starts_.size()) return {};
    const std::string_view rest = text_.substr(line_starts_[index]);
    return rest.substr(0, rest.find('\n'));
  }

  std::string_view text_;
  const Visit& visit_;
  std::unique_ptr<YamlDocument> document_;
  std::optional<Position> start_;          // of document_
  std::unordered_set<NodeId> block_maps_;  // of open_
  std::vector<std::size_t> line_starts_;   // of text_; empty until needed
  std::vector<NodeId> open_;               // lists and maps that we are in
  std::vector<NodeId> anchors_;            // by yaml-cpp's number
};

namespace {

bool IsMergeKey(const Node& key) { return key.kind == Node::Kind::kPlain && key.text == "<<"; }
bool IsScalar(const Node& node) {
  return node.kind == Node::Kind::kPlain || node.kind == Node::Kind::kText;
}

}  // namespace

// Writes a tree as JSON in one pass, with aliases expanded.
class JsonWriter {
 public:
  JsonWriter(const std::vector<Node>& nodes, const YamlLimits& limits)
      : nodes_(nodes), limits_(limits) {}

  absl::StatusOr<std::string> Write() {
    CONTOUR_RETURN_IF_ERROR(WriteNode(0, 0));
    return std::move(json_);
  }

 private:
  using Member = std::pair<std::string_view, NodeId>;

  const Node& Resolve(NodeId id) const {
    const Node& node = nodes_[id];
    return node.kind == Node::Kind::kAlias ? nodes_[node.target] : node;
  }

  // Counts the work of a merge, which writes nothing, like bytes.
  absl::Status Charge(const Node& at) {
    if (json_.size() + merged_ <= limits_.max_json_bytes) return absl::OkStatus();
    return ErrorAt(at.position, fmt::format("with its aliases the document is larger than {} bytes",
                                            limits_.max_json_bytes));
  }
  absl::Status TooDeep(const Node& at) const {
    return ErrorAt(at.position, fmt::format("nested deeper than {} levels", limits_.max_depth));
  }

  absl::Status WriteNode(NodeId id, int depth) {
    const Node& node = Resolve(id);
    if (depth > limits_.max_depth) return TooDeep(nodes_[id]);
    switch (node.kind) {
      case Node::Kind::kNull:
        json_ += "null";
        break;
      case Node::Kind::kText:
        AppendJsonText(node.text, &json_);
        break;
      case Node::Kind::kPlain:
        AppendPlain(node.text, &json_);
        break;
      case Node::Kind::kList: {
        json_ += '[';
        bool first = true;
        for (const NodeId item : node.children) {
          if (!std::exchange(first, false)) json_ += ',';
          CONTOUR_RETURN_IF_ERROR(WriteNode(item, depth + 1));
        }
        json_ += ']';
        break;
      }
      case Node::Kind::kMap: {
        std::vector<Member> members;
        std::unordered_set<std::string_view> seen;
        CONTOUR_RETURN_IF_ERROR(Collect(node, depth, &members, &seen));
        json_ += '{';
        bool first = true;
        for (const auto& [key, value] : members) {
          if (!std::exchange(first, false)) json_ += ',';
          AppendJsonText(key, &json_);
          json_ += ':';
          CONTOUR_RETURN_IF_ERROR(WriteNode(value, depth + 1));
        }
        json_ += '}';
        break;
      }
      case Node::Kind::kAlias:  // of an alias: yaml-cpp can't make one
        return ErrorAt(node.position, "an alias of an alias");
    }
    return Charge(nodes_[id]);
  }

  // Collects the members of a map: its own, then those of its merge keys that it doesn't have.
  absl::Status Collect(const Node& map, int depth, std::vector<Member>* members,
                       std::unordered_set<std::string_view>* seen) {
    if (depth > limits_.max_depth) return TooDeep(map);
    std::unordered_set<std::string_view> own;
    std::optional<NodeId> merge;
    for (std::size_t i = 0; i + 1 < map.children.size(); i += 2) {
      const Node& key = Resolve(map.children[i]);
      if (!IsScalar(key))
        return ErrorAt(nodes_[map.children[i]].position, "expected a text as the key");
      ++merged_;
      CONTOUR_RETURN_IF_ERROR(Charge(map));
      if (!own.insert(key.text).second) {
        return ErrorAt(nodes_[map.children[i]].position,
                       fmt::format("key {} given twice", Quote(key.text)));
      }
      if (IsMergeKey(key)) {
        merge = map.children[i + 1];
      } else if (seen->insert(key.text).second) {
        members->emplace_back(key.text, map.children[i + 1]);
      }
    }
    if (!merge) return absl::OkStatus();
    const Node& merged = Resolve(*merge);
    if (merged.kind == Node::Kind::kMap) return Collect(merged, depth + 1, members, seen);
    if (merged.kind == Node::Kind::kList) {
      for (const NodeId item : merged.children) {
        if (Resolve(item).kind != Node::Kind::kMap) return NoMap(item);
        CONTOUR_RETURN_IF_ERROR(Collect(Resolve(item), depth + 1, members, seen));
      }
      return absl::OkStatus();
    }
    return NoMap(*merge);
  }

  absl::Status NoMap(NodeId id) const {
    return ErrorAt(nodes_[id].position, "expected a map, or a list of maps, to merge");
  }

  const std::vector<Node>& nodes_;
  const YamlLimits& limits_;
  std::string json_;
  std::size_t merged_ = 0;
};

YamlDocument::YamlDocument() : tree_(std::make_unique<Tree>()) {}
YamlDocument::~YamlDocument() = default;

bool YamlDocument::IsEmpty() const {
  return tree_->nodes.empty() || tree_->nodes.front().kind == Node::Kind::kNull;
}

absl::StatusOr<std::string> YamlDocument::ToJson(const YamlLimits& limits) const {
  if (tree_->nodes.empty()) return "null";
  return JsonWriter(tree_->nodes, limits).Write();
}

namespace {

// A key and its value.
struct Found {
  NodeId key;
  NodeId value;
};

// Finds a member of a map, in the order in which JsonWriter takes them.
std::optional<Found> FindMember(const std::vector<Node>& nodes, NodeId map,
                                std::string_view wanted) {
  const auto resolve = [&](NodeId id) {
    return nodes[id].kind == Node::Kind::kAlias ? nodes[id].target : id;
  };
  const std::vector<NodeId>& children = nodes[map].children;
  for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
    const Node& key = nodes[resolve(children[i])];
    if (IsScalar(key) && !IsMergeKey(key) && key.text == wanted) {
      return Found{children[i], children[i + 1]};
    }
  }
  for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
    if (!IsMergeKey(nodes[resolve(children[i])])) continue;
    const NodeId merged = resolve(children[i + 1]);
    if (nodes[merged].kind == Node::Kind::kMap) return FindMember(nodes, merged, wanted);
    for (const NodeId item : nodes[merged].children) {
      if (const auto found = FindMember(nodes, resolve(item), wanted)) return found;
    }
  }
  return std::nullopt;
}

// Returns the key and the value to which the path leads; for an item of a list both are the item.
Found Follow(const std::vector<Node>& nodes, std::string_view path) {
  NodeId id = 0;
  NodeId named = 0;
  for (const FieldStep& step : SplitFieldPath(path)) {
    const NodeId inside = nodes[id].kind == Node::Kind::kAlias ? nodes[id].target : id;
    const Node& node = nodes[inside];
    if (const std::size_t* index = std::get_if<std::size_t>(&step)) {
      if (node.kind != Node::Kind::kList || *index >= node.children.size()) break;
      named = id = node.children[*index];
    } else {
      if (node.kind != Node::Kind::kMap) break;
      const std::optional<Found> found = FindMember(nodes, inside, std::get<std::string>(step));
      if (!found) break;
      named = found->key;
      id = found->value;
    }
  }
  return {named, id};
}

}  // namespace

Position YamlDocument::Find(std::string_view path) const {
  if (tree_->nodes.empty()) return {};
  return tree_->nodes[Follow(tree_->nodes, path).value].position;
}

Position YamlDocument::FindKey(std::string_view path) const {
  if (tree_->nodes.empty()) return {};
  return tree_->nodes[Follow(tree_->nodes, path).key].position;
}

absl::Status ForEachYamlDocument(std::string_view text,
                                 const std::function<absl::Status(const YamlDocument&)>& visit) {
  CONTOUR_RETURN_IF_ERROR(CheckCharacters(text));
  try {
    std::istringstream stream(WithEndMark(text));
    YAML::Parser parser(stream);
    YamlDocument::Builder builder(text, visit);
    while (parser.HandleNextDocument(builder)) {
    }
    return absl::OkStatus();
  } catch (const Stopped& stopped) {
    return stopped.status;
  } catch (const YAML::DeepRecursion& error) {
    return ErrorAt(Clamp(ToPosition(error.mark), text), "not YAML: nested too deeply");
  } catch (const YAML::Exception& error) {
    // The parser's message may have any character of the text.
    return ErrorAt(Clamp(ToPosition(error.mark), text),
                   fmt::format("not YAML: {}", OneLine(error.msg)));
  } catch (const std::exception& error) {
    return ErrorAt({}, fmt::format("not YAML: {}", error.what()));
  }
}

}  // namespace contour
