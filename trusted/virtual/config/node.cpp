// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/config/node.h"

#include <algorithm>

#include "trusted/virtual/config/config.h"

namespace eos::cvm {

const Node* Node::find(std::string_view name) const {
    auto found = std::ranges::find(members, name, &Member::name);
    return found == members.end() ? nullptr : &found->value;
}

// json::parse() has bounded the depth.
Result<Node> node_of(const json::Value& value) {
    Node node;
    if (value.is_string()) {
        node.kind = Node::Kind::kQuoted;
        node.text = value.get_ref<const std::string&>();
    } else if (value.is_number_unsigned()) {
        node.kind = Node::Kind::kPlain;
        node.text = std::to_string(value.get<std::uint64_t>());
    } else if (value.is_array()) {
        node.kind = Node::Kind::kList;
        for (const json::Value& item : value) node.items.push_back(EOS_TRY(node_of(item)));
    } else if (value.is_object()) {
        node.kind = Node::Kind::kMap;
        for (const auto& [name, member] : value.items())
            node.members.push_back({name, EOS_TRY(node_of(member))});
    } else {
        return fail(bad_config, "a value that is no text, no number, no list and no object");
    }
    return node;
}

}  // namespace eos::cvm
