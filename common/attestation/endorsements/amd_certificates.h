// SPDX-License-Identifier: AGPL-3.0-only
// AMD's roots and the CAs below them. Hosts often hand on the chip's certificate alone.
#pragma once

#include <span>
#include <string_view>

#include "common/x509/certificate.h"

namespace eos::attestation::endorsements {

/// A certificate of AMD's that this library knows.
struct AmdCertificate {
    std::string_view name;
    x509::Certificate certificate;
};

/// ARK-Milan, ARK-Genoa, ARK-Turin.
/// threads: any.
std::span<const AmdCertificate> amd_roots();

/// The CAs of VCEKs (ASK) and of VLEKs (ASVK). Two ASKs of Genoa have one name and two keys, so an
/// issuer is told by its signature. Not trusted for being here: each is verified to its root.
/// threads: any.
std::span<const AmdCertificate> amd_issuers();

}  // namespace eos::attestation::endorsements
