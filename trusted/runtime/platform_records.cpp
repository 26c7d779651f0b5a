// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/platform_records.h"

#include "common/base/codec.h"

namespace eos::runtime {
namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kMaxKeyBytes = 4096;

// Secrets are written into one buffer that does not move, so that growing leaves no copies.
Writer begin(std::size_t capacity) {
    Writer out;
    out.reserve(capacity);
    out.u16be(kVersion);
    return out;
}

SecretBytes finish(Writer out) {
    return SecretBytes(std::move(out).take());
}

void write_run(Writer& out, ByteView bytes) {
    out.u32be(static_cast<std::uint32_t>(bytes.size())).bytes(bytes);
}

void write_text(Writer& out, std::string_view text) {
    write_run(out, as_bytes(text));
}

void write_time(Writer& out, UnixTime time) {
    out.u64be(static_cast<std::uint64_t>(time.seconds));
}

Result<Reader> open(ByteView record) {
    Reader reader(record);
    std::uint16_t version = EOS_TRY(reader.u16be());
    if (version != kVersion) return fail(malformed_record, "version " + std::to_string(version));
    return reader;
}

Result<ByteView> read_run(Reader& reader, std::size_t max_bytes) {
    std::uint32_t size = EOS_TRY(reader.u32be());
    if (size > max_bytes) return fail(malformed_record, "a field of " + std::to_string(size));
    return reader.bytes(size);
}

Result<std::string> read_text(Reader& reader, std::size_t max_bytes) {
    return to_string(EOS_TRY(read_run(reader, max_bytes)));
}

Result<std::size_t> read_count(Reader& reader, std::size_t max) {
    std::size_t count = EOS_TRY(reader.u16be());
    if (count > max) return fail(malformed_record, std::to_string(count) + " elements");
    return count;
}

Result<UnixTime> read_time(Reader& reader) {
    std::uint64_t seconds = EOS_TRY(reader.u64be());
    if (seconds > static_cast<std::uint64_t>(kLatestTime.seconds)) {
        return fail(malformed_record, "a time after the year 9999");
    }
    return UnixTime{static_cast<std::int64_t>(seconds)};
}

Result<std::vector<std::string>> read_texts(Reader& reader, std::size_t max_count,
                                            std::size_t max_bytes) {
    std::vector<std::string> out;
    std::size_t count = EOS_TRY(read_count(reader, max_count));
    for (std::size_t i = 0; i < count; ++i) out.push_back(EOS_TRY(read_text(reader, max_bytes)));
    return out;
}

void write_texts(Writer& out, const std::vector<std::string>& texts) {
    out.u16be(static_cast<std::uint16_t>(texts.size()));
    for (const std::string& text : texts) write_text(out, text);
}

Result<Authority> read_authority(Reader& reader) {
    Authority out;
    std::uint8_t origin = EOS_TRY(reader.u8());
    if (origin != 1 && origin != 2) return fail(malformed_record, "CA key origin");
    out.origin = static_cast<CaKeyOrigin>(origin);
    std::size_t count = EOS_TRY(read_count(reader, kMaxChainCertificates));
    if (count == 0) return fail(malformed_record, "no CA certificate");
    for (std::size_t i = 0; i < count; ++i) {
        out.chain.push_back(to_bytes(EOS_TRY(read_run(reader, kMaxCertificateBytes))));
    }
    out.key = SecretBytes(to_bytes(EOS_TRY(read_run(reader, kMaxKeyBytes))));
    return out;
}

Result<AppVariable> read_variable(Reader& reader) {
    AppVariable out;
    out.name = EOS_TRY(read_text(reader, kMaxVariableNameBytes));
    std::uint8_t visibility = EOS_TRY(reader.u8());
    if (visibility != 1 && visibility != 2) return fail(malformed_record, "visibility");
    out.visibility = static_cast<Visibility>(visibility);
    out.salt = EOS_TRY(reader.array<config_tree::kSaltBytes>());
    out.value = SecretBytes(to_bytes(EOS_TRY(read_run(reader, kMaxVariableBytes))));
    return out;
}

std::size_t encoded_size(const App& app) {
    std::size_t size = 512 + app.hostname.size();
    for (const std::string& text : app.arguments) size += 4 + text.size();
    for (const std::string& text : app.permissions) size += 4 + text.size();
    for (const AppVariable& v : app.environment) size += 64 + v.name.size() + v.value.size();
    return size;
}

}  // namespace

SecretBytes encode_ownership(const Ownership& ownership) {
    const Authority& authority = ownership.authority;
    std::size_t size = 256 + ownership.platform_name.size() + authority.key.size();
    for (const Bytes& certificate : authority.chain) size += 4 + certificate.size();
    Writer out = begin(size);
    out.bytes(ownership.owner_spki_hash);
    write_text(out, ownership.platform_name);
    write_time(out, ownership.provisioned_at);
    out.u8(static_cast<std::uint8_t>(authority.origin));
    out.u16be(static_cast<std::uint16_t>(authority.chain.size()));
    for (const Bytes& certificate : authority.chain) write_run(out, certificate);
    write_run(out, authority.key.view());
    return finish(std::move(out));
}

