// SPDX-License-Identifier: AGPL-3.0-only
// How a section of the configuration is written down once. A table of rows makes the struct, what
// reads it, what writes it, its leaves in the configuration trees and its schema: a field without
// one of these cannot be spelt.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace eos::cvm {

/// What every row says.
struct Row {
    std::string_view name;  ///< of the field, its key and its leaf
    std::string_view text;  ///< what it is for
};

/// A number; one whose standard value is out of its range must be given.
struct NumberRow : Row {
    std::uint64_t standard;
    std::uint64_t least;
    std::uint64_t greatest;
};

/// One of a few words, by value of the enumeration.
struct ChoiceRow : Row {
    std::span<const std::string_view> words;
};

/// Text; one that may not be empty must be given.
struct TextRow : Row {
    std::size_t least_bytes;
    std::size_t most_bytes;
};

/// A list of texts, or of sections; may be left out.
struct ListRow : Row {
    std::size_t most;
    std::size_t most_bytes;  ///< of one text; 0 for sections
};

}  // namespace eos::cvm

// A section is a struct made of a table: EOS_CVM_SECTION(Log, EOS_CVM_LOG) with
// #define EOS_CVM_LOG(X) X(CHOICE, format, …) X(NUMBER, …). Its static member visit(section,
// visitor) hands every field with its row to the visitor, which has number(), choice(), text(),
// texts(), section() and list(), each of which returns Result<void>.
// NOLINTBEGIN(bugprone-macro-parentheses): types and names cannot stand in parentheses.
#define EOS_CVM_SECTION(Type, ROWS)                                 \
    struct Type {                                                   \
        ROWS(EOS_CVM_MEMBER)                                        \
        friend bool operator==(const Type&, const Type&) = default; \
                                                                    \
        template <typename Self, typename Visitor>                  \
        static Result<void> visit(Self& self, Visitor& visitor) {   \
            ROWS(EOS_CVM_VISIT)                                     \
            return {};                                              \
        }                                                           \
    };

#define EOS_CVM_MEMBER(kind, ...) EOS_CVM_MEMBER_##kind(__VA_ARGS__)
#define EOS_CVM_MEMBER_NUMBER(name, standard, least, greatest, meaning) \
    std::uint64_t name = standard;
#define EOS_CVM_MEMBER_CHOICE(name, type, standard, words, meaning) type name = type::standard;
#define EOS_CVM_MEMBER_TEXT(name, least_bytes, most_bytes, meaning) std::string name;
#define EOS_CVM_MEMBER_TEXTS(name, most, most_bytes, meaning) std::vector<std::string> name;
#define EOS_CVM_MEMBER_SECTION(name, type, meaning) type name;
#define EOS_CVM_MEMBER_LIST(name, type, most, meaning) std::vector<type> name;

#define EOS_CVM_VISIT(kind, ...) EOS_CVM_VISIT_##kind(__VA_ARGS__)
#define EOS_CVM_VISIT_NUMBER(name, standard, least, greatest, meaning) \
    EOS_TRY(visitor.number(NumberRow{{#name, meaning}, standard, least, greatest}, self.name));
#define EOS_CVM_VISIT_CHOICE(name, type, standard, words, meaning) \
    EOS_TRY(visitor.choice(ChoiceRow{{#name, meaning}, words}, self.name));
#define EOS_CVM_VISIT_TEXT(name, least_bytes, most_bytes, meaning) \
    EOS_TRY(visitor.text(TextRow{{#name, meaning}, least_bytes, most_bytes}, self.name));
#define EOS_CVM_VISIT_TEXTS(name, most, most_bytes, meaning) \
    EOS_TRY(visitor.texts(ListRow{{#name, meaning}, most, most_bytes}, self.name));
#define EOS_CVM_VISIT_SECTION(name, type, meaning) \
    EOS_TRY(visitor.section(Row{#name, meaning}, self.name));
#define EOS_CVM_VISIT_LIST(name, type, most, meaning) \
    EOS_TRY(visitor.list(ListRow{{#name, meaning}, most, 0}, self.name));
// NOLINTEND(bugprone-macro-parentheses)
