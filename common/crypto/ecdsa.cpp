// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/ecdsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>

#include "common/base/assert.h"

namespace eos::crypto::ecdsa {
namespace {

struct Free {
    void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
    void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
    void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

// What an i2d function allocated, copied and freed.
Bytes taken(unsigned char* der, int size) {
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

EVP_PKEY* make_parameters(const char* group) {
    std::string name = group;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), 0),
        OSSL_PARAM_construct_end()};
    Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    EOS_ASSERT(context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
               EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEY_PARAMETERS, parameters) == 1);
    return key;
}

// A constant: the curve without a key. Making it takes libcrypto longer than half a verification,
// copying it next to nothing.
EVP_PKEY* parameters_of(Group group) {
    static EVP_PKEY* const p256 = make_parameters("P-256");
    static EVP_PKEY* const p384 = make_parameters("P-384");
    return group == Group::p256 ? p256 : p384;
}

}  // namespace

PkeyHandle public_key(Group group, ByteView point) {
    PkeyHandle key(EVP_PKEY_dup(parameters_of(group)));
    EOS_ASSERT(key != nullptr);
    if (EVP_PKEY_set1_encoded_public_key(key.get(), as_uchars(point), point.size()) != 1) {
        return nullptr;
    }
    return key;
}

Bytes spki_of(const PkeyHandle& key) {
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key.get(), &der);
    return size <= 0 ? Bytes{} : taken(der, size);
}

Result<void> verify_der(EVP_PKEY* key, const EVP_MD* hash, ByteView message, ByteView signature) {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EOS_ASSERT(key && context &&
               EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key) == 1);
    if (EVP_DigestVerify(context.get(), as_uchars(signature), signature.size(), as_uchars(message),
                         message.size()) != 1) {
        return fail(bad_signature);
    }
    return {};
}

Bytes sign_der(const PkeyHandle& key, const EVP_MD* hash, ByteView message) {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EOS_ASSERT(key && context &&
               EVP_DigestSignInit(context.get(), nullptr, hash, nullptr, key.get()) == 1);
    Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
    std::size_t size = out.size();
    EOS_ASSERT(EVP_DigestSign(context.get(), as_writable_uchars(out), &size, as_uchars(message),
                              message.size()) == 1);
    out.resize(size);
    return out;
}

Bytes to_der(ByteView raw) {
    const std::size_t width = raw.size() / 2;
    Handle<ECDSA_SIG> signature(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(as_uchars(raw.first(width)), static_cast<int>(width), nullptr);
    BIGNUM* s = BN_bin2bn(as_uchars(raw.last(width)), static_cast<int>(width), nullptr);
    EOS_ASSERT(signature && r && s && ECDSA_SIG_set0(signature.get(), r, s) == 1);
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(signature.get(), &der);
    EOS_ASSERT(size > 0);
    return taken(der, size);
}

Result<void> to_raw(ByteView der, MutableByteView raw) {
    const unsigned char* p = as_uchars(der);
    Handle<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size())));
    if (!signature) return fail(bad_signature, "not a DER Ecdsa-Sig-Value");
    const BIGNUM* r = ECDSA_SIG_get0_r(signature.get());
    const BIGNUM* s = ECDSA_SIG_get0_s(signature.get());
    const auto width = static_cast<int>(raw.size() / 2);
    unsigned char* bytes = as_writable_uchars(raw);
    if (BN_bn2binpad(r, bytes, width) != width || BN_bn2binpad(s, bytes + width, width) != width ||
        BN_is_negative(r) || BN_is_negative(s)) {
        return fail(bad_signature, "r or s is out of range");
    }
    if (!equal(to_der(raw), der)) return fail(bad_signature, "not strict DER");
    return {};
}

}  // namespace eos::crypto::ecdsa
