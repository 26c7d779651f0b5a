// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/cipher.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>

#include "common/base/assert.h"

namespace eos::crypto {
namespace {

struct Free {
    void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
    void operator()(EVP_MAC* p) const { EVP_MAC_free(p); }
    void operator()(EVP_MAC_CTX* p) const { EVP_MAC_CTX_free(p); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Free>;

constexpr std::size_t kMaxInputBytes = 0x7fffffff - kGcmTagBytes;

}  // namespace

Bytes aes256_gcm_seal(ByteView key, const GcmNonce& nonce, ByteView plaintext,
                      ByteView additional) {
    EOS_ASSERT(key.size() == 32 && plaintext.size() <= kMaxInputBytes &&
               additional.size() <= kMaxInputBytes);
    CipherContext context(EVP_CIPHER_CTX_new());
    Bytes out(plaintext.size() + kGcmTagBytes);
    int size = 0;
    EOS_ASSERT(context && EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                             as_uchars(key), as_uchars(nonce)) == 1);
    EOS_ASSERT(EVP_EncryptUpdate(context.get(), nullptr, &size, as_uchars(additional),
                                 static_cast<int>(additional.size())) == 1);
    EOS_ASSERT(EVP_EncryptUpdate(context.get(), as_writable_uchars(out), &size,
                                 as_uchars(plaintext), static_cast<int>(plaintext.size())) == 1);
    EOS_ASSERT(EVP_EncryptFinal_ex(context.get(), as_writable_uchars(out) + size, &size) == 1);
    EOS_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTagBytes,
                                   out.data() + plaintext.size()) == 1);
    return out;
}

Result<Bytes> aes256_gcm_open(ByteView key, const GcmNonce& nonce, ByteView sealed,
                              ByteView additional) {
    EOS_ASSERT(key.size() == 32);
    if (sealed.size() < kGcmTagBytes || sealed.size() > kMaxInputBytes) {
        return fail(decryption_failed, "too short or too long");
    }
    ByteView ciphertext = sealed.first(sealed.size() - kGcmTagBytes);
    ByteArray<kGcmTagBytes> tag = to_array<kGcmTagBytes>(sealed.last(kGcmTagBytes));
    CipherContext context(EVP_CIPHER_CTX_new());
    Bytes out(ciphertext.size());
    int size = 0;
    EOS_ASSERT(context && EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                             as_uchars(key), as_uchars(nonce)) == 1);
    EOS_ASSERT(EVP_DecryptUpdate(context.get(), nullptr, &size, as_uchars(additional),
                                 static_cast<int>(additional.size())) == 1);
    EOS_ASSERT(EVP_DecryptUpdate(context.get(), as_writable_uchars(out), &size,
                                 as_uchars(ciphertext), static_cast<int>(ciphertext.size())) == 1);
    EOS_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kGcmTagBytes, tag.data()) ==
               1);
    if (EVP_DecryptFinal_ex(context.get(), as_writable_uchars(out) + size, &size) != 1) {
        secure_wipe(out);
        return fail(decryption_failed);
    }
    return out;
}

ByteArray<16> aes128_cmac(ByteView key, ByteView message) {
    EOS_ASSERT(key.size() == 16);
    std::unique_ptr<EVP_MAC, Free> mac(EVP_MAC_fetch(nullptr, "CMAC", nullptr));
    std::unique_ptr<EVP_MAC_CTX, Free> context(EVP_MAC_CTX_new(mac.get()));
    char cipher[] = "AES-128-CBC";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                           OSSL_PARAM_construct_end()};
    ByteArray<16> out;
    std::size_t size = 0;
    EOS_ASSERT(context && EVP_MAC_init(context.get(), as_uchars(key), key.size(), params) == 1);
    EOS_ASSERT(EVP_MAC_update(context.get(), as_uchars(message), message.size()) == 1);
    EOS_ASSERT(EVP_MAC_final(context.get(), as_writable_uchars(out), &size, out.size()) == 1 &&
               size == out.size());
    return out;
}

}  // namespace eos::crypto
