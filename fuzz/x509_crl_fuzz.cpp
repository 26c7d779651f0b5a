// SPDX-License-Identifier: AGPL-3.0-only
// What is accepted OpenSSL reads too, to the same bytes, and every entry is found.
#include "common/x509/crl.h"
#include "fuzz/x509_openssl_peer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    auto crl = x509::Crl::parse(std::as_bytes(std::span(data, size)));
    if (!crl) return 0;
    fuzz::expect_openssl_agrees(crl->der(), d2i_X509_CRL, i2d_X509_CRL, X509_CRL_free);
    for (const x509::RevokedCertificate& entry : crl->revoked())
        EOS_ASSERT(crl->is_revoked(entry.serial));
    return 0;
}
