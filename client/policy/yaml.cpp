// SPDX-License-Identifier: AGPL-3.0-only
// The one file of the client that knows yaml-cpp, and the one that sees its exceptions.
#include "client/policy/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "common/base/encoding.h"

namespace eos::client::policy {
namespace {

constexpr std::size_t kShownBytes = 64;

// Ends the parse from within one of its events.
struct Refusal {
    Error error;
};

Place place_of(const YAML::Mark& mark) {
    return {.line = mark.line + 1, .column = mark.column + 1};
}

std::string_view word_for(const json::Value& value) {
    if (value.is_null()) return "null";
    if (value.is_boolean()) return "true or false";
    return value.is_number() ? "a number" : "";
}

[[noreturn]] void refuse(const YAML::Mark& mark, const std::string& path, const std::string& what) {
    throw Refusal{Error(
        bad_yaml, describe(place_of(mark)) + ": " + (path.empty() ? "" : path + ": ") + what)};
}

std::string shown(const std::string& text) {
    return printable(as_bytes(text), kShownBytes);
}

/// Digits of an integer, with its sign, and their base.
struct Digits {
    std::string_view text;
    int base;
};

/// What the core schema takes for an integer.
std::optional<Digits> integer_in(std::string_view text) {
    const auto is_all = [](std::string_view digits, std::string_view allowed) {
        return !digits.empty() && digits.find_first_not_of(allowed) == digits.npos;
    };
    if (text.starts_with("0x") && is_all(text.substr(2), "0123456789abcdefABCDEF")) {
        return Digits{text.substr(2), 16};
    }
    if (text.starts_with("0o") && is_all(text.substr(2), "01234567")) {
        return Digits{text.substr(2), 8};
    }
    const bool is_signed = text.starts_with('-') || text.starts_with('+');
    if (!is_all(text.substr(is_signed ? 1 : 0), "0123456789")) return {};
    return Digits{text.starts_with('+') ? text.substr(1) : text, 10};
}

template <typename T>
std::optional<json::Value> value_of(const Digits& digits) {
    T value{};
    const char* end = digits.text.data() + digits.text.size();
    const auto [stop, error] = std::from_chars(digits.text.data(), end, value, digits.base);
    if (error != std::errc() || stop != end) return {};
    return json::Value(value);
}

/// Takes the decimal digits from the front of a text and says how many they were.
std::size_t take_digits(std::string_view& text) {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
}

/// Takes one of these characters, if the text begins with one.
bool take_one_of(std::string_view& text, std::string_view characters) {
    if (text.empty() || characters.find(text.front()) == characters.npos) return false;
    text.remove_prefix(1);
    return true;
}

/// What the core schema takes for a number that is no integer.
bool is_fraction(std::string_view text) {
    for (std::string_view word : {".nan", ".NaN", ".NAN"}) {
        if (text == word) return true;
    }
    take_one_of(text, "+-");
    for (std::string_view word : {".inf", ".Inf", ".INF"}) {
        if (text == word) return true;
    }
    std::size_t digits = take_digits(text);
    if (take_one_of(text, ".")) digits += take_digits(text);
    if (digits == 0) return false;
    if (!take_one_of(text, "eE")) return text.empty();
    take_one_of(text, "+-");
    return take_digits(text) > 0 && text.empty();
}

bool is_word_for_truth(const std::string& text) {
    std::string lower = text;
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    return lower == "true" || lower == "false";
}

/// The value of a plain scalar; null is the parser's to tell.
json::Value plain_value(const YAML::Mark& mark, const std::string& path, const std::string& text) {
    if (text == "true" || text == "false") return text == "true";
    if (is_word_for_truth(text)) {
        refuse(mark, path, text + ": write true or false, or quote it if it is text");
    }
    if (const std::optional<Digits> digits = integer_in(text)) {
        const bool is_negative = digits->text.starts_with('-');
        const std::optional<json::Value> value =
            is_negative ? value_of<std::int64_t>(*digits) : value_of<std::uint64_t>(*digits);
        if (value.has_value()) return *value;
        refuse(mark, path,
               shown(text) + " is a number of more than 64 bits: quote it if it is text");
    }
    if (is_fraction(text)) {
        refuse(mark, path,
               shown(text) +
                   " is a number with a fraction or exponent, which no policy has: quote "
                   "it if it is text");
    }
    return text;
}

/// Builds the document from the parser's events, which come before anything is resolved: what is
/// refused here costs nothing.
class Builder final : public YAML::EventHandler {
  public:
    YamlDocument take() { return std::move(out_); }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnAnchor(const YAML::Mark& mark, const std::string&) override {
        refuse(mark, path(), "anchors are not read here");
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        refuse(mark, path(), "aliases are not read here");
    }
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check(mark, "?", anchor);
        if (is_key_due()) refuse(mark, path(), "a key must be text");
        add(mark, nullptr);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        check(mark, tag, anchor);
        const bool is_quoted = tag == "!";
        if (is_key_due()) return take_key(mark, is_quoted, text);
        add(mark, is_quoted ? json::Value(text) : plain_value(mark, path(), text));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check(mark, tag, anchor);
        open(mark, json::Value::array());
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        check(mark, tag, anchor);
        open(mark, json::Value::object());
    }
    void OnMapEnd() override { close(); }

