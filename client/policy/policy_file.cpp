// SPDX-License-Identifier: AGPL-3.0-only
#include "client/policy/policy_file.h"

#include <algorithm>
#include <cctype>

#include "client/files.h"
#include "client/policy/yaml.h"

namespace eos::client::policy {
namespace {

using attestation::appraise::parse_policy;

bool is_named_yaml(const std::filesystem::path& path) {
    std::string extension = path.extension().string();
    std::ranges::transform(extension, extension.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return extension == ".yaml" || extension == ".yml";
}

/// The error with the place of what it names, or of what should hold that, and what to do where
/// YAML took for something else what was meant as text.
Error placed(const Error& error, const YamlDocument& document) {
    std::string path = error.detail().substr(0, error.detail().find(": "));
    auto found = document.places.find(path);
    const bool is_exact = found != document.places.end();
    while (found == document.places.end() && !path.empty()) {
        path.resize(std::min(path.find_last_of(".["), path.size() - 1));
        found = document.places.find(path);
    }
    if (found == document.places.end()) return error;
    std::string detail = describe(found->second) + ": " + error.detail();
    if (is_exact && error.code() == json::wrong_type && !found->second.reads_as.empty()) {
        detail += "; YAML reads it as " + std::string(found->second.reads_as) +
                  ": quote it if it is text";
    }
    return Error(error.code(), std::move(detail));
}

Result<PolicyFile> parse_yaml_policy(ByteView text) {
    YamlDocument document = EOS_TRY(parse_yaml(text));
    const std::string json = json::compact(document.value);
    Result<attestation::appraise::Policy> policy = parse_policy(as_bytes(json));
    if (!policy) return fail(placed(policy.error(), document));
    return PolicyFile{*std::move(policy), std::move(document.value)};
}

Result<PolicyFile> parse_json_policy(ByteView text) {
    attestation::appraise::Policy policy = EOS_TRY(parse_policy(text));
    // As large and as deep as parse_policy() has let it be.
    json::Value value = EOS_TRY(json::parse(text, {.size_bytes = text.size()}));
    return PolicyFile{std::move(policy), std::move(value)};
}

/// A policy is an object, so that other text was meant otherwise.
Error with_advice(Error error, ByteView text) {
    const std::string_view chars = as_chars(text);
    const std::size_t first = chars.find_first_not_of(" \t\r\n");
    const bool is_object = first != chars.npos && chars[first] == '{';
    if (error.code() != json::bad_syntax || is_object) return error;
    return Error(error.code(), error.detail() + "; a policy in YAML is named .yaml or .yml");
}

}  // namespace

Result<PolicyFile> read_policy_file(const std::filesystem::path& path) {
    const Bytes text = EOS_TRY(read_file(path));
    const bool is_yaml = is_named_yaml(path);
    Result<PolicyFile> out = is_yaml ? parse_yaml_policy(text) : parse_json_policy(text);
    if (out) return out;
    Error error = is_yaml ? std::move(out.error()) : with_advice(std::move(out.error()), text);
    return fail(std::move(error).within(path.string()));
}

}  // namespace eos::client::policy
