// SPDX-License-Identifier: AGPL-3.0-only
#include "common/snp_arch/report.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::snp_arch {
namespace {

constexpr std::uint32_t kEcdsaP384Sha384 = 1;
constexpr std::uint32_t kLastVmpl = 3;
constexpr std::uint64_t kPolicyReserved = ~std::uint64_t{0} << 26;
constexpr std::uint32_t kFlagsReserved = ~std::uint32_t{0} << 5;
constexpr std::size_t kNumberBytes = 48;     // of a P-384 integer
constexpr std::size_t kComponentBytes = 72;  // of an integer in the signature field

/// `size` bytes that must be zero; `what` for the message.
Result<void> expect_zero(Reader& in, std::size_t size, std::string_view what) {
    if (all_zero(EOS_TRY(in.bytes(size)))) return {};
    return fail(reserved_not_zero, std::string(what));
}

Result<void> read_policy(Reader& in, Report& out) {
    out.policy.raw = EOS_TRY(in.u64le());
    if ((out.policy.raw & kPolicyMustBeOne) == 0) {
        return fail(reserved_not_zero, "guest policy: bit 17 must be one");
    }
    if ((out.policy.raw & kPolicyReserved) != 0) return fail(reserved_not_zero, "guest policy");
    return {};
}

Result<void> read_flags(Reader& in, Report& out) {
    const std::uint32_t flags = EOS_TRY(in.u32le());
    if ((flags & kFlagsReserved) != 0) return fail(reserved_not_zero, "flags at 0x48");
    out.author_key_enabled = (flags & 1) != 0;
    out.mask_chip_key = (flags & 2) != 0;
    const std::uint32_t key = flags >> 2;
    if (key > 1) {
        return fail(unsupported_signing_key, key == 7 ? "the firmware was told not to sign"
                                                      : "SIGNING_KEY " + std::to_string(key));
    }
    out.signing_key = static_cast<SigningKey>(key);
    return expect_zero(in, 4, "0x4c");
}

Result<void> read_cpuid(Reader& in, Report& out) {
    if (out.version < 3) return expect_zero(in, 24, "0x188");
    Cpuid cpuid;
    cpuid.family = EOS_TRY(in.u8());
    cpuid.model = EOS_TRY(in.u8());
    cpuid.stepping = EOS_TRY(in.u8());
    if (!product_of(cpuid).has_value()) {
        return fail(unknown_cpu, "family " + std::to_string(cpuid.family) + ", model " +
                                     std::to_string(cpuid.model));
    }
    out.cpuid = cpuid;
    return expect_zero(in, 21, "0x18b");
}

Result<FirmwareVersion> read_firmware(Reader& in, std::string_view place) {
    FirmwareVersion out;
    out.build = EOS_TRY(in.u8());
    out.minor = EOS_TRY(in.u8());
    out.major = EOS_TRY(in.u8());
    EOS_TRY(expect_zero(in, 1, place));
    return out;
}

Result<void> read_mitigations(Reader& in, Report& out) {
    if (out.version < 5) return expect_zero(in, 0x2a0 - 0x1f8, "0x1f8");
    MitigationVectors vectors;
    vectors.launch = EOS_TRY(in.u64le());
    vectors.current = EOS_TRY(in.u64le());
    out.mitigations = vectors;
    return expect_zero(in, 0x2a0 - 0x208, "0x208");
}

/// r and s, little-endian in 72 bytes each, then bytes that nothing covers.
Result<void> read_signature(Reader& in, Report& out) {
    for (std::size_t at : {std::size_t{0}, kNumberBytes}) {
        const ByteView number = EOS_TRY(in.bytes(kNumberBytes));
        std::ranges::reverse_copy(number, out.signature.begin() + static_cast<std::ptrdiff_t>(at));
        EOS_TRY(expect_zero(in, kComponentBytes - kNumberBytes, "signature"));
    }
    return expect_zero(in, in.remaining(), "signature");
}

Result<void> read_identity(Reader& in, Report& out) {
    out.report_data = EOS_TRY(in.array<64>());
    out.measurement = EOS_TRY(in.array<48>());
    out.host_data = EOS_TRY(in.array<32>());
    out.id_key_digest = EOS_TRY(in.array<48>());
    out.author_key_digest = EOS_TRY(in.array<48>());
    out.report_id = EOS_TRY(in.array<32>());
    out.report_id_ma = EOS_TRY(in.array<32>());
    return {};
}

void write_signature(Writer& out, const ByteArray<96>& signature) {
    for (std::size_t at : {std::size_t{0}, kNumberBytes}) {
        Bytes number = to_bytes(ByteView(signature).subspan(at, kNumberBytes));
        std::ranges::reverse(number);
        out.bytes(number).zeros(kComponentBytes - kNumberBytes);
    }
    out.zeros(kReportBytes - out.size());
}

void write_firmware(Writer& out, const FirmwareVersion& version) {
    out.u8(version.build).u8(version.minor).u8(version.major).u8(0);
}

}  // namespace

