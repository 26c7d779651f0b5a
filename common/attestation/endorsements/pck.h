// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>

#include "common/attestation/endorsements/tcb.h"
#include "common/x509/certificate.h"

namespace eos::attestation::endorsements {

inline constexpr Code no_pck_extension{"common/attestation/endorsements", "no_pck_extension",
                                       "the certificate does not describe an SGX platform"};
inline constexpr Code bad_pck_extension{"common/attestation/endorsements", "bad_pck_extension",
                                        "the PCK certificate's SGX extension is malformed"};

/// How the platform protects its memory.
enum class SgxType : std::uint8_t { standard = 0, scalable = 1, scalable_with_integrity = 2 };

/// How a multi-package platform is set up. Only certificates of the Platform CA say so.
struct PckConfiguration {
    std::optional<bool> dynamic_platform;
    std::optional<bool> cached_keys;
    std::optional<bool> smt_enabled;
};

/// What Intel certifies about a platform in the PCK certificate's extension.
struct PckExtension {
    ByteArray<16> ppid{};
    PlatformTcb tcb;
    ByteArray<16> cpu_svn{};  ///< raw: TCB levels are matched by tcb, never by this
    PceId pce_id{};
    Fmspc fmspc{};
    SgxType sgx_type = SgxType::standard;
    std::optional<ByteArray<16>> platform_instance_id;
    std::optional<PckConfiguration> configuration;
};

/// errors:  no_pck_extension; bad_pck_extension (a field missing, twice, unknown or of another
///          size); those of x509::DerReader.
/// source:  Intel SGX PCK Certificate and CRL Profile Specification, 1.3.5.
/// bound:   the fields are a fixed set.
[[nodiscard]] Result<PckExtension> parse_pck_extension(const x509::Certificate& certificate);

}  // namespace eos::attestation::endorsements
