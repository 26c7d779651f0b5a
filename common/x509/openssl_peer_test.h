// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "common/base/bytes.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"

// OpenSSL as the other implementation, for the tests of this folder.

namespace eos::x509::peer {

/// Deletes what OpenSSL made.
struct Free {
    void operator()(X509* p) const { X509_free(p); }
    void operator()(X509_REQ* p) const { X509_REQ_free(p); }
    void operator()(X509_CRL* p) const { X509_CRL_free(p); }
    void operator()(X509_STORE* p) const { X509_STORE_free(p); }
    void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
    void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
    void operator()(X509_REVOKED* p) const { X509_REVOKED_free(p); }
    void operator()(ASN1_INTEGER* p) const { ASN1_INTEGER_free(p); }
    void operator()(BASIC_CONSTRAINTS* p) const { BASIC_CONSTRAINTS_free(p); }
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(BIO* p) const { BIO_free(p); }
    void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

/// A strict d2i: null if bytes are left over.
template <typename T>
Handle<T> parse(T* (*d2i)(T**, const unsigned char**, long), ByteView der) {
    const unsigned char* p = as_uchars(der);
    Handle<T> out(d2i(nullptr, &p, static_cast<long>(der.size())));
    if (p != as_uchars(der) + der.size()) out.reset();
    return out;
}
inline Handle<X509> certificate(ByteView der) {
    return parse(d2i_X509, der);
}
inline Handle<X509_REQ> request(ByteView der) {
    return parse(d2i_X509_REQ, der);
}
inline Handle<X509_CRL> crl(ByteView der) {
    return parse(d2i_X509_CRL, der);
}

/// i2d of anything that has it.
template <typename T, typename I2d>
Bytes to_der(I2d i2d, T* value) {
    unsigned char* der = nullptr;
    int size = i2d(value, &der);
    if (size < 0) return {};
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

/// What OpenSSL makes of `openssl.cnf` extension text, e.g. (NID_key_usage,
/// "critical,keyCertSign").
inline void add_extension(X509* certificate, int nid, const char* text) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    Handle<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, text));
    if (extension) X509_add_ext(certificate, extension.get(), -1);
}

/// An unsigned version 3 certificate with the usual fields, issued to itself.
inline Handle<X509> blank(const crypto::P256PrivateKey& key, const char* cn) {
    Handle<X509> out(X509_new());
    X509_set_version(out.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 0x0123456789);
    X509_NAME* name = X509_get_subject_name(out.get());
    X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, as_uchars(as_bytes("DE")), -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, as_uchars(as_bytes("Peer")), -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, as_uchars(as_bytes(cn)), -1, -1, 0);
    X509_set_issuer_name(out.get(), name);
    ASN1_TIME_set(X509_getm_notBefore(out.get()), 1767225600);  // 2026-01-01
    ASN1_TIME_set(X509_getm_notAfter(out.get()), 2556144000);   // 2051-01-01
    X509_set_pubkey(out.get(), key.handle());
    return out;
}

inline Bytes sign(X509* certificate, const crypto::P256PrivateKey& key) {
    X509_sign(certificate, key.handle(), EVP_sha256());
    return to_der(i2d_X509, certificate);
}

/// Seconds since 1970 of an ASN1_TIME.
inline UnixTime time(const ASN1_TIME* value) {
    std::tm tm{};
    ASN1_TIME_to_tm(value, &tm);
    CivilTime civil{tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
    return from_civil(civil).value();
}

}  // namespace eos::x509::peer
