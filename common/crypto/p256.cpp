// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/p256.h"

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "common/base/assert.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/pkcs8.h"

namespace eos::crypto {
namespace {

// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING 04 ‖ x ‖ y }. RFC 5480 §2.
constexpr ByteArray<27> kSpkiPrefix = [] {
    constexpr unsigned char prefix[27] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                          0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    ByteArray<27> out{};
    for (std::size_t i = 0; i < 27; ++i) out[i] = std::byte{prefix[i]};
    return out;
}();

constexpr std::size_t kPointBytes = 1 + 64;

}  // namespace

void PkeyFree::operator()(evp_pkey_st* key) const {
    EVP_PKEY_free(key);
}

Result<P256PublicKey> P256PublicKey::from_spki(ByteView der) {
    if (der.size() != kP256SpkiBytes || !equal(der.first(kSpkiPrefix.size()), kSpkiPrefix)) {
        return fail(bad_key,
                    "expected a 91-byte SubjectPublicKeyInfo of an uncompressed P-256 point");
    }
    PkeyHandle key = ecdsa::public_key(ecdsa::Group::p256, der.last(kPointBytes));
    if (!key) return fail(bad_key, "the point is not on the curve");
    return P256PublicKey(to_array<kP256SpkiBytes>(der), std::move(key));
}

Result<P256PublicKey> P256PublicKey::from_point(ByteView xy) {
    if (xy.size() != 64) return fail(bad_key, "expected x and y, 64 bytes");
    return from_spki(concat({kSpkiPrefix, xy}));
}

Result<void> P256PublicKey::verify_der(ByteView message, ByteView signature) const {
    // One strict encoding only: what OpenSSL would also take as BER is refused here.
    return verify_raw(message, EOS_TRY(der_signature_to_raw(signature)));
}

Result<void> P256PublicKey::verify_raw(ByteView message, ByteView signature) const {
    if (signature.size() != kP256RawSignatureBytes)
        return fail(bad_signature, "expected r and s, 64 bytes");
    return ecdsa::verify(key_.get(), sha256(message), signature);
}

P256PrivateKey P256PrivateKey::generate() {
    PkeyHandle key(EVP_EC_gen("P-256"));
    EOS_ASSERT(key != nullptr);
    Result<P256PublicKey> public_key = P256PublicKey::from_spki(ecdsa::spki_of(key));
    EOS_ASSERT(public_key.has_value());
    return {std::move(key), *public_key};
}

Result<P256PrivateKey> P256PrivateKey::from_pkcs8(ByteView der) {
    PkeyHandle key = EOS_TRY(pkey_from_pkcs8(der, EVP_PKEY_EC));
    P256PublicKey public_key = EOS_TRY(P256PublicKey::from_spki(ecdsa::spki_of(key)));
    return P256PrivateKey(std::move(key), public_key);
}

SecretBytes P256PrivateKey::to_pkcs8() const {
    return pkey_to_pkcs8(key_);
}

Bytes P256PrivateKey::sign_der(ByteView message) const {
    return ecdsa::sign_der(key_, EVP_sha256(), message);
}

ByteArray<kP256RawSignatureBytes> P256PrivateKey::sign_raw(ByteView message) const {
    Result<ByteArray<kP256RawSignatureBytes>> raw = der_signature_to_raw(sign_der(message));
    EOS_ASSERT(raw.has_value());
    return *raw;
}

Bytes raw_signature_to_der(ByteView raw) {
    EOS_ASSERT(raw.size() == kP256RawSignatureBytes);
    return ecdsa::to_der(raw);
}

Result<ByteArray<kP256RawSignatureBytes>> der_signature_to_raw(ByteView der) {
    ByteArray<kP256RawSignatureBytes> out{};
    EOS_TRY(ecdsa::to_raw(der, out));
    return out;
}

}  // namespace eos::crypto
