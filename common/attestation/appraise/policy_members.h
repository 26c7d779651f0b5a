// SPDX-License-Identifier: AGPL-3.0-only
// Reading members of a policy, for the files that parse one. For this folder only.
#pragma once

#include <algorithm>

#include "common/attestation/appraise/policy.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {

inline constexpr std::size_t kMaxNameBytes = 128;

/// A list of strings, each once.
inline Result<std::set<std::string>> text_set(json::Object& object, std::string_view name) {
    std::set<std::string> out;
    const json::Value* list = EOS_TRY(object.array(name, kMaxPolicyEntries));
    if (list == nullptr) return out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        std::string path = json::element_path(object.path(name), i);
        std::string text = EOS_TRY(json::as_text((*list)[i], path, kMaxNameBytes));
        if (!out.insert(std::move(text)).second) return fail(bad_policy, path + ": repeated");
    }
    return out;
}

/// As text_set, with every string one of `known` and at least one of them.
inline Result<std::set<std::string>> word_set(json::Object& object, std::string_view name,
                                              std::span<const std::string_view> known) {
    std::set<std::string> out = EOS_TRY(text_set(object, name));
    if (out.empty()) return fail(bad_policy, object.path(name) + ": empty");
    for (const std::string& word : out) {
        if (std::ranges::find(known, word) != known.end()) continue;
        return fail(bad_policy, object.path(name) + ": unknown word \"" +
                                    printable(as_bytes(word), kMaxNameBytes) + "\"");
    }
    return out;
}

/// `path` is where the text stands, for the error.
template <std::size_t N>
Result<ByteArray<N>> hex_value(std::string_view text, const std::string& path) {
    Result<ByteArray<N>> value = array_from_hex<N>(text);
    if (!value.has_value()) return fail(std::move(value).error().within(path));
    return value;
}

/// A required member of N bytes.
template <std::size_t N>
Result<ByteArray<N>> hex_member(json::Object& object, std::string_view name) {
    std::string text = EOS_TRY(object.text(name, 2 * N));
    return hex_value<N>(text, object.path(name));
}

/// A list of values of N bytes, each once.
template <std::size_t N>
Result<std::set<ByteArray<N>>> hex_set(json::Object& object, std::string_view name) {
    std::set<ByteArray<N>> out;
    for (const std::string& text : EOS_TRY(text_set(object, name)))
        out.insert(EOS_TRY(hex_value<N>(text, object.path(name))));
    return out;
}

/// A pin for a trust domain.
/// errors: bad_policy (it names the firmware only), those of the members.
[[nodiscard]] Result<TdPin> parse_td_pin(json::Object& object);

/// The member "tdx" of a policy, if there is one.
/// errors: bad_policy, those of the members.
[[nodiscard]] Result<void> parse_tdx(json::Object& root, Policy& out);

/// Whether this pin is for a guest of SEV-SNP.
bool is_snp_pin(json::Object& object);

/// A pin for a guest of SEV-SNP.
/// errors: bad_policy (it names no guest), those of the members.
[[nodiscard]] Result<SnpPin> parse_snp_pin(json::Object& object);

/// The member "snp" of a policy, if there is one.
/// errors: bad_policy, those of the members.
[[nodiscard]] Result<void> parse_snp(json::Object& root, Policy& out);

/// The inverse of the two.
void snp_pin_to_json(const SnpPin& pin, json::Value& out);
json::Value snp_to_json(const SnpRule& rule);

}  // namespace eos::attestation::appraise
