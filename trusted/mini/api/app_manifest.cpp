// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/app_manifest.h"

#include <algorithm>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/json/json.h"

namespace eos::mini {
namespace {

// RFC 9562 §5.4: version 4, variant 10.
ByteArray<16> random_uuid() {
    ByteArray<16> uuid = crypto::random_array<16>();
    uuid[6] = (uuid[6] & std::byte{0x0f}) | std::byte{0x40};
    uuid[8] = (uuid[8] & std::byte{0x3f}) | std::byte{0x80};
    return uuid;
}

Result<std::vector<std::string>> parse_arguments(json::Object& object) {
    std::vector<std::string> out;
    const json::Value* list = EOS_TRY(object.array("args", runtime::kMaxArguments));
    if (list == nullptr) return out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        out.push_back(EOS_TRY(
            json::as_text((*list)[i], json::element_path("args", i), runtime::kMaxArgumentBytes)));
    }
    return out;
}

// A value is public only if it says so; else others see that it changed, and nothing else.
Result<runtime::AppVariable> parse_variable(const json::Value& value, const std::string& path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    runtime::AppVariable out;
    out.name = EOS_TRY(object.text("name", runtime::kMaxVariableNameBytes));
    out.value = SecretBytes(to_bytes(EOS_TRY(object.text("value", runtime::kMaxVariableBytes))));
    const json::Value* is_public = object.find("public");
    if (is_public != nullptr && !is_public->is_boolean())
        return fail(json::wrong_type, object.path("public"));
    if (is_public != nullptr && *is_public == true) {
        out.visibility = runtime::Visibility::kPublic;
    } else {
        Bytes salt = EOS_TRY(from_base64(EOS_TRY(object.text("salt", 64))));
        if (salt.size() != config_tree::kSaltBytes)
            return fail(bad_upload, object.path("salt") + " must have 32 bytes");
        out.salt = to_array<config_tree::kSaltBytes>(salt);
    }
    EOS_TRY(object.finish());
    return out;
}

Result<std::vector<runtime::AppVariable>> parse_environment(json::Object& object) {
    std::vector<runtime::AppVariable> out;
    const json::Value* list = EOS_TRY(object.array("env", runtime::kMaxEnvironmentVariables));
    if (list == nullptr) return out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        out.push_back(EOS_TRY(parse_variable((*list)[i], json::element_path("env", i))));
    }
    std::ranges::sort(out, {}, &runtime::AppVariable::name);
    return out;
}

Result<void> parse_limit(json::Object& object, std::string_view name, std::uint64_t& limit) {
    if (object.find(name) == nullptr) return {};
    limit = EOS_TRY(object.number(name, std::uint64_t{1} << 48));
    return {};
}

}  // namespace

Result<AppManifest> parse_app_upload(ByteView body, UnixTime now) {
    Reader reader(body);
    std::uint32_t size = EOS_TRY(reader.u32be());
    if (size > kMaxManifestBytes) return fail(bad_upload, "the description exceeds 64 KiB");
    ByteView description = EOS_TRY(reader.bytes(size));
    json::Value value =
        EOS_TRY(json::parse(description, {.size_bytes = kMaxManifestBytes, .depth = 8}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    AppManifest out;
    out.app.hostname = EOS_TRY(object.text("hostname", 253));
    out.app.arguments = EOS_TRY(parse_arguments(object));
    out.app.environment = EOS_TRY(parse_environment(object));
    EOS_TRY(parse_limit(object, "max_memory_bytes", out.app.limits.max_memory_bytes));
    EOS_TRY(parse_limit(object, "max_fuel", out.app.limits.max_fuel));
    EOS_TRY(object.finish());
    ByteView module = reader.rest();
    if (module.empty() || module.size() > kMaxModuleBytes)
        return fail(bad_upload, "the module has 1 byte to 16 MiB");
    out.app.code_digest = crypto::sha256(module);
    out.app.module_bytes = static_cast<std::uint32_t>(module.size());
    out.app.app_id = random_uuid();
    out.app.loaded_at = now;
    out.module = SecretBytes(to_bytes(module));
    return out;
}

std::string uuid_text(const ByteArray<16>& uuid) {
    std::string text = hex(uuid);
    for (std::size_t at : {20, 16, 12, 8}) text.insert(at, "-");
    return text;
}

}  // namespace eos::mini
