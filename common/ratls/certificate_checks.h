// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string_view>
#include <vector>

#include "common/attestation/verify/check.h"
#include "common/x509/certificate.h"

namespace eos::ratls {

/// What a certificate that no CA vouches for must still be: as it was signed, in its time, for the
/// name that was asked for. Evidence that is bound to its key makes none of this superfluous: it
/// says nothing about the rest of the certificate. Nodes:
///   certificate.signature  its own key's, where it names itself as the issuer: ECDSA P-256 with
///                          SHA-256, P-384 with SHA-256 or SHA-384, RSA PKCS #1 v1.5 with SHA-256;
///                          no other, so none with SHA-1. Of another issuer: not evaluated, which
///                          does not stand in the way.
///   certificate.validity   its dates enclose `time`.
///   certificate.name       a subjectAltName is `host`; left out if `host` is empty.
/// in:      host: a DNS name or an IP address.
/// source:  RFC 5280 §4.1.2.5, §6.1.3 (a)(1); RFC 6125 §6.4; RFC 5758 §3.2; RFC 4055 §5.
[[nodiscard]] std::vector<attestation::verify::Check> check_without_ca(
    const x509::Certificate& certificate, std::string_view host, UnixTime time);

}  // namespace eos::ratls
