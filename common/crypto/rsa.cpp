// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <bit>

#include "common/base/assert.h"
#include "common/crypto/pkcs8.h"

namespace eos::crypto {
namespace {

struct Free {
    void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
    void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
    void operator()(BIGNUM* p) const { BN_free(p); }
    void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
    void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

constexpr std::uint64_t kExponent = 65537;
constexpr int kPssSaltBytes = 48;

enum class Padding { pss_sha384, pkcs1_sha256 };

const EVP_MD* digest_of(Padding padding) {
    return padding == Padding::pss_sha384 ? EVP_sha384() : EVP_sha256();
}

// Sets what a signature of this kind is made of; nothing is left to a default.
bool set_padding(EVP_PKEY_CTX* context, Padding padding) {
    if (padding == Padding::pkcs1_sha256)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha384()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kPssSaltBytes) == 1;
}

struct Signed {
    ByteView message;
    ByteView signature;
};

Result<void> verify(EVP_PKEY* key, const Signed& data, Padding padding) {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* details = nullptr;  // owned by `context`
    EOS_ASSERT(context && EVP_DigestVerifyInit(context.get(), &details, digest_of(padding), nullptr,
                                               key) == 1);
    EOS_ASSERT(set_padding(details, padding));
    if (EVP_DigestVerify(context.get(), as_uchars(data.signature), data.signature.size(),
                         as_uchars(data.message), data.message.size()) != 1) {
        return fail(bad_signature);
    }
    return {};
}

Bytes sign(EVP_PKEY* key, ByteView message, Padding padding) {
    Handle<EVP_MD_CTX> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* details = nullptr;
    EOS_ASSERT(context &&
               EVP_DigestSignInit(context.get(), &details, digest_of(padding), nullptr, key) == 1);
    EOS_ASSERT(set_padding(details, padding));
    Bytes out(kMaxRsaBits / 8);
    std::size_t size = out.size();
    EOS_ASSERT(EVP_DigestSign(context.get(), as_writable_uchars(out), &size, as_uchars(message),
                              message.size()) == 1);
    out.resize(size);
    return out;
}

PkeyHandle make_public(ByteView modulus) {
    Handle<BIGNUM> n(BN_bin2bn(as_uchars(modulus), static_cast<int>(modulus.size()), nullptr));
    Handle<BIGNUM> e(BN_new());
    Handle<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
    if (!n || !e || !builder || BN_set_word(e.get(), kExponent) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
        return nullptr;
    }
    Handle<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
    Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
    EVP_PKEY* key = nullptr;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
        return nullptr;
    }
    return PkeyHandle(key);
}

Result<RsaPublicKey> public_key_of(const PkeyHandle& key) {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_N, &number) != 1)
        return fail(bad_key, "no modulus");
    Handle<BIGNUM> n(number);
    number = nullptr;
    if (EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_E, &number) != 1)
        return fail(bad_key, "no exponent");
    Handle<BIGNUM> e(number);
    Bytes modulus(static_cast<std::size_t>(BN_num_bytes(n.get())));
    BN_bn2bin(n.get(), as_writable_uchars(modulus));
    return RsaPublicKey::from_numbers(modulus, BN_get_word(e.get()));
}

}  // namespace

Result<RsaPublicKey> RsaPublicKey::from_numbers(ByteView modulus, std::uint64_t exponent) {
    if (exponent != kExponent) {
        return fail(bad_key, "RSA exponent " + std::to_string(exponent) + ", expected 65537");
    }
    // Bounded before any arithmetic; a multiple of eight bits, as all keys in use are.
    if (modulus.size() < kMinRsaBits / 8 || modulus.size() > kMaxRsaBits / 8 ||
        std::bit_width(std::to_integer<unsigned>(modulus.front())) != 8) {
        return fail(bad_key, "an RSA modulus of other than 2048 to 4096 bits");
    }
    if ((modulus.back() & std::byte{1}) == std::byte{0}) return fail(bad_key, "an even modulus");
    PkeyHandle key = make_public(modulus);
    if (!key) return fail(bad_key, "not an RSA key");
    return RsaPublicKey(to_bytes(modulus), std::shared_ptr<evp_pkey_st>(key.release(), PkeyFree()));
}

Result<void> RsaPublicKey::verify_pss_sha384(ByteView message, ByteView signature) const {
    return verify(key_.get(), {message, signature}, Padding::pss_sha384);
}

Result<void> RsaPublicKey::verify_pkcs1_sha256(ByteView message, ByteView signature) const {
    return verify(key_.get(), {message, signature}, Padding::pkcs1_sha256);
}

RsaPrivateKey RsaPrivateKey::generate(std::size_t bits) {
    EOS_ASSERT(bits >= kMinRsaBits && bits <= kMaxRsaBits && bits % 8 == 0);
    PkeyHandle key(EVP_RSA_gen(static_cast<unsigned>(bits)));
    EOS_ASSERT(key != nullptr);
    Result<RsaPublicKey> public_key = public_key_of(key);
    EOS_ASSERT(public_key.has_value());
    return {std::move(key), *public_key};
}

Result<RsaPrivateKey> RsaPrivateKey::from_pkcs8(ByteView der) {
    PkeyHandle key = EOS_TRY(pkey_from_pkcs8(der, EVP_PKEY_RSA));
    RsaPublicKey public_key = EOS_TRY(public_key_of(key));
    return RsaPrivateKey(std::move(key), std::move(public_key));
}

SecretBytes RsaPrivateKey::to_pkcs8() const {
    return pkey_to_pkcs8(key_);
}

Bytes RsaPrivateKey::sign_pss_sha384(ByteView message) const {
    return sign(key_.get(), message, Padding::pss_sha384);
}

Bytes RsaPrivateKey::sign_pkcs1_sha256(ByteView message) const {
    return sign(key_.get(), message, Padding::pkcs1_sha256);
}

}  // namespace eos::crypto