  private:
    /// A list or map that is not at its end.
    struct Frame {
        YAML::Mark mark;
        json::Value value;
        std::string path;
        std::optional<std::string> key;  ///< of a map: waits for its value
        YAML::Mark key_mark;
    };

    // "?" is a plain scalar or an untagged collection, "!" a quoted scalar.
    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
        if (anchor != YAML::NullAnchor) refuse(mark, path(), "anchors are not read here");
        if (!tag.empty() && tag != "?" && tag != "!") {
            refuse(mark, path(), "tags are not read here: quote what is text");
        }
    }

    bool is_key_due() const {
        return !stack_.empty() && stack_.back().value.is_object() && !stack_.back().key;
    }

    /// Of the value that comes next.
    std::string path() const {
        if (stack_.empty()) return "";
        const Frame& top = stack_.back();
        if (top.value.is_array()) return json::element_path(top.path, top.value.size());
        if (!top.key) return top.path;
        return top.path.empty() ? shown(*top.key) : top.path + "." + shown(*top.key);
    }

    void open(const YAML::Mark& mark, json::Value value) {
        if (is_key_due()) refuse(mark, path(), "a key must be text");
        if (stack_.size() >= kMaxYamlDepth) refuse(mark, path(), "nested too deeply");
        stack_.push_back({mark, std::move(value), path(), {}, {}});
    }

    void close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        add(frame.mark, std::move(frame.value));
    }

    void add(const YAML::Mark& mark, json::Value value) {
        const bool is_member = !stack_.empty() && stack_.back().key.has_value();
        Place& place = out_.places[path()];
        place = place_of(is_member ? stack_.back().key_mark : mark);
        place.reads_as = word_for(value);
        if (++count_ > kMaxYamlValues) refuse(mark, path(), "more values than are read");
        if (stack_.empty()) {
            out_.value = std::move(value);
        } else if (is_member) {
            Frame& top = stack_.back();
            top.value[*std::exchange(top.key, std::nullopt)] = std::move(value);
        } else {
            stack_.back().value.push_back(std::move(value));
        }
    }

    void take_key(const YAML::Mark& mark, bool is_quoted, const std::string& text) {
        Frame& top = stack_.back();
        if (text.size() > kMaxYamlKeyBytes) refuse(mark, top.path, "a key this long is not read");
        if (!is_quoted && text == "<<") refuse(mark, top.path, "merge keys are not read here");
        if (!is_quoted && !plain_value(mark, top.path, text).is_string()) {
            refuse(mark, top.path, "a key must be text: quote " + shown(text));
        }
        if (top.value.contains(text)) refuse(mark, top.path, shown(text) + " is there twice");
        top.key = text;
        top.key_mark = mark;
    }

    YamlDocument out_;
    std::vector<Frame> stack_;
    std::size_t count_ = 0;
};

}  // namespace

std::string describe(const Place& place) {
    return "line " + std::to_string(place.line) + ", column " + std::to_string(place.column);
}

Result<YamlDocument> parse_yaml(ByteView text) {
    if (text.size() > kMaxYamlBytes) {
        return fail(bad_yaml, "more than " + std::to_string(kMaxYamlBytes) + " bytes");
    }
    if (!is_utf8(text)) return fail(bad_yaml, "not UTF-8");
    try {
        std::istringstream in{std::string(as_chars(text))};
        YAML::Parser parser(in);
        Builder builder;
        if (!parser.HandleNextDocument(builder)) return fail(bad_yaml, "there is nothing in it");
        YamlDocument out = builder.take();
        Builder second;
        if (parser.HandleNextDocument(second)) return fail(bad_yaml, "there is a second document");
        return out;
    } catch (Refusal& refusal) {
        return fail(std::move(refusal.error));
    } catch (const YAML::Exception& error) {
        return fail(bad_yaml, describe(place_of(error.mark)) + ": " +
                                  printable(as_bytes(error.msg), 2 * kShownBytes));
    }
}

}  // namespace eos::client::policy
