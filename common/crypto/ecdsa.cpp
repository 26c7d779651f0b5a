// SPDX-License-Identifier: AGPL-3.0-only
// Verifies with EC_KEY and ECDSA_do_verify(), which libcrypto 3 deprecates and runs beneath EVP
// itself: finding algorithms by name makes a key 2 to 4 µs dearer and a verification 2 µs, of 45.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/crypto/ecdsa.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/base/assert.h"

namespace eos::crypto::ecdsa {
namespace {

struct Free {
    void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
    void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
    void operator()(EC_KEY* p) const { EC_KEY_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

// What an i2d function allocated, copied and freed.
Bytes taken(unsigned char* der, int size) {
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

// Constants: making one takes libcrypto longer than half a verification, copying it next to
// nothing.
const EC_GROUP* curve(Group group) {
    static const EC_GROUP* const p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    static const EC_GROUP* const p384 = EC_GROUP_new_by_curve_name(NID_secp384r1);
    return group == Group::p256 ? p256 : p384;
}

Handle<ECDSA_SIG> to_signature(ByteView raw) {
    const std::size_t width = raw.size() / 2;
    Handle<ECDSA_SIG> out(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(as_uchars(raw.first(width)), static_cast<int>(width), nullptr);
    BIGNUM* s = BN_bin2bn(as_uchars(raw.last(width)), static_cast<int>(width), nullptr);
    EOS_ASSERT(out && r && s && ECDSA_SIG_set0(out.get(), r, s) == 1);
    return out;
}

}  // namespace

PkeyHandle public_key(Group group, ByteView point) {
    Handle<EC_KEY> key(EC_KEY_new());
    EOS_ASSERT(key != nullptr && EC_KEY_set_group(key.get(), curve(group)) == 1);
    // Looks whether the point is on the curve.
    if (EC_KEY_oct2key(key.get(), as_uchars(point), point.size(), nullptr) != 1) return nullptr;
    PkeyHandle out(EVP_PKEY_new());
    EOS_ASSERT(out != nullptr && EVP_PKEY_assign_EC_KEY(out.get(), key.get()) == 1);
    key.release();  // NOLINT(bugprone-unused-return-value): it is `out`'s now
    return out;
}

Bytes spki_of(const PkeyHandle& key) {
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key.get(), &der);
    return size <= 0 ? Bytes{} : taken(der, size);
}

Result<void> verify(EVP_PKEY* key, ByteView digest, ByteView raw) {
    const Handle<EC_KEY> point(EVP_PKEY_get1_EC_KEY(key));
    EOS_ASSERT(point != nullptr);
    const Handle<ECDSA_SIG> signature = to_signature(raw);
    const int outcome = ECDSA_do_verify(as_uchars(digest), static_cast<int>(digest.size()),
                                        signature.get(), point.get());
    if (outcome != 1) return fail(bad_signature);  // 0: wrong; less: it could not be tried
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
    const Handle<ECDSA_SIG> signature = to_signature(raw);
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
