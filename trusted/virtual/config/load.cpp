// SPDX-License-Identifier: AGPL-3.0-only
// From a document to the struct: every key is known, every value of its type and in its range.
#include <algorithm>
#include <charconv>
#include <type_traits>

#include "common/base/encoding.h"
#include "trusted/virtual/config/config.h"
#include "trusted/virtual/config/node.h"

namespace eos::cvm {
namespace {

constexpr std::size_t kMaxJsonBytes = 3 * kMaxConfigBytes;

std::string place(const Node& node, const std::string& path) {
    std::string where = path.empty() ? "the document" : path;
    return node.line == 0 ? where : "line " + std::to_string(node.line) + ": " + where;
}

std::unexpected<Error> refuse(const Node& node, const std::string& path, std::string_view what) {
    return fail(bad_config, place(node, path) + ": " + std::string(what));
}

// Digits only: what other programs read in "010", "0x1f" or "1_000" they do not agree on.
Result<std::uint64_t> number_in(const Node& node, const std::string& path) {
    std::uint64_t out = 0;
    const char* end = node.text.data() + node.text.size();
    auto [stop, error] = std::from_chars(node.text.data(), end, out);
    const bool is_padded = node.text.size() > 1 && node.text[0] == '0';
    if (node.kind != Node::Kind::kPlain || error != std::errc() || stop != end || is_padded) {
        return refuse(node, path, "a whole number in decimal digits, not quoted");
    }
    return out;
}

Result<std::string> text_in(const Node& node, const std::string& path, std::size_t most_bytes) {
    if (node.kind != Node::Kind::kPlain && node.kind != Node::Kind::kQuoted) {
        return refuse(node, path, "must be text");
    }
    const bool is_printable = std::ranges::all_of(
        node.text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
    if (!is_printable) return refuse(node, path, "control characters");
    if (node.text.size() > most_bytes) {
        return refuse(node, path, "at most " + std::to_string(most_bytes) + " bytes");
    }
    return node.text;
}

/// Reads one section; a visitor.
class Loader {
  public:
    Loader(const Node& map, std::string path) : map_(map), path_(std::move(path)) {}

    template <typename Section>
    static Result<void> load(const Node& node, const std::string& path, Section& out) {
        if (node.kind != Node::Kind::kMap) return refuse(node, path, "must be a map of keys");
        Loader loader(node, path);
        EOS_TRY(Section::visit(out, loader));
        return loader.finish();
    }

    Result<void> number(const NumberRow& row, std::uint64_t& out) {
        const Node* node = find(row);
        const bool is_demanded = row.standard < row.least || row.standard > row.greatest;
        if (node == nullptr) return is_demanded ? missing(row) : Result<void>{};
        out = EOS_TRY(number_in(*node, path(row)));
        if (out < row.least || out > row.greatest) {
            return refuse(
                *node, path(row),
                "from " + std::to_string(row.least) + " to " + std::to_string(row.greatest));
        }
        return {};
    }

    template <typename Choice>
    Result<void> choice(const ChoiceRow& row, Choice& out) {
        const Node* node = find(row);
        if (node == nullptr) return {};
        const std::string word = EOS_TRY(text_in(*node, path(row), 64));
        auto found = std::ranges::find(row.words, word);
        if (found == row.words.end()) return refuse(*node, path(row), "one of " + joined(row));
        out = static_cast<Choice>(found - row.words.begin());
        return {};
    }

    Result<void> text(const TextRow& row, std::string& out) {
        const Node* node = find(row);
        if (node == nullptr) return row.least_bytes > 0 ? missing(row) : Result<void>{};
        out = EOS_TRY(text_in(*node, path(row), row.most_bytes));
        if (out.size() < row.least_bytes) return refuse(*node, path(row), "must not be empty");
        return {};
    }

    Result<void> texts(const ListRow& row, std::vector<std::string>& out) {
        const Node* node = EOS_TRY(find_list(row));
        for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i) {
            out.push_back(
                EOS_TRY(text_in(node->items[i], json::element_path(path(row), i), row.most_bytes)));
        }
        return {};
    }

    // One that is left out is read as an empty one: it may have keys that are demanded.
    template <typename Section>
    Result<void> section(const Row& row, Section& out) {
        const Node* node = find(row);
        Node none;
        none.kind = Node::Kind::kMap;
        none.line = map_.line;
        return load(node == nullptr ? none : *node, path(row), out);
    }

    template <typename Section>
    Result<void> list(const ListRow& row, std::vector<Section>& out) {
        const Node* node = EOS_TRY(find_list(row));
        for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i) {
            Section& section = out.emplace_back();
            EOS_TRY(load(node->items[i], json::element_path(path(row), i), section));
        }
        return {};
    }

