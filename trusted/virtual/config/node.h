// SPDX-License-Identifier: AGPL-3.0-only
// What YAML and JSON have in common: maps, lists and scalars, each with the line it began on.
#pragma once

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/json/json.h"

namespace eos::cvm {

/// A document, or a part of it. A value.
struct Node {
    struct Member;
    enum class Kind { kNull, kPlain, kQuoted, kList, kMap };

    Kind kind = Kind::kNull;
    int line = 0;      ///< counted from 1; 0 where there are no lines
    std::string text;  ///< of a scalar
    std::vector<Node> items;
    std::vector<Member> members;  ///< no name twice

    const Node* find(std::string_view name) const;
};

/// One entry of a map.
struct Node::Member {
    std::string name;
    Node value;
};

/// Reads one YAML document.
/// errors: bad_yaml.
/// bound:  kMaxConfigBytes, kMaxConfigNodes, kMaxConfigDepth.
[[nodiscard]] Result<Node> parse_yaml(ByteView text);

/// The same of JSON, where numbers become plain scalars and strings quoted ones.
/// errors: bad_config (true, false, fractions, negative numbers).
[[nodiscard]] Result<Node> node_of(const json::Value& value);

}  // namespace eos::cvm
