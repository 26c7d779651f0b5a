// SPDX-License-Identifier: AGPL-3.0-only
// The one file that knows yaml-cpp, and the one that sees its exceptions.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>

#include "common/base/encoding.h"
#include "trusted/virtual/config/config.h"
#include "trusted/virtual/config/node.h"

namespace eos::cvm {
namespace {

// Ends the parse from within one of its events.
struct Refusal {
    Error error;
};

[[noreturn]] void refuse(const YAML::Mark& mark, std::string_view what) {
    throw Refusal{
        Error(bad_yaml, "line " + std::to_string(mark.line + 1) + ": " + std::string(what))};
}

/// Builds the document from the parser's events, which come before anything is resolved: what is
/// refused here costs nothing.
class Builder final : public YAML::EventHandler {
  public:
    Node take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnAnchor(const YAML::Mark& mark, const std::string&) override {
        refuse(mark, "anchors are not read here");
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        refuse(mark, "aliases are not read here");
    }
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check(mark, "?", anchor);
        add(mark, make(mark, Node::Kind::kNull));
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        check(mark, tag, anchor);
        Node node = make(mark, tag == "!" ? Node::Kind::kQuoted : Node::Kind::kPlain);
        node.text = value;
        add(mark, std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check(mark, tag, anchor);
        open(mark, make(mark, Node::Kind::kList));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        check(mark, tag, anchor);
        open(mark, make(mark, Node::Kind::kMap));
    }
    void OnMapEnd() override { close(); }

  private:
    struct Frame {
        YAML::Mark mark;
        Node node;
        std::string key;
        bool has_key = false;
        std::set<std::string> keys;
    };

    // "?" is a plain scalar or an untagged collection, "!" a quoted scalar.
    static void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (anchor != YAML::NullAnchor) refuse(mark, "anchors are not read here");
        if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags are not read here");
    }

    Node make(const YAML::Mark& mark, Node::Kind kind) {
        if (++count_ > kMaxConfigNodes) refuse(mark, "more values than are read here");
        Node node;
        node.kind = kind;
        node.line = mark.line + 1;
        return node;
    }

    void open(const YAML::Mark& mark, Node node) {
        if (!stack_.empty() && is_key_due()) refuse(mark, "a key must be plain text");
        if (stack_.size() >= kMaxConfigDepth) refuse(mark, "nested too deeply");
        stack_.push_back({mark, std::move(node), {}, false, {}});
    }

    void close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        add(frame.mark, std::move(frame.node));
    }

    bool is_key_due() const {
        return stack_.back().node.kind == Node::Kind::kMap && !stack_.back().has_key;
    }

    void add(const YAML::Mark& mark, Node node) {
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Frame& top = stack_.back();
        if (top.node.kind == Node::Kind::kList) {
            top.node.items.push_back(std::move(node));
        } else if (is_key_due()) {
            take_key(mark, node);
        } else {
            top.node.members.push_back({std::move(top.key), std::move(node)});
            top.has_key = false;
        }
    }

    void take_key(const YAML::Mark& mark, const Node& node) {
        Frame& top = stack_.back();
        if (node.kind != Node::Kind::kPlain) refuse(mark, "a key must be plain text");
        const std::string shown = printable(as_bytes(node.text), 64);
        if (node.text == "<<") refuse(mark, "merge keys are not read here");
        if (!top.keys.insert(node.text).second) refuse(mark, shown + " is there twice");
        top.key = node.text;
        top.has_key = true;
    }

    Node root_;
    std::vector<Frame> stack_;
    std::size_t count_ = 0;
};

}  // namespace

Result<Node> parse_yaml(ByteView text) {
    if (text.size() > kMaxConfigBytes) return fail(bad_yaml, "more than 8 MiB");
    if (!is_utf8(text)) return fail(bad_yaml, "not UTF-8");
    try {
        std::istringstream in{std::string(as_chars(text))};
        YAML::Parser parser(in);
        Builder builder;
        if (!parser.HandleNextDocument(builder)) return fail(bad_yaml, "there is nothing in it");
        Node root = builder.take();
        Builder second;
        if (parser.HandleNextDocument(second)) return fail(bad_yaml, "a second document");
        return root;
    } catch (Refusal& refusal) {
        return fail(std::move(refusal.error));
    } catch (const YAML::Exception& error) {
        return fail(bad_yaml, "line " + std::to_string(error.mark.line + 1) + ": " +
                                  printable(as_bytes(error.msg), 128));
    }
}

}  // namespace eos::cvm
