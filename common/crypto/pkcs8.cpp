// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/pkcs8.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/base/assert.h"

namespace eos::crypto {
namespace {

struct Free {
    void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
    void operator()(PKCS8_PRIV_KEY_INFO* p) const { PKCS8_PRIV_KEY_INFO_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

}  // namespace

Result<PkeyHandle> pkey_from_pkcs8(ByteView der, int key_type) {
    const unsigned char* p = as_uchars(der);
    Handle<PKCS8_PRIV_KEY_INFO> info(
        d2i_PKCS8_PRIV_KEY_INFO(nullptr, &p, static_cast<long>(der.size())));
    if (!info || p != as_uchars(der) + der.size()) return fail(bad_key, "not PKCS #8 DER");
    PkeyHandle key(EVP_PKCS82PKEY(info.get()));
    if (!key || EVP_PKEY_get_base_id(key.get()) != key_type)
        return fail(bad_key, "a key of another algorithm");
    Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.get(), nullptr));
    if (!context || EVP_PKEY_check(context.get()) != 1)
        return fail(bad_key, "the key is inconsistent");
    return key;
}

SecretBytes pkey_to_pkcs8(const PkeyHandle& key) {
    Handle<PKCS8_PRIV_KEY_INFO> info(EVP_PKEY2PKCS8(key.get()));
    EOS_ASSERT(info != nullptr);
    unsigned char* der = nullptr;
    int size = i2d_PKCS8_PRIV_KEY_INFO(info.get(), &der);
    EOS_ASSERT(size > 0);
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_clear_free(der, static_cast<std::size_t>(size));
    return SecretBytes(std::move(out));
}

}  // namespace eos::crypto
