// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/base/assert.h"
#include "common/base/encoding.h"
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

// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING 04 ‖ x ‖ y }. RFC 5480 §2.
constexpr ByteArray<27> kSpkiPrefix = [] {
    constexpr unsigned char prefix[27] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    ByteArray<27> out{};
    for (std::size_t i = 0; i < 27; ++i) out[i] = std::byte{prefix[i]};
    return out;
}();

// The EVP form of an SPKI of exactly our shape; null if the point is not on the curve. Made from
// the point and not by d2i_PUBKEY, whose search for a decoder costs more than a verification. P-256
// has cofactor 1, so a point on the curve is a valid key (SP 800-56A §5.6.2.3).
PkeyHandle decode_spki(ByteView spki) {
    ByteArray<65> point = to_array<65>(spki.last(65));
    char group[] = "P-256";
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

}  // namespace

void PkeyFree::operator()(evp_pkey_st* key) const {
    EVP_PKEY_free(key);
}

Result<P256PublicKey> P256PublicKey::from_spki(ByteView der) {
    if (der.size() != kP256SpkiBytes || !equal(der.first(kSpkiPrefix.size()), kSpkiPrefix)) {
        return fail(bad_key,
                    "expected a 91-byte SubjectPublicKeyInfo of an uncompressed P-256 point");
    }
    if (!decode_spki(der)) return fail(bad_key, "the point is not on the curve");
    return P256PublicKey(to_array<kP256SpkiBytes>(der));
}

Result<P256PublicKey> P256PublicKey::from_point(ByteView xy) {
    if (xy.size() != 64) return fail(bad_key, "expected x and y, 64 bytes");
    return from_spki(concat({kSpkiPrefix, xy}));
}

Result<void> P256PublicKey::verify_der(ByteView message, ByteView signature) const {
    PkeyHandle key = decode_spki(spki_);
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EOS_ASSERT(key && context &&
               EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1);
    // One strict encoding only: what OpenSSL would also take as BER is refused here.
    EOS_TRY(der_signature_to_raw(signature));
    if (EVP_DigestVerify(context.get(), as_uchars(signature), signature.size(), as_uchars(message),
                         message.size()) != 1) {
        return fail(bad_signature);
    }
    return {};
}

Result<void> P256PublicKey::verify_raw(ByteView message, ByteView signature) const {
    if (signature.size() != kP256RawSignatureBytes)
        return fail(bad_signature, "expected r and s, 64 bytes");
    return verify_der(message, raw_signature_to_der(signature));
}

P256PrivateKey P256PrivateKey::generate() {
    PkeyHandle key(EVP_EC_gen("P-256"));
    EOS_ASSERT(key != nullptr);
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key.get(), &der);
    EOS_ASSERT(size == static_cast<int>(kP256SpkiBytes));
    Result<P256PublicKey> spki =
        P256PublicKey::from_spki(std::as_bytes(std::span(der, kP256SpkiBytes)));
    OPENSSL_free(der);
    EOS_ASSERT(spki.has_value());
    return {std::move(key), *spki};
}

Result<P256PrivateKey> P256PrivateKey::from_pkcs8(ByteView der) {
    PkeyHandle key = EOS_TRY(pkey_from_pkcs8(der, EVP_PKEY_EC));
    unsigned char* spki_der = nullptr;
    int size = i2d_PUBKEY(key.get(), &spki_der);
    if (size <= 0) return fail(bad_key, "no public key");
    Bytes spki_bytes = to_bytes(std::as_bytes(std::span(spki_der, static_cast<std::size_t>(size))));
    OPENSSL_free(spki_der);
    P256PublicKey public_key = EOS_TRY(P256PublicKey::from_spki(spki_bytes));
    return P256PrivateKey(std::move(key), public_key);
}

SecretBytes P256PrivateKey::to_pkcs8() const {
    return pkey_to_pkcs8(key_);
}

Bytes P256PrivateKey::sign_der(ByteView message) const {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    Bytes out(80);
    std::size_t size = out.size();
    EOS_ASSERT(context &&
               EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
    EOS_ASSERT(EVP_DigestSign(context.get(), as_writable_uchars(out), &size, as_uchars(message),
                              message.size()) == 1);
    out.resize(size);
    return out;
}

ByteArray<kP256RawSignatureBytes> P256PrivateKey::sign_raw(ByteView message) const {
    Result<ByteArray<kP256RawSignatureBytes>> raw = der_signature_to_raw(sign_der(message));
    EOS_ASSERT(raw.has_value());
    return *raw;
}

Bytes raw_signature_to_der(ByteView raw) {
    EOS_ASSERT(raw.size() == kP256RawSignatureBytes);
    Handle<ECDSA_SIG> signature(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(as_uchars(raw.first(32)), 32, nullptr);
    BIGNUM* s = BN_bin2bn(as_uchars(raw.last(32)), 32, nullptr);
    EOS_ASSERT(signature && r && s && ECDSA_SIG_set0(signature.get(), r, s) == 1);
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(signature.get(), &der);
    EOS_ASSERT(size > 0);
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

Result<ByteArray<kP256RawSignatureBytes>> der_signature_to_raw(ByteView der) {
    const unsigned char* p = as_uchars(der);
    Handle<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size())));
    if (!signature) return fail(bad_signature, "not a DER Ecdsa-Sig-Value");
    ByteArray<kP256RawSignatureBytes> out;
    unsigned char* bytes = as_writable_uchars(out);
    if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), bytes, 32) != 32 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), bytes + 32, 32) != 32 ||
        BN_is_negative(ECDSA_SIG_get0_r(signature.get())) ||
        BN_is_negative(ECDSA_SIG_get0_s(signature.get()))) {
        return fail(bad_signature, "r or s is out of range");
    }
    if (!equal(raw_signature_to_der(out), der)) return fail(bad_signature, "not strict DER");
    return out;
}

}  // namespace eos::crypto
