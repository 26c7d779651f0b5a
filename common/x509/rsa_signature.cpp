// SPDX-License-Identifier: AGPL-3.0-only
// RSA in certificates and lists: the keys, and the one signature scheme that AMD uses with them.
#include "common/oid/registry.h"
#include "common/x509/certificate.h"
#include "common/x509/signed_data.h"

namespace eos::x509 {
namespace {

// The field trailerField has one value, 1, which is its default. DER would leave it out; some of
// AMD's certificates have it.
enum class Trailer : std::uint8_t { kLeftOut, kWritten };

// RFC 4055 §3.1: SHA-384, MGF1 with SHA-384, a salt of 48 bytes, every parameter written out.
Bytes pss_sha384_identifier(Trailer trailer) {
    constexpr std::uint64_t kSaltBytes = 48;
    DerWriter out(80);
    auto sha384 = [&] { out.sequence([&] { out.oid(oid::kSha384).null(); }); };
    auto mgf1 = [&] {
        out.sequence([&] {
            out.oid(oid::kMgf1);
            sha384();
        });
    };
    out.sequence([&] {
        out.oid(oid::kRsaPss);
        out.sequence([&] {
            out.constructed(context_constructed(0), sha384);
            out.constructed(context_constructed(1), mgf1);
            out.constructed(context_constructed(2), [&] { out.integer(kSaltBytes); });
            if (trailer == Trailer::kWritten)
                out.constructed(context_constructed(3), [&] { out.integer(1); });
        });
    });
    return std::move(out).take();
}

const Bytes& usual_identifier() {
    static const Bytes identifier = pss_sha384_identifier(Trailer::kLeftOut);
    return identifier;
}

bool is_pss_sha384(ByteView identifier) {
    static const Bytes with_trailer = pss_sha384_identifier(Trailer::kWritten);
    return equal(identifier, usual_identifier()) || equal(identifier, with_trailer);
}

}  // namespace

Result<crypto::RsaPublicKey> decode_rsa_spki(ByteView spki) {
    DerReader outer(spki);
    DerReader fields = EOS_TRY(outer.sequence());
    DerReader algorithm = EOS_TRY(fields.sequence());
    oid::Oid kind = EOS_TRY(algorithm.oid());
    if (kind != oid::kRsaEncryption) return fail(unsupported_algorithm, oid::describe(kind));
    EOS_TRY(algorithm.expect(Tag::kNull));
    EOS_TRY(algorithm.expect_end());
    DerReader content(EOS_TRY(fields.byte_bit_string()));
    EOS_TRY(fields.expect_end());
    DerReader numbers = EOS_TRY(content.sequence());
    EOS_TRY(content.expect_end());
    ByteView modulus = EOS_TRY(numbers.unsigned_integer());
    std::uint64_t exponent = EOS_TRY(numbers.u64());
    EOS_TRY(numbers.expect_end());
    return crypto::RsaPublicKey::from_numbers(modulus, exponent);
}

Bytes encode_rsa_spki(const crypto::RsaPublicKey& key) {
    DerWriter numbers(key.modulus().size() + 16);
    numbers.sequence([&] { numbers.unsigned_integer(key.modulus()).integer(65537); });
    DerWriter out(numbers.size() + 32);
    out.sequence([&] {
        out.sequence([&] { out.oid(oid::kRsaEncryption).null(); });
        out.byte_bit_string(numbers.view());
    });
    return std::move(out).take();
}

Result<void> verify_signed(const SignedData& data, const crypto::RsaPublicKey& key) {
    if (!is_pss_sha384(data.algorithm)) {
        return fail(unsupported_algorithm,
                    oid::describe(data.algorithm_oid) +
                        ", expected RSASSA-PSS with SHA-384, MGF1 and a salt of 48 bytes");
    }
    if (!key.verify_pss_sha384(data.tbs, data.signature)) return fail(bad_signature);
    return {};
}

ByteView signature_algorithm_of(const crypto::RsaPrivateKey&) {
    return usual_identifier();
}

Bytes write_signed(ByteView tbs, const crypto::RsaPrivateKey& key) {
    Bytes signature = key.sign_pss_sha384(tbs);
    DerWriter out(tbs.size() + signature.size() + 96);
    out.sequence([&] {
        out.raw(tbs);
        out.raw(signature_algorithm_of(key));
        out.byte_bit_string(signature);
    });
    return std::move(out).take();
}

}  // namespace eos::x509
