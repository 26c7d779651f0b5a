// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/p384.h"

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "common/base/assert.h"
#include "common/crypto/ecdsa.h"
#include "common/crypto/pkcs8.h"

namespace eos::crypto {
namespace {

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

}  // namespace

Result<P384PublicKey> P384PublicKey::from_spki(ByteView der) {
    if (der.size() != kP384SpkiBytes || !equal(der.first(kSpkiPrefix.size()), kSpkiPrefix)) {
        return fail(bad_key,
                    "expected a 120-byte SubjectPublicKeyInfo of an uncompressed P-384 point");
    }
    PkeyHandle key = ecdsa::public_key(ecdsa::Group::p384, der.last(1 + 2 * kNumberBytes));
    if (!key) return fail(bad_key, "the point is not on the curve");
    return P384PublicKey(to_array<kP384SpkiBytes>(der), std::move(key));
}

Result<P384PublicKey> P384PublicKey::from_point(ByteView xy) {
    if (xy.size() != 2 * kNumberBytes) return fail(bad_key, "expected x and y, 96 bytes");
    return from_spki(concat({kSpkiPrefix, xy}));
}

Result<void> P384PublicKey::verify_raw(ByteView message, ByteView signature) const {
    if (signature.size() != kP384RawSignatureBytes)
        return fail(bad_signature, "expected r and s, 96 bytes");
    return ecdsa::verify(key_.get(), hash(HashKind::kSha384, message), signature);
}

Result<void> P384PublicKey::verify_der(HashKind kind, ByteView message, ByteView signature) const {
    ByteArray<kP384RawSignatureBytes> raw{};
    EOS_TRY(ecdsa::to_raw(signature, raw));
    return ecdsa::verify(key_.get(), hash(kind, message), raw);
}

P384PrivateKey P384PrivateKey::generate() {
    PkeyHandle key(EVP_EC_gen("P-384"));
    EOS_ASSERT(key != nullptr);
    Result<P384PublicKey> public_key = P384PublicKey::from_spki(ecdsa::spki_of(key));
    EOS_ASSERT(public_key.has_value());
    return {std::move(key), *public_key};
}

Result<P384PrivateKey> P384PrivateKey::from_pkcs8(ByteView der) {
    PkeyHandle key = EOS_TRY(pkey_from_pkcs8(der, EVP_PKEY_EC));
    P384PublicKey public_key = EOS_TRY(P384PublicKey::from_spki(ecdsa::spki_of(key)));
    return P384PrivateKey(std::move(key), public_key);
}

SecretBytes P384PrivateKey::to_pkcs8() const {
    return pkey_to_pkcs8(key_);
}

ByteArray<kP384RawSignatureBytes> P384PrivateKey::sign_raw(ByteView message) const {
    ByteArray<kP384RawSignatureBytes> out{};
    EOS_ASSERT(ecdsa::to_raw(ecdsa::sign_der(key_, EVP_sha384(), message), out).has_value());
    return out;
}

}  // namespace eos::crypto
