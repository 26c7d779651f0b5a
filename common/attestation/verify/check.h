// SPDX-License-Identifier: AGPL-3.0-only
// The verdict tree. The code that decides builds it; library, CLI, server, log and console show it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/json/json.h"

namespace eos::attestation::verify {

/// The outcome of one check. There is no "warning": that is a pass with a note.
enum class Verdict { pass, fail, not_evaluated };

/// What it means for the whole that a check was not evaluated. A fail always counts.
enum class Weight {
    deciding,     ///< it stands in the way
    informative,  ///< it is shown and does not stand in the way
    waived        ///< it would stand in the way, but the policy waives this one check by name
};

/// One node. A node with children has no verdict of its own: it sums them up.
struct Check {
    std::string id;  ///< stable and documented in docs/formats/verdict.md, e.g. "quote.signature"
    Verdict verdict = Verdict::not_evaluated;
    Weight weight = Weight::deciding;
    std::vector<std::string> notes;
    std::string expected;
    std::string found;
    std::string source;  ///< the clause that demands the check
    std::string remedy;  ///< what a person can do when it did not pass
    std::vector<Check> children;
};

/// What a check is about, known before it is made.
struct Subject {
    std::string_view id;
    std::string_view source;
    std::string_view remedy = {};
};

/// What was compared.
struct Compared {
    std::string expected;
    std::string found;
};

Check passed(const Subject& subject, std::string note = {});
Check failed(const Subject& subject, Compared compared, std::string note = {});
/// From an Error: its message is the note.
Check failed(const Subject& subject, const Error& error);
Check not_evaluated(const Subject& subject, std::string why);

/// Passes exactly if the outcome is a value; else fails with its message.
Check from_result(const Subject& subject, const Result<void>& outcome);

/// A node that sums up its children: fail if one fails, else not evaluated if a deciding one was
/// not evaluated, else pass. Without children nothing was evaluated.
Check group(std::string_view id, std::vector<Check> children);

/// Marks the leaves that were not evaluated and are named exactly. Nothing else changes: a waiver
/// never touches a pass or a fail. Group verdicts are summed up again.
void apply_waivers(Check& tree, std::span<const std::string> ids);

/// The tree as a whole. Group verdicts are not trusted: only leaves count.
struct Summary {
    Verdict verdict = Verdict::not_evaluated;
    std::vector<std::string> failed;         ///< ids of leaves
    std::vector<std::string> not_evaluated;  ///< deciding ones only
    std::vector<std::string> waived;
};
Summary summarise(const Check& tree);

/// The first node with this id, depth first, or nullptr. Borrowed from the tree.
const Check* find_check(const Check& tree, std::string_view id);

/// An indented text, one node a line; expected, found, remedy and source below what did not pass.
/// Peer bytes in it are made printable.
std::string render_text(const Check& tree);

/// {"id","verdict",…,"checks":[…]}; members that would be empty are left out.
json::Value render_json(const Check& tree);

/// "pass", "fail", "not_evaluated".
std::string_view verdict_name(Verdict verdict);

}  // namespace eos::attestation::verify
