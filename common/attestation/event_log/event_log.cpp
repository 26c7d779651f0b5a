// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/event_log/event_log.h"

#include <algorithm>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::attestation::event_log {
namespace {

constexpr std::size_t kShownBytes = 96;
constexpr std::size_t kMaxVariableNameChars = 256;

/// UEFI_VARIABLE_DATA: vendor GUID, name length in characters, data length, name, data.
struct Variable {
    std::string name;
    ByteView data;
};

/// ASCII of UTF-16; other characters become '?', which is enough for a description.
std::string narrow(ByteView utf16) {
    std::string out;
    for (std::size_t i = 0; i + 1 < utf16.size(); i += 2) {
        bool ascii = utf16[i + 1] == std::byte{0} && utf16[i] < std::byte{0x80};
        out.push_back(ascii ? static_cast<char>(utf16[i]) : '?');
    }
    return out;
}

Result<Variable> parse_variable(ByteView data) {
    Reader in(data);
    EOS_TRY(in.bytes(16));
    const std::uint64_t chars = EOS_TRY(in.u64le());
    const std::uint64_t size = EOS_TRY(in.u64le());
    if (chars > kMaxVariableNameChars) return fail(truncated, "variable name");
    Variable out;
    out.name = narrow(EOS_TRY(in.bytes(2 * chars)));
    out.data = EOS_TRY(in.bytes(size));
    EOS_TRY(in.expect_end());
    return out;
}

bool is_variable(std::uint32_t type) {
    return type == kEvEfiVariableDriverConfig || type == kEvEfiVariableBoot ||
           type == kEvEfiVariableAuthority;
}

bool is_digest_of(ByteView bytes, const Digest48& digest) {
    return equal(crypto::hash(crypto::HashKind::kSha384, bytes), digest);
}

/// The types whose digest is that of the data, whatever the firmware.
bool prescribes_data(std::uint32_t type) {
    switch (type) {
        case kEvSeparator:
        case kEvAction:
        case kEvEfiVariableDriverConfig:
        case kEvEfiGptEvent:
        case kEvEfiAction:
        case kEvEfiVariableAuthority:
            return true;
        default:
            return false;
    }
}

struct TypeName {
    std::uint32_t type;
    std::string_view name;
};
constexpr TypeName kTypeNames[] = {
    {0x00000000, "EV_PREBOOT_CERT"},
    {0x00000001, "EV_POST_CODE"},
    {kEvNoAction, "EV_NO_ACTION"},
    {kEvSeparator, "EV_SEPARATOR"},
    {kEvAction, "EV_ACTION"},
    {0x00000006, "EV_EVENT_TAG"},
    {0x00000007, "EV_S_CRTM_CONTENTS"},
    {0x00000008, "EV_S_CRTM_VERSION"},
    {0x00000009, "EV_CPU_MICROCODE"},
    {0x0000000a, "EV_PLATFORM_CONFIG_FLAGS"},
    {0x0000000b, "EV_TABLE_OF_DEVICES"},
    {0x0000000c, "EV_COMPACT_HASH"},
    {0x0000000d, "EV_IPL"},
    {0x0000000e, "EV_IPL_PARTITION_DATA"},
    {0x0000000f, "EV_NONHOST_CODE"},
    {0x00000010, "EV_NONHOST_CONFIG"},
    {0x00000011, "EV_NONHOST_INFO"},
    {0x00000012, "EV_OMIT_BOOT_DEVICE_EVENTS"},
    {kDstackRuntimeEvent, "dstack run-time event"},
    {kEvEfiVariableDriverConfig, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
    {kEvEfiVariableBoot, "EV_EFI_VARIABLE_BOOT"},
    {0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"},
    {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
    {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
    {kEvEfiGptEvent, "EV_EFI_GPT_EVENT"},
    {kEvEfiAction, "EV_EFI_ACTION"},
    {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
    {0x80000009, "EV_EFI_HANDOFF_TABLES"},
    {0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {0x8000000b, "EV_EFI_HANDOFF_TABLES2"},
    {0x8000000c, "EV_EFI_VARIABLE_BOOT2"},
    {0x8000000e, "EV_EFI_GPT_EVENT2"},
    {0x80000010, "EV_EFI_HCRTM_EVENT"},
    {kEvEfiVariableAuthority, "EV_EFI_VARIABLE_AUTHORITY"},
    {0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB"},
    {0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
};

/// The text of the data, if it is text: boot loaders measure commands and describe them so.
std::string text_of(ByteView data) {
    while (!data.empty() && data.back() == std::byte{0}) data = data.first(data.size() - 1);
    if (data.empty()) return {};
    std::size_t shown = std::min(data.size(), kShownBytes);
    for (std::byte b : data.first(shown)) {
        if (b < std::byte{0x20} || b > std::byte{0x7e}) return {};
    }
    return printable(data, kShownBytes);
}

}  // namespace

Content content_of(const Event& event) {
    if (event.type == kDstackRuntimeEvent) {
        Writer covered;
        covered.u32le(event.type).text(":").text(event.name).text(":").bytes(event.data);
        return is_digest_of(covered.view(), event.digest) ? Content::verified
                                                          : Content::contradicted;
    }
    if (event.data.empty()) return Content::unverified;
    if (is_digest_of(event.data, event.digest)) return Content::verified;
    if (prescribes_data(event.type)) return Content::contradicted;
    if (event.type == kEvEfiVariableBoot) {
        Result<Variable> variable = parse_variable(event.data);
        if (variable && is_digest_of(variable->data, event.digest)) return Content::verified;
    }
    return Content::unverified;
}

std::string type_name(std::uint32_t type) {
    for (const TypeName& row : kTypeNames) {
        if (row.type == type) return std::string(row.name);
    }
    Writer number;
    number.u32be(type);
    return "type 0x" + hex(number.view());
}

std::string describe(const Event& event) {
    std::string text;
    if (!event.name.empty()) {
        text = printable(as_bytes(event.name), kShownBytes);
    } else if (is_variable(event.type)) {
        Result<Variable> variable = parse_variable(event.data);
        if (variable) text = printable(as_bytes(variable->name), kShownBytes);
    } else {
        text = text_of(event.data);
    }
    std::string out = type_name(event.type);
    if (!text.empty()) out += " \"" + text + "\"";
    return out;
}

}  // namespace eos::attestation::event_log