Result<Ownership> parse_ownership(ByteView record) {
    Reader reader = EOS_TRY(open(record));
    Ownership out;
    out.owner_spki_hash = EOS_TRY(reader.array<32>());
    out.platform_name = EOS_TRY(read_text(reader, 253));
    out.provisioned_at = EOS_TRY(read_time(reader));
    out.authority = EOS_TRY(read_authority(reader));
    EOS_TRY(reader.expect_end());
    return out;
}

SecretBytes encode_settings(const Settings& settings) {
    Writer out = begin(64);
    out.u16be(static_cast<std::uint16_t>(all_settings().size()));
    for (const SettingInfo& info : all_settings()) out.u64be(info.get(settings));
    return finish(std::move(out));
}

Result<Settings> parse_settings(ByteView record) {
    Reader reader = EOS_TRY(open(record));
    std::size_t count = EOS_TRY(reader.u16be());
    if (count != all_settings().size()) return fail(malformed_record, "number of settings");
    Settings out;
    for (const SettingInfo& info : all_settings()) {
        EOS_TRY(set_setting(out, info, EOS_TRY(reader.u64be())));
    }
    EOS_TRY(reader.expect_end());
    return out;
}

SecretBytes encode_history_record(const config_tree::History& history) {
    Writer out = begin(128 + 48 * history.changes.size());
    out.bytes(history.base).bytes(history.head);
    out.u16be(static_cast<std::uint16_t>(history.changes.size()));
    for (const config_tree::Change& change : history.changes) {
        out.u64be(change.generation).bytes(change.policy_root);
        write_time(out, change.time);
    }
    return finish(std::move(out));
}

Result<config_tree::History> parse_history_record(ByteView record) {
    Reader reader = EOS_TRY(open(record));
    config_tree::History out;
    out.base = EOS_TRY(reader.array<32>());
    out.head = EOS_TRY(reader.array<32>());
    std::size_t count = EOS_TRY(read_count(reader, config_tree::kMaxHistoryEntries));
    for (std::size_t i = 0; i < count; ++i) {
        config_tree::Change change;
        change.generation = EOS_TRY(reader.u64be());
        change.policy_root = EOS_TRY(reader.array<32>());
        change.time = EOS_TRY(read_time(reader));
        out.changes.push_back(change);
    }
    EOS_TRY(reader.expect_end());
    EOS_TRY(config_tree::verify_history(out));
    return out;
}

SecretBytes encode_clock(UnixTime floor) {
    Writer out = begin(16);
    write_time(out, floor);
    return finish(std::move(out));
}

Result<UnixTime> parse_clock(ByteView record) {
    Reader reader = EOS_TRY(open(record));
    UnixTime floor = EOS_TRY(read_time(reader));
    EOS_TRY(reader.expect_end());
    return floor;
}

SecretBytes encode_stapled(ByteView bundle) {
    Writer out = begin(bundle.size() + 16);
    write_run(out, bundle);
    return finish(std::move(out));
}

Result<Bytes> parse_stapled(ByteView record) {
    Reader reader = EOS_TRY(open(record));
    ByteView bundle = EOS_TRY(read_run(reader, kMaxStapledBytes));
    EOS_TRY(reader.expect_end());
    if (bundle.empty()) return fail(malformed_record, "no collateral");
    return to_bytes(bundle);
}

SecretBytes encode_app(const App& app) {
    Writer out = begin(encoded_size(app));
    write_text(out, app.hostname);
    out.bytes(app.code_digest).u32be(app.module_bytes).bytes(app.app_id);
    out.u64be(app.limits.max_memory_bytes).u64be(app.limits.max_fuel);
    write_texts(out, app.arguments);
    out.u16be(static_cast<std::uint16_t>(app.environment.size()));
    for (const AppVariable& variable : app.environment) {
        write_text(out, variable.name);
        out.u8(static_cast<std::uint8_t>(variable.visibility)).bytes(variable.salt);
        write_run(out, variable.value.view());
    }
    write_texts(out, app.permissions);
    out.u8(static_cast<std::uint8_t>(app.profile));
    write_time(out, app.loaded_at);
    return finish(std::move(out));
}

Result<App> parse_app(std::string_view name, ByteView record) {
    Reader reader = EOS_TRY(open(record));
    App out;
    out.hostname = EOS_TRY(read_text(reader, 253));
    out.code_digest = EOS_TRY(reader.array<32>());
    out.module_bytes = EOS_TRY(reader.u32be());
    out.app_id = EOS_TRY(reader.array<16>());
    out.limits.max_memory_bytes = EOS_TRY(reader.u64be());
    out.limits.max_fuel = EOS_TRY(reader.u64be());
    out.arguments = EOS_TRY(read_texts(reader, kMaxArguments, kMaxArgumentBytes));
    std::size_t variables = EOS_TRY(read_count(reader, kMaxEnvironmentVariables));
    for (std::size_t i = 0; i < variables; ++i) {
        out.environment.push_back(EOS_TRY(read_variable(reader)));
    }
    out.permissions = EOS_TRY(read_texts(reader, kMaxPermissions, 64));
    const std::uint8_t profile = EOS_TRY(reader.u8());
    if (profile > static_cast<std::uint8_t>(ratls::Profile::kV1))
        return fail(malformed_record, "profile");
    out.profile = static_cast<ratls::Profile>(profile);
    out.loaded_at = EOS_TRY(read_time(reader));
    EOS_TRY(reader.expect_end());
    EOS_TRY(check_app(name, out));
    return out;
}

}  // namespace eos::runtime
