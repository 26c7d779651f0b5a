// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::crypto {
namespace {

// Constants. What EVP_sha256() gives is looked up by name at every use, which costs as much as
// hashing 400 bytes.
const EVP_MD* md(HashKind kind) {
    static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
    static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA2-384", nullptr);
    return kind == HashKind::kSha256 ? sha256 : sha384;
}

void hmac(const EVP_MD* kind, ByteView key, ByteView data, MutableByteView out) {
    // OpenSSL treats a null key as "keep the previous one": an empty key needs a real pointer.
    static constexpr unsigned char kEmpty = 0;
    const void* key_data = key.empty() ? &kEmpty : static_cast<const void*>(key.data());
    unsigned size = 0;
    EOS_ASSERT(HMAC(kind, key_data, static_cast<int>(key.size()), as_uchars(data), data.size(),
                    as_writable_uchars(out), &size) != nullptr);
    EOS_ASSERT(size == out.size());
}

}  // namespace

Digest32 sha256(std::initializer_list<ByteView> parts) {
    Sha256 hash;
    for (ByteView part : parts) hash.update(part);
    return hash.finish();
}

Digest64 sha512(std::initializer_list<ByteView> parts) {
    Digest64 out;
    Bytes all = concat(parts);
    SHA512(as_uchars(all), all.size(), as_writable_uchars(out));
    return out;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
    EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    EOS_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), md(HashKind::kSha256), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) {
    EOS_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest32 Sha256::finish() {
    Digest32 out;
    EOS_ASSERT(EVP_DigestFinal_ex(context_.get(), as_writable_uchars(out), nullptr) == 1);
    // No type: the context keeps its algorithm. Naming it again would fetch it again, which costs
    // more than hashing a tree node.
    EOS_ASSERT(EVP_DigestInit_ex(context_.get(), nullptr, nullptr) == 1);
    return out;
}

std::size_t hash_size_bytes(HashKind kind) {
    return kind == HashKind::kSha256 ? 32 : 48;
}

Bytes hash(HashKind kind, ByteView bytes) {
    Bytes out(hash_size_bytes(kind));
    EOS_ASSERT(EVP_Digest(bytes.data(), bytes.size(), as_writable_uchars(out), nullptr, md(kind),
                          nullptr) == 1);
    return out;
}

Digest32 hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    Digest32 out;
    Bytes all = concat(parts);
    hmac(md(HashKind::kSha256), key, all, out);
    secure_wipe(all);
    return out;
}

Secret<ByteArray<32>> hkdf_sha256(ByteView key_material, ByteView salt, ByteView info) {
    Secret<Digest32> pseudo_random_key(hmac_sha256(salt, {key_material}));
    static constexpr ByteArray<1> kFirstBlock{std::byte{1}};
    return Secret<ByteArray<32>>(hmac_sha256(pseudo_random_key.view(), {info, kFirstBlock}));
}

Bytes hkdf_expand_label(HashKind kind, ByteView secret, std::string_view label, ByteView context,
                        std::size_t size_bytes) {
    EOS_ASSERT(size_bytes <= hash_size_bytes(kind) && context.size() <= 255 && label.size() <= 249);
    Writer info;
    info.u16be(static_cast<std::uint16_t>(size_bytes));
    info.u8(static_cast<std::uint8_t>(6 + label.size())).text("tls13 ").text(label);
    info.u8(static_cast<std::uint8_t>(context.size())).bytes(context);
    info.u8(1);
    Bytes out(hash_size_bytes(kind));
    hmac(md(kind), secret, info.view(), out);
    out.resize(size_bytes);
    return out;
}

bool equal_constant_time(ByteView a, ByteView b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace eos::crypto
