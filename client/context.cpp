// SPDX-License-Identifier: AGPL-3.0-only
#include "client/context.h"

#include <algorithm>
#include <cstdlib>

#include "client/files.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

constexpr std::size_t kMaxText = 4096;

bool is_context_name(const std::string& name) {
    auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    return !name.empty() && name.size() <= 63 && std::ranges::all_of(name, allowed);
}

}  // namespace

std::filesystem::path ContextStore::default_folder() {
    if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && *config != '\0') {
        return std::filesystem::path(config) / "enclave-os";
    }
    const char* home = std::getenv("HOME");
    return std::filesystem::path(home == nullptr ? "." : home) / ".config" / "enclave-os";
}

std::filesystem::path ContextStore::file(const std::string& name) const {
    return folder_ / "contexts" / (name + ".json");
}

Result<Context> ContextStore::load(const std::string& name) const {
    std::error_code error;
    if (!is_context_name(name) || !std::filesystem::exists(file(name), error)) {
        return fail(no_context, "'" + name + "': `enclavectl context list` shows those there are");
    }
    Bytes text = EOS_TRY(read_file(file(name)));
    json::Value value = EOS_TRY(json::parse(text, {}));
    json::Object object = EOS_TRY(json::Object::of(value, name));
    Context out;
    out.name = name;
    out.address = EOS_TRY(object.text("address", kMaxText));
    out.server_name = EOS_TRY(object.text("server_name", kMaxText));
    out.policy = EOS_TRY(object.text("policy", kMaxText));
    out.root = EOS_TRY(object.text("root", kMaxText));
    out.owner_key = EOS_TRY(object.text("owner_key", kMaxText));
    out.collateral = EOS_TRY(object.text("collateral", kMaxText));
    EOS_TRY(object.finish());
    return out;
}

Result<void> ContextStore::save(const Context& context) const {
    if (!is_context_name(context.name)) {
        return fail(bad_context, "a name has 1 to 63 of a-z, 0-9, '-' and '_'");
    }
    json::Value value = {{"address", context.address},     {"server_name", context.server_name},
                         {"policy", context.policy},       {"root", context.root},
                         {"owner_key", context.owner_key}, {"collateral", context.collateral}};
    return write_file(file(context.name), as_bytes(json::pretty(value) + "\n"), {});
}

Result<void> ContextStore::remove(const std::string& name) const {
    std::error_code error;
    if (!is_context_name(name) || !std::filesystem::remove(file(name), error))
        return fail(no_context, name);
    if (current() == name) std::filesystem::remove(folder_ / "current", error);
    return {};
}

std::vector<std::string> ContextStore::names() const {
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "contexts", error)) {
        if (entry.path().extension() == ".json") out.push_back(entry.path().stem().string());
    }
    std::ranges::sort(out);
    return out;
}

std::optional<std::string> ContextStore::current() const {
    Result<Bytes> text = read_file(folder_ / "current");
    if (!text) return std::nullopt;
    std::string name = to_string(*text);
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

Result<void> ContextStore::use(const std::string& name) const {
    EOS_TRY(load(name));
    return write_file(folder_ / "current", as_bytes(name + "\n"), {});
}

}  // namespace eos::client
