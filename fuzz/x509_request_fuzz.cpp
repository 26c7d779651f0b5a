// SPDX-License-Identifier: AGPL-3.0-only
// What is accepted OpenSSL reads too, to the same bytes.
#include "common/x509/request.h"
#include "fuzz/x509_openssl_peer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    auto request = x509::CertificateRequest::parse(std::as_bytes(std::span(data, size)));
    if (!request) return 0;
    fuzz::expect_openssl_agrees(request->der(), d2i_X509_REQ, i2d_X509_REQ, X509_REQ_free);
    (void)request->subject().display();
    (void)request->verify_signature();
    return 0;
}
