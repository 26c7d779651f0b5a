// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/p384.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/base/assert.h"
#include "common/crypto/pkcs8.h"

namespace eos::crypto {
namespace {

struct Free {
    void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
    void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
    void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

constexpr std::size_t kNumberBytes = 48;

// SEQUENCE { SEQUENCE { id-ecPublicKey, secp384r1 }, BIT STRING 04 ‖ x ‖ y }. RFC 5480 §2.
constexpr ByteArray<24> kSpkiPrefix = [] {
    constexpr unsigned char prefix[24] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                          0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                          0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};
    ByteArray<24> out{};
    for (std::size_t i = 0; i < 24; ++i) out[i] = std::byte{prefix[i]};
    return out;
}();

// As for P-256: made from the point, null if it is not on the curve; the cofactor is 1 here too.
PkeyHandle decode_spki(ByteView spki) {
    ByteArray<97> point = to_array<97>(spki.last(97));
    char group[] = "P-384";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
        OSSL_PARAM_construct_end()};
    Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        return nullptr;
    }
    return PkeyHandle(key);
}

Bytes to_der(ByteView raw) {
    Handle<ECDSA_SIG> signature(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(as_uchars(raw.first(kNumberBytes)), kNumberBytes, nullptr);
    BIGNUM* s = BN_bin2bn(as_uchars(raw.last(kNumberBytes)), kNumberBytes, nullptr);
    EOS_ASSERT(signature && r && s && ECDSA_SIG_set0(signature.get(), r, s) == 1);
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(signature.get(), &der);
    EOS_ASSERT(size > 0);
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

Result<P384PublicKey> public_key_of(const PkeyHandle& key) {
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key.get(), &der);
    if (size <= 0) return fail(bad_key, "no public key");
    Bytes spki = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return P384PublicKey::from_spki(spki);
}

}  // namespace

Result<P384PublicKey> P384PublicKey::from_spki(ByteView der) {
    if (der.size() != kP384SpkiBytes || !equal(der.first(kSpkiPrefix.size()), kSpkiPrefix)) {
        return fail(bad_key,
                    "expected a 120-byte SubjectPublicKeyInfo of an uncompressed P-384 point");
    }
    if (!decode_spki(der)) return fail(bad_key, "the point is not on the curve");
    return P384PublicKey(to_array<kP384SpkiBytes>(der));
}

Result<P384PublicKey> P384PublicKey::from_point(ByteView xy) {
    if (xy.size() != 2 * kNumberBytes) return fail(bad_key, "expected x and y, 96 bytes");
    return from_spki(concat({kSpkiPrefix, xy}));
}

Result<void> P384PublicKey::verify_raw(ByteView message, ByteView signature) const {
    if (signature.size() != kP384RawSignatureBytes)
        return fail(bad_signature, "expected r and s, 96 bytes");
    PkeyHandle key = decode_spki(spki_);
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EOS_ASSERT(key && context &&
               EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha384(), nullptr, key.get()) == 1);
    Bytes der = to_der(signature);
    if (EVP_DigestVerify(context.get(), as_uchars(der), der.size(), as_uchars(message),
                         message.size()) != 1) {
        return fail(bad_signature);
    }
    return {};
}

P384PrivateKey P384PrivateKey::generate() {
    PkeyHandle key(EVP_EC_gen("P-384"));
    EOS_ASSERT(key != nullptr);
    Result<P384PublicKey> public_key = public_key_of(key);
    EOS_ASSERT(public_key.has_value());
    return {std::move(key), *public_key};
}

Result<P384PrivateKey> P384PrivateKey::from_pkcs8(ByteView der) {
    PkeyHandle key = EOS_TRY(pkey_from_pkcs8(der, EVP_PKEY_EC));
    P384PublicKey public_key = EOS_TRY(public_key_of(key));
    return P384PrivateKey(std::move(key), public_key);
}

SecretBytes P384PrivateKey::to_pkcs8() const {
    return pkey_to_pkcs8(key_);
}

ByteArray<kP384RawSignatureBytes> P384PrivateKey::sign_raw(ByteView message) const {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    ByteArray<128> der{};
    std::size_t size = der.size();
    EOS_ASSERT(context &&
               EVP_DigestSignInit(context.get(), nullptr, EVP_sha384(), nullptr, key_.get()) == 1);
    EOS_ASSERT(EVP_DigestSign(context.get(), as_writable_uchars(der), &size, as_uchars(message),
                              message.size()) == 1);
    const unsigned char* p = as_uchars(der);
    Handle<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(size)));
    EOS_ASSERT(signature != nullptr);
    ByteArray<kP384RawSignatureBytes> out{};
    unsigned char* bytes = as_writable_uchars(out);
    EOS_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), bytes, kNumberBytes) ==
               kNumberBytes);
    EOS_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), bytes + kNumberBytes,
                            kNumberBytes) == kNumberBytes);
    return out;
}

}  // namespace eos::crypto
