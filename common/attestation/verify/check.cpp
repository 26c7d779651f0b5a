// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/check.h"

#include <algorithm>

#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

constexpr std::size_t kMaxShownBytes = 1024;

Check make(const Subject& subject, Verdict verdict) {
    Check check;
    check.id = subject.id;
    check.verdict = verdict;
    check.source = subject.source;
    if (verdict != Verdict::pass) check.remedy = subject.remedy;
    return check;
}

/// Sums the children up. Children that do not decide and were not evaluated leave no trace, except
/// that a group of nothing else was not evaluated either.
void settle(Check& group) {
    group.verdict = Verdict::not_evaluated;
    group.weight = group.children.empty() ? Weight::deciding : Weight::informative;
    bool missing = false;
    bool any_pass = false;
    for (const Check& child : group.children) {
        if (child.verdict == Verdict::fail) {
            group.verdict = Verdict::fail;
            return;
        }
        any_pass |= child.verdict == Verdict::pass;
        missing |= child.verdict == Verdict::not_evaluated && child.weight == Weight::deciding;
    }
    if (missing) group.weight = Weight::deciding;
    if (any_pass && !missing) group.verdict = Verdict::pass;
}

/// Adds the leaves below `node`; returns how many of them passed.
std::size_t collect(const Check& node, Summary& out) {
    std::size_t passes = 0;
    for (const Check& child : node.children) passes += collect(child, out);
    if (!node.children.empty()) return passes;
    if (node.verdict == Verdict::pass) return 1;
    if (node.verdict == Verdict::fail) {
        out.failed.push_back(node.id);
    } else if (node.weight == Weight::deciding) {
        out.not_evaluated.push_back(node.id);
    } else if (node.weight == Weight::waived) {
        out.waived.push_back(node.id);
    }
    return 0;
}

std::string shown(std::string_view text) {
    return printable(as_bytes(text), kMaxShownBytes);
}

std::string_view mark(const Check& node) {
    switch (node.verdict) {
        case Verdict::pass:
            return "✓ ";
        case Verdict::fail:
            return "✗ ";
        case Verdict::not_evaluated:
            return "– ";
    }
    __builtin_unreachable();
}

std::string_view not_evaluated_words(Weight weight) {
    switch (weight) {
        case Weight::deciding:
            return " (not evaluated)";
        case Weight::informative:
            return " (not evaluated, does not decide)";
        case Weight::waived:
            return " (not evaluated, waived by the policy)";
    }
    __builtin_unreachable();
}

void add_detail(std::string& out, std::size_t depth, std::string_view label,
                std::string_view value) {
    if (value.empty()) return;
    out.append(2 * depth + 4, ' ');
    out.append(label).append(": ").append(shown(value)).append("\n");
}

void add_node(std::string& out, const Check& node, std::size_t depth) {
    out.append(2 * depth, ' ');
    out.append(mark(node)).append(shown(node.id));
    if (node.verdict == Verdict::not_evaluated) out.append(not_evaluated_words(node.weight));
    for (const std::string& note : node.notes) out.append(": ").append(shown(note));
    out.append("\n");
    if (node.verdict != Verdict::pass && node.children.empty()) {
        add_detail(out, depth, "expected", node.expected);
        add_detail(out, depth, "found", node.found);
        add_detail(out, depth, "remedy", node.remedy);
        add_detail(out, depth, "source", node.source);
    }
    for (const Check& child : node.children) add_node(out, child, depth + 1);
}

std::string_view weight_name(Weight weight) {
    switch (weight) {
        case Weight::deciding:
            return "deciding";
        case Weight::informative:
            return "informative";
        case Weight::waived:
            return "waived";
    }
    __builtin_unreachable();
}

void set_if(json::Value& out, const char* name, std::string_view value) {
    if (!value.empty()) out[name] = shown(value);
}

}  // namespace

Check passed(const Subject& subject, std::string note) {
    Check check = make(subject, Verdict::pass);
    if (!note.empty()) check.notes.push_back(std::move(note));
    return check;
}

Check failed(const Subject& subject, Compared compared, std::string note) {
    Check check = make(subject, Verdict::fail);
    check.expected = std::move(compared.expected);
    check.found = std::move(compared.found);
    if (!note.empty()) check.notes.push_back(std::move(note));
    return check;
}

Check failed(const Subject& subject, const Error& error) {
    Check check = make(subject, Verdict::fail);
    check.notes.push_back(error.message());
    return check;
}

Check not_evaluated(const Subject& subject, std::string why) {
    Check check = make(subject, Verdict::not_evaluated);
    check.notes.push_back(std::move(why));
    return check;
}

Check from_result(const Subject& subject, const Result<void>& outcome) {
    return outcome.has_value() ? passed(subject) : failed(subject, outcome.error());
}

Check group(std::string_view id, std::vector<Check> children) {
    Check check;
    check.id = id;
    check.children = std::move(children);
    settle(check);
    return check;
}

void apply_waivers(Check& tree, std::span<const std::string> ids) {
    for (Check& child : tree.children) apply_waivers(child, ids);
    if (!tree.children.empty()) {
        settle(tree);
        return;
    }
    if (tree.verdict == Verdict::not_evaluated && tree.weight == Weight::deciding &&
        std::ranges::find(ids, tree.id) != ids.end()) {
        tree.weight = Weight::waived;
    }
}

Summary summarise(const Check& tree) {
    Summary out;
    std::size_t passes = collect(tree, out);
    if (!out.failed.empty()) {
        out.verdict = Verdict::fail;
    } else if (out.not_evaluated.empty() && passes > 0) {
        out.verdict = Verdict::pass;
    }
    return out;
}

const Check* find_check(const Check& tree, std::string_view id) {
    if (tree.id == id) return &tree;
    for (const Check& child : tree.children) {
        if (const Check* found = find_check(child, id)) return found;
    }
    return nullptr;
}

std::string render_text(const Check& tree) {
    std::string out;
    add_node(out, tree, 0);
    return out;
}

json::Value render_json(const Check& tree) {
    json::Value out = json::Value::object();
    out["id"] = shown(tree.id);
    out["verdict"] = verdict_name(tree.verdict);
    if (tree.verdict == Verdict::not_evaluated && tree.weight != Weight::deciding) {
        out["weight"] = weight_name(tree.weight);
    }
    for (const std::string& note : tree.notes) out["notes"].push_back(shown(note));
    set_if(out, "expected", tree.expected);
    set_if(out, "found", tree.found);
    set_if(out, "source", tree.source);
    set_if(out, "remedy", tree.remedy);
    for (const Check& child : tree.children) out["checks"].push_back(render_json(child));
    return out;
}

std::string_view verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::pass:
            return "pass";
        case Verdict::fail:
            return "fail";
        case Verdict::not_evaluated:
            return "not_evaluated";
    }
    __builtin_unreachable();
}

}  // namespace eos::attestation::verify