Result<Report> parse_report(ByteView in) {
    if (in.size() != kReportBytes) {
        return fail(report_size, "found " + std::to_string(in.size()));
    }
    Report out;
    Reader reader(in);
    out.version = EOS_TRY(reader.u32le());
    if (out.version < 2 || out.version > 5) {
        return fail(unsupported_report_version,
                    "version " + std::to_string(out.version) + ", supported: 2 to 5");
    }
    out.guest_svn = EOS_TRY(reader.u32le());
    EOS_TRY(read_policy(reader, out));
    out.family_id = EOS_TRY(reader.array<16>());
    out.image_id = EOS_TRY(reader.array<16>());
    out.vmpl = EOS_TRY(reader.u32le());
    if (out.vmpl > kLastVmpl) return fail(unsupported_vmpl, "VMPL " + std::to_string(out.vmpl));
    const std::uint32_t algorithm = EOS_TRY(reader.u32le());
    if (algorithm != kEcdsaP384Sha384) {
        return fail(unsupported_algorithm, "algorithm " + std::to_string(algorithm) +
                                               ", expected 1 (ECDSA P-384 with SHA-384)");
    }
    out.current_tcb = EOS_TRY(reader.array<8>());
    out.platform_info.raw = EOS_TRY(reader.u64le());
    EOS_TRY(read_flags(reader, out));
    EOS_TRY(read_identity(reader, out));
    out.reported_tcb = EOS_TRY(reader.array<8>());
    EOS_TRY(read_cpuid(reader, out));
    out.chip_id = EOS_TRY(reader.array<64>());
    out.committed_tcb = EOS_TRY(reader.array<8>());
    out.current_firmware = EOS_TRY(read_firmware(reader, "0x1eb"));
    out.committed_firmware = EOS_TRY(read_firmware(reader, "0x1ef"));
    out.launch_tcb = EOS_TRY(reader.array<8>());
    EOS_TRY(read_mitigations(reader, out));
    EOS_TRY(read_signature(reader, out));
    return out;
}

ByteArray<kReportBytes> encode(const Report& report) {
    Writer out;
    out.u32le(report.version).u32le(report.guest_svn).u64le(report.policy.raw);
    out.bytes(report.family_id).bytes(report.image_id).u32le(report.vmpl).u32le(kEcdsaP384Sha384);
    out.bytes(report.current_tcb).u64le(report.platform_info.raw);
    std::uint32_t flags = static_cast<std::uint32_t>(report.signing_key) << 2;
    if (report.author_key_enabled) flags |= 1;
    if (report.mask_chip_key) flags |= 2;
    out.u32le(flags).zeros(4);
    out.bytes(report.report_data).bytes(report.measurement).bytes(report.host_data);
    out.bytes(report.id_key_digest).bytes(report.author_key_digest);
    out.bytes(report.report_id).bytes(report.report_id_ma).bytes(report.reported_tcb);
    const Cpuid cpuid = report.cpuid.value_or(Cpuid{});
    out.u8(cpuid.family).u8(cpuid.model).u8(cpuid.stepping).zeros(21);
    out.bytes(report.chip_id).bytes(report.committed_tcb);
    write_firmware(out, report.current_firmware);
    write_firmware(out, report.committed_firmware);
    out.bytes(report.launch_tcb);
    const MitigationVectors vectors = report.mitigations.value_or(MitigationVectors{});
    out.u64le(vectors.launch).u64le(vectors.current).zeros(kSignedBytes - 0x208);
    EOS_ASSERT(out.size() == kSignedBytes);
    write_signature(out, report.signature);
    return to_array<kReportBytes>(out.view());
}

}  // namespace eos::snp_arch
