// SPDX-License-Identifier: AGPL-3.0-only
// What is accepted OpenSSL reads too, to the same bytes, and every view lies inside it.
#include "common/oid/registry.h"
#include "common/x509/certificate.h"
#include "fuzz/x509_openssl_peer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    auto certificate = x509::Certificate::parse(std::as_bytes(std::span(data, size)));
    if (!certificate) return 0;
    ByteView der = certificate->der();
    fuzz::expect_openssl_agrees(der, d2i_X509, i2d_X509, X509_free);
    for (ByteView part :
         {certificate->tbs(), certificate->serial_tlv(), certificate->issuer_tlv(),
          certificate->validity_tlv(), certificate->subject_tlv(), certificate->spki_tlv(),
          certificate->signature_algorithm_tlv(), certificate->signature()}) {
        EOS_ASSERT(part.data() >= der.data() &&
                   part.data() + part.size() <= der.data() + der.size());
    }
    (void)certificate->subject().display();
    (void)certificate->contents_digest(oid::kLeafBinding);
    (void)certificate->p256_key();
    return 0;
}
