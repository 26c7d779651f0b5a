// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/revocation.h"

namespace eos::attestation::verify {

RevocationList read_list(ByteView der, const x509::Certificate& issuer, SignatureOf which,
                         Signatures& signatures) {
    Result<x509::Crl> list = x509::Crl::parse(der);
    if (!list) return {fail(list.error()), fail(list.error())};
    Result<void> signature = signatures.check(which, [&] { return list->verify_issuer(issuer); });
    return {std::move(list), std::move(signature)};
}

Result<void> check_not_revoked(const RevocationList& list,
                               std::span<const x509::Certificate* const> certificates, Instant& at,
                               std::vector<CollateralDate>& dates) {
    if (!list.list) return fail(list.list.error());
    const x509::Crl& crl = *list.list;
    dates.push_back({crl.issuer().display() + ", list", crl.this_update()});
    if (!list.signature) return fail(list.signature.error());
    (void)at.is_within(crl.this_update(), crl.next_update());
    EOS_TRY(crl.check_dates(at.time()));
    for (const x509::Certificate* certificate : certificates) {
        if (!crl.is_revoked(certificate->serial())) continue;
        return fail(revoked,
                    certificate->subject().display() + ", serial " + certificate->serial().hex());
    }
    return {};
}

}  // namespace eos::attestation::verify