  private:
    const Node* find(const Row& row) {
        known_.push_back(row.name);
        return map_.find(row.name);
    }

    Result<const Node*> find_list(const ListRow& row) {
        const Node* node = find(row);
        if (node == nullptr) return node;
        if (node->kind != Node::Kind::kList) return refuse(*node, path(row), "must be a list");
        if (node->items.size() > row.most) {
            return refuse(*node, path(row), "at most " + std::to_string(row.most) + " entries");
        }
        return node;
    }

    Result<void> finish() const {
        for (const auto& [name, node] : map_.members) {
            if (std::ranges::find(known_, name) != known_.end()) continue;
            return refuse(node, path_ + (path_.empty() ? "" : ".") + printable(as_bytes(name), 64),
                          "there is no such key");
        }
        return {};
    }

    Result<void> missing(const Row& row) const {
        return refuse(map_, path(row), "must be given: " + std::string(row.text));
    }

    std::string path(const Row& row) const {
        return path_ + (path_.empty() ? "" : ".") + std::string(row.name);
    }

    static std::string joined(const ChoiceRow& row) {
        std::string out;
        for (std::string_view word : row.words)
            out += (out.empty() ? "" : ", ") + std::string(word);
        return out;
    }

    const Node& map_;
    std::string path_;
    std::vector<std::string_view> known_;
};

/// Writes one section; a visitor.
class JsonWriter {
  public:
    template <typename Section>
    static json::Value write(const Section& section) {
        JsonWriter writer;
        Result<void> written = Section::visit(section, writer);
        static_cast<void>(written);  // nothing in it fails
        return std::move(writer.out_);
    }

    Result<void> number(const NumberRow& row, std::uint64_t value) { return put(row, value); }
    template <typename Choice>
    Result<void> choice(const ChoiceRow& row, Choice value) {
        return put(row, row.words[static_cast<std::size_t>(value)]);
    }
    Result<void> text(const TextRow& row, const std::string& value) { return put(row, value); }
    Result<void> texts(const ListRow& row, const std::vector<std::string>& values) {
        return put(row, json::Value(values));
    }
    template <typename Section>
    Result<void> section(const Row& row, const Section& section) {
        return put(row, write(section));
    }
    template <typename Section>
    Result<void> list(const ListRow& row, const std::vector<Section>& sections) {
        json::Value items = json::Value::array();
        for (const Section& section : sections) items.push_back(write(section));
        return put(row, std::move(items));
    }

  private:
    Result<void> put(const Row& row, json::Value value) {
        out_[std::string(row.name)] = std::move(value);
        return {};
    }
    json::Value out_ = json::Value::object();
};

Result<Config> load_config(const Node& root) {
    Config config;
    EOS_TRY(Loader::load(root, "", config));
    EOS_TRY(check_config(config));
    return config;
}

}  // namespace

Result<Config> parse_config(ByteView yaml) {
    return load_config(EOS_TRY(parse_yaml(yaml)));
}

Result<Config> parse_config_json(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxJsonBytes, .depth = kMaxConfigDepth}));
    return load_config(EOS_TRY(node_of(value)));
}

std::string config_json(const Config& config) {
    return json::compact(JsonWriter::write(config));
}

}  // namespace eos::cvm
