// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/snp_arch/product.h"

// The attestation report of SEV-SNP firmware, versions 2 to 5.

namespace eos::snp_arch {

inline constexpr std::size_t kReportBytes = 1184;
inline constexpr std::size_t kSignedBytes = 0x2a0;  ///< what the signature covers

inline constexpr Code report_size{"common/snp_arch", "report_size",
                                  "an attestation report has 1184 bytes"};
inline constexpr Code unsupported_report_version{"common/snp_arch", "unsupported_report_version",
                                                 "reports of this version are not supported"};
inline constexpr Code unsupported_algorithm{"common/snp_arch", "unsupported_algorithm",
                                            "the report is signed with an unknown algorithm"};
inline constexpr Code unsupported_signing_key{"common/snp_arch", "unsupported_signing_key",
                                              "the report is not signed by a VCEK or VLEK"};
inline constexpr Code reserved_not_zero{"common/snp_arch", "reserved_not_zero",
                                        "a reserved field of the report is set"};
inline constexpr Code unsupported_vmpl{"common/snp_arch", "unsupported_vmpl",
                                       "the report was not requested by a guest"};
inline constexpr Code unknown_cpu{"common/snp_arch", "unknown_cpu",
                                  "the report is of a CPU that is not known here"};

/// What the guest's owner demanded at launch. Unlike most fields it is kept as sent, because a
/// policy compares single bits of it.
struct GuestPolicy {
    std::uint64_t raw = 0;

    unsigned abi_minor() const { return raw & 0xff; }
    unsigned abi_major() const { return raw >> 8 & 0xff; }
    bool smt_allowed() const { return bit(16); }
    bool migration_agent_allowed() const { return bit(18); }
    bool debug_allowed() const { return bit(19); }
    bool single_socket_only() const { return bit(20); }
    bool cxl_allowed() const { return bit(21); }
    bool aes_256_xts_required() const { return bit(22); }
    bool rapl_disabled() const { return bit(23); }
    bool ciphertext_hiding_required() const { return bit(24); }
    bool page_swap_disabled() const { return bit(25); }

    friend bool operator==(const GuestPolicy&, const GuestPolicy&) = default;

  private:
    bool bit(unsigned number) const { return (raw >> number & 1) != 0; }
};

inline constexpr std::uint64_t kPolicyMustBeOne = std::uint64_t{1} << 17;
inline constexpr std::uint64_t kPolicyDebug = std::uint64_t{1} << 19;

/// What the machine has switched on. Bits that are not named here are kept in `raw`.
struct PlatformInfo {
    std::uint64_t raw = 0;

    bool smt_enabled() const { return bit(0); }
    bool tsme_enabled() const { return bit(1); }
    bool ecc_enabled() const { return bit(2); }
    bool rapl_disabled() const { return bit(3); }
    bool ciphertext_hiding_enabled() const { return bit(4); }
    bool alias_check_complete() const { return bit(5); }
    bool tio_enabled() const { return bit(7); }

    friend bool operator==(const PlatformInfo&, const PlatformInfo&) = default;

  private:
    bool bit(unsigned number) const { return (raw >> number & 1) != 0; }
};

/// Which of AMD's keys signed: one of the chip, or one of the cloud provider.
enum class SigningKey : std::uint8_t { vcek = 0, vlek = 1 };

/// A version of the SNP firmware.
struct FirmwareVersion {
    std::uint8_t build = 0;
    std::uint8_t minor = 0;
    std::uint8_t major = 0;
    friend bool operator==(const FirmwareVersion&, const FirmwareVersion&) = default;
};

/// Which mitigations were in force, versions 5 and later.
struct MitigationVectors {
    std::uint64_t launch = 0;
    std::uint64_t current = 0;
    friend bool operator==(const MitigationVectors&, const MitigationVectors&) = default;
};

/// A report. Integers in host order; nothing in it is authenticated by parsing it.
struct Report {
    std::uint32_t version = 2;
    std::uint32_t guest_svn = 0;
    GuestPolicy policy;
    ByteArray<16> family_id{};
    ByteArray<16> image_id{};
    std::uint32_t vmpl = 0;
    RawTcb current_tcb{};
    PlatformInfo platform_info;
    bool author_key_enabled = false;
    bool mask_chip_key = false;
    SigningKey signing_key = SigningKey::vcek;
    ByteArray<64> report_data{};
    ByteArray<48> measurement{};
    ByteArray<32> host_data{};
    ByteArray<48> id_key_digest{};
    ByteArray<48> author_key_digest{};
    ByteArray<32> report_id{};
    ByteArray<32> report_id_ma{};
    RawTcb reported_tcb{};
    std::optional<Cpuid> cpuid;  ///< from version 3 on
    ByteArray<64> chip_id{};
    RawTcb committed_tcb{};
    FirmwareVersion current_firmware;
    FirmwareVersion committed_firmware;
    RawTcb launch_tcb{};
    std::optional<MitigationVectors> mitigations;  ///< from version 5 on

    ByteArray<96> signature{};  ///< r ‖ s, big endian

    /// From the CPU, if the report names it.
    std::optional<Product> product() const { return cpuid ? product_of(*cpuid) : std::nullopt; }

    friend bool operator==(const Report&, const Report&) = default;
};

/// Parses a report strictly: every reserved bit is zero, also those that the signature does not
/// cover, so that no two byte strings say the same.
/// in:      exactly kReportBytes.
/// errors:  report_size, unsupported_report_version, unsupported_algorithm,
///          unsupported_signing_key, reserved_not_zero, unsupported_vmpl, unknown_cpu.
/// source:  AMD 56860, ATTESTATION_REPORT.
[[nodiscard]] Result<Report> parse_report(ByteView in);

/// The inverse of parse_report().
ByteArray<kReportBytes> encode(const Report& report);

}  // namespace eos::snp_arch
