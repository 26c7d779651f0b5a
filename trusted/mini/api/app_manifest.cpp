// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/app_manifest.h"

#include <algorithm>
#include <set>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/json/json.h"

namespace eos::mini {
namespace {

constexpr std::size_t kMaxNameBytes = 63;  // of an app: a DNS label

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
        std::string path = json::element_path(object.path("args"), i);
        out.push_back(EOS_TRY(json::as_text((*list)[i], path, runtime::kMaxArgumentBytes)));
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
        std::string path = json::element_path(object.path("env"), i);
        out.push_back(EOS_TRY(parse_variable((*list)[i], path)));
    }
    std::ranges::sort(out, {}, &runtime::AppVariable::name);
    return out;
}

Result<void> parse_limit(json::Object& object, std::string_view name, std::uint64_t& limit) {
    if (object.find(name) == nullptr) return {};
    limit = EOS_TRY(object.number(name, std::uint64_t{1} << 48));
    return {};
}

Result<ratls::Profile> parse_profile(json::Object& object) {
    if (object.find("ratls_profile") == nullptr) return ratls::Profile::kAuto;
    const std::string word = EOS_TRY(object.text("ratls_profile", 16));
    const auto* found = std::ranges::find(ratls::kProfileWords, word);
    if (found == std::end(ratls::kProfileWords))
        return fail(bad_upload, object.path("ratls_profile") + " is auto or v1");
    return static_cast<ratls::Profile>(found - std::begin(ratls::kProfileWords));
}

// The members that describe an app, wherever they stand.
Result<runtime::App> parse_app(json::Object& object, UnixTime now) {
    runtime::App app;
    app.hostname = EOS_TRY(object.text("hostname", 253));
    app.arguments = EOS_TRY(parse_arguments(object));
    app.environment = EOS_TRY(parse_environment(object));
    EOS_TRY(parse_limit(object, "max_memory_bytes", app.limits.max_memory_bytes));
    EOS_TRY(parse_limit(object, "max_fuel", app.limits.max_fuel));
    app.profile = EOS_TRY(parse_profile(object));
    app.app_id = random_uuid();
    app.loaded_at = now;
    return app;
}

Result<AppManifest> with_module(runtime::App app, ByteView bytes) {
    if (bytes.empty() || bytes.size() > kMaxModuleBytes)
        return fail(bad_upload, "a module has 1 byte to 16 MiB");
    runtime::HashedModule module{SecretBytes(to_bytes(bytes))};
    app.code_digest = module.digest();
    app.module_bytes = static_cast<std::uint32_t>(bytes.size());
    return AppManifest{std::move(app), std::move(module)};
}

Result<json::Value> parse_manifest(Reader& reader, std::size_t max_bytes) {
    std::uint32_t size = EOS_TRY(reader.u32be());
    if (size > max_bytes) {
        return fail(bad_upload,
                    "the description exceeds " + std::to_string(max_bytes / 1024) + " KiB");
    }
    return json::parse(EOS_TRY(reader.bytes(size)), {.size_bytes = max_bytes, .depth = 8});
}

Result<AppChange> parse_change(const json::Value& value, const std::string& path, Reader& reader,
                               UnixTime now) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    AppChange out;
    if (object.find("unload") != nullptr) {
        out.name = EOS_TRY(object.text("unload", kMaxNameBytes));
        EOS_TRY(object.finish());
        return out;
    }
    out.name = EOS_TRY(object.text("load", kMaxNameBytes));
    runtime::App app = EOS_TRY(parse_app(object, now));
    std::uint64_t size = EOS_TRY(object.number("module_bytes", kMaxModuleBytes));
    EOS_TRY(object.finish());
    Result<ByteView> module = reader.bytes(size);
    if (!module) return fail(bad_upload, path + ": the body ends inside the module");
    Result<AppManifest> load = with_module(std::move(app), *module);
    if (!load) return fail(std::move(load).error().within(path));
    out.load = std::move(*load);
    return out;
}

}  // namespace

Result<AppManifest> parse_app_upload(ByteView body, UnixTime now) {
    Reader reader(body);
    json::Value value = EOS_TRY(parse_manifest(reader, kMaxManifestBytes));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    runtime::App app = EOS_TRY(parse_app(object, now));
    EOS_TRY(object.finish());
    return with_module(std::move(app), reader.rest());
}

Result<std::vector<AppChange>> parse_batch_upload(ByteView body, UnixTime now) {
    Reader reader(body);
    json::Value value = EOS_TRY(parse_manifest(reader, kMaxBatchManifestBytes));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const json::Value* list = EOS_TRY(object.array("changes", kMaxBatchChanges));
    EOS_TRY(object.finish());
    if (list == nullptr || list->empty()) return fail(bad_upload, "there are no changes");
    std::vector<AppChange> out;
    std::set<std::string, std::less<>> names;
    for (std::size_t i = 0; i < list->size(); ++i) {
        std::string path = json::element_path("changes", i);
        out.push_back(EOS_TRY(parse_change((*list)[i], path, reader, now)));
        if (!names.insert(out.back().name).second)
            return fail(bad_upload, path + " is about an app that another change is about");
    }
    if (!reader.rest().empty()) return fail(bad_upload, "there are bytes after the last module");
    return out;
}

json::Value app_json(const std::string& name, const Snapshot& snapshot,
                     const Result<ModuleFacts>& facts) {
    const runtime::App& app = snapshot.state->apps.find(name)->second;
    json::Value environment = json::Value::array();
    for (const runtime::AppVariable& variable : app.environment)
        environment.push_back(variable.name);
    json::Value out = {
        {"name", name},
        {"hostname", app.hostname},
        {"digest", hex(app.code_digest)},
        {"app_id", uuid_text(app.app_id)},
        {"workload_root", hex(snapshot.workload_trees.find(name)->second->root())},
        {"args", app.arguments},
        {"env", environment},
        {"max_memory_bytes", app.limits.max_memory_bytes},
        {"max_fuel", app.limits.max_fuel},
        {"ratls_profile", ratls::kProfileWords[static_cast<std::size_t>(app.profile)]},
        {"loaded_at", rfc3339(app.loaded_at)}};
    if (facts) {
        out["kind"] = facts->has_cgi_entry ? "cgi" : "json";
        out["functions"] = facts->functions;
    }
    return out;
}

std::string uuid_text(const ByteArray<16>& uuid) {
    std::string text = hex(uuid);
    for (std::size_t at : {20, 16, 12, 8}) text.insert(at, "-");
    return text;
}

}  // namespace eos::mini
