// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string>

#include "common/snp_arch/report.h"
#include "common/x509/certificate.h"

namespace eos::attestation::endorsements {

inline constexpr Code bad_vek_extension{"common/attestation/endorsements", "bad_vek_extension",
                                        "the certificate does not describe an AMD chip"};

/// What AMD certifies in a VCEK or VLEK. (VEK: either of the two.)
struct VekExtension {
    snp_arch::SigningKey kind = snp_arch::SigningKey::vcek;
    std::string product_name;  ///< with a stepping, on some
    snp_arch::Product product = snp_arch::Product::milan;
    snp_arch::Tcb tcb;
    /// VCEK: as reports have it. Turin's chips have 8 bytes, then zeros.
    std::optional<ByteArray<64>> chip_id;
    std::string csp_id;  ///< VLEK: the cloud provider
};

/// A VCEK names a chip, a VLEK a provider; neither or both is refused.
/// errors:  bad_vek_extension (a field missing, unknown, of another type or size); those of
///          x509::DerReader.
/// source:  AMD 57230, table 8.
[[nodiscard]] Result<VekExtension> parse_vek_extension(const x509::Certificate& certificate);

}  // namespace eos::attestation::endorsements
