// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/signed_data.h"

#include "common/oid/registry.h"
#include "common/x509/certificate.h"

namespace eos::x509 {
namespace {

// Algorithms in use have no parameters, NULL, a curve's OID, or a SEQUENCE that is opaque here.
Result<void> read_parameters(DerReader& in) {
    if (in.next_is(Tag::kOid)) {
        EOS_TRY(in.oid());
        return {};
    }
    if (!in.next_is(Tag::kNull)) {
        EOS_TRY(in.expect(Tag::kSequence));
        return {};
    }
    if (!EOS_TRY(in.any()).value.empty()) return fail(bad_value, "NULL with content");
    return {};
}

// That an SPKI is of an EC key on this curve: another one is named, not called malformed.
Result<void> expect_curve(ByteView spki, const oid::Oid& expected) {
    DerReader outer(spki);
    DerReader fields = EOS_TRY(outer.sequence());
    DerReader algorithm = EOS_TRY(fields.sequence());
    oid::Oid kind = EOS_TRY(algorithm.oid());
    if (kind != oid::kEcPublicKey) return fail(unsupported_algorithm, oid::describe(kind));
    oid::Oid curve = EOS_TRY(algorithm.oid());
    if (curve != expected) return fail(unsupported_algorithm, oid::describe(curve));
    return {};
}

}  // namespace

Result<oid::Oid> read_algorithm(DerReader& in, ByteView& whole) {
    Element element = EOS_TRY(in.expect(Tag::kSequence));
    DerReader fields(element.value);
    oid::Oid out = EOS_TRY(fields.oid());
    if (!fields.at_end()) EOS_TRY(read_parameters(fields));
    EOS_TRY(fields.expect_end());
    whole = element.whole;
    return out;
}

Result<SignedData> parse_signed(ByteView der) {
    DerReader outer(der);
    DerReader fields = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    SignedData out;
    out.tbs = EOS_TRY(fields.expect(Tag::kSequence)).whole;
    out.algorithm_oid = EOS_TRY(read_algorithm(fields, out.algorithm));
    out.signature = EOS_TRY(fields.byte_bit_string());
    EOS_TRY(fields.expect_end());
    return out;
}

Result<ByteView> read_spki(DerReader& in) {
    Element element = EOS_TRY(in.expect(Tag::kSequence));
    DerReader fields(element.value);
    ByteView algorithm;
    EOS_TRY(read_algorithm(fields, algorithm));
    EOS_TRY(fields.byte_bit_string());
    EOS_TRY(fields.expect_end());
    return element.whole;
}

Result<crypto::P256PublicKey> decode_p256(ByteView spki) {
    EOS_TRY(expect_curve(spki, oid::kPrime256v1));
    return crypto::P256PublicKey::from_spki(spki);
}

Result<crypto::P384PublicKey> decode_p384(ByteView spki) {
    EOS_TRY(expect_curve(spki, oid::kSecp384r1));
    return crypto::P384PublicKey::from_spki(spki);
}

Result<void> verify_signed(const SignedData& data, const crypto::P256PublicKey& key) {
    DerWriter expected(16);
    write_ecdsa_with_sha256(expected);
    // The parameters must be absent (RFC 5758 §3.2), so the whole identifier has one form.
    if (!equal(data.algorithm, expected.view()))
        return fail(unsupported_algorithm, oid::describe(data.algorithm_oid));
    if (!key.verify_der(data.tbs, data.signature)) return fail(bad_signature);
    return {};
}

void write_ecdsa_with_sha256(DerWriter& out) {
    out.sequence([&] { out.oid(oid::kEcdsaWithSha256); });
}

ByteView signature_algorithm_of(const crypto::P256PrivateKey&) {
    static const Bytes identifier = [] {
        DerWriter out(16);
        write_ecdsa_with_sha256(out);
        return std::move(out).take();
    }();
    return identifier;
}

Bytes write_signed(ByteView tbs, const crypto::P256PrivateKey& key) {
    constexpr std::size_t kFrameBytes = 112;  // both headers, the algorithm, the signature
    Bytes signature = key.sign_der(tbs);
    DerWriter out(tbs.size() + kFrameBytes);
    out.sequence([&] {
        out.raw(tbs);
        write_ecdsa_with_sha256(out);
        out.byte_bit_string(signature);
    });
    return std::move(out).take();
}

}  // namespace eos::x509
