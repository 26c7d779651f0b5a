// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/foreign_leaf.h"

#include <algorithm>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/oid/registry.h"
#include "common/ratls/cbor_reader.h"
#include "common/x509/pem.h"

namespace eos::ratls {
namespace {

using attestation::verify::Check;
using attestation::verify::Subject;
using x509::Certificate;

constexpr std::uint64_t kTagSgxOrTdxQuote = 60000;
constexpr std::string_view kKeyHashClaim = "pubkey-hash";

ByteArray<64> half(const crypto::Digest32& digest) {
    ByteArray<64> out{};
    std::ranges::copy(digest, out.begin());
    return out;
}

/// IANA's numbers of named hashes, as far as these claims use them.
Result<Bytes> named_hash(std::uint64_t id, ByteView message) {
    if (id == 1) return to_bytes(crypto::sha256(message));
    if (id == 7) return crypto::hash(crypto::HashKind::kSha384, message);
    if (id == 8) return to_bytes(crypto::sha512({message}));
    return fail(bad_foreign_leaf, "hash algorithm " + std::to_string(id));
}

/// The claim "pubkey-hash": bstr of CBOR [algorithm, hash].
Result<void> check_key_hash(ByteView claim, ByteView spki) {
    CborReader in(claim);
    EOS_TRY(in.expect_array(2));
    const std::uint64_t algorithm = EOS_TRY(in.number());
    const ByteView hash = EOS_TRY(in.bytes());
    EOS_TRY(in.expect_end());
    if (equal(hash, EOS_TRY(named_hash(algorithm, spki)))) return {};
    return fail(bad_foreign_leaf, "the claims name another key");
}

/// A map of text to byte strings that names the key once.
Result<void> check_claims(ByteView claims, ByteView spki) {
    constexpr std::uint64_t kMaxClaims = 16;
    CborReader in(claims);
    const std::uint64_t count = EOS_TRY(in.map());
    if (count > kMaxClaims) return fail(bad_foreign_leaf, "too many claims");
    bool is_bound = false;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string_view name = EOS_TRY(in.text());
        const ByteView value = EOS_TRY(in.bytes());
        if (name != kKeyHashClaim) continue;
        if (is_bound) return fail(bad_foreign_leaf, "two hashes of a key");
        EOS_TRY(check_key_hash(value, spki));
        is_bound = true;
    }
    EOS_TRY(in.expect_end());
    if (!is_bound) return fail(bad_foreign_leaf, "the claims name no key");
    return {};
}

Result<ForeignLeaf> read_dice(ByteView value, const Certificate& certificate) {
    CborReader in(value);
    EOS_TRY(in.expect_tag(kTagSgxOrTdxQuote));
    EOS_TRY(in.expect_array(2));
    ForeignLeaf out;
    out.format = ForeignFormat::dice_tagged;
    out.quote = to_bytes(EOS_TRY(in.bytes()));
    const ByteView claims = EOS_TRY(in.bytes());
    EOS_TRY(in.expect_end());
    EOS_TRY(check_claims(claims, certificate.spki()));
    out.report_data = half(crypto::sha256(claims));
    return out;
}

ForeignLeaf read_gramine(ByteView value, const Certificate& certificate) {
    return {ForeignFormat::gramine_legacy, to_bytes(value),
            half(crypto::sha256(certificate.spki()))};
}

/// The RSAPublicKey inside of the SubjectPublicKeyInfo.
Result<ForeignLeaf> read_rats_tls(ByteView value, const Certificate& certificate) {
    EOS_TRY(certificate.rsa_key());
    x509::DerReader outer(certificate.spki());
    x509::DerReader fields = EOS_TRY(outer.sequence());
    EOS_TRY(fields.sequence());
    const ByteView key = EOS_TRY(fields.byte_bit_string());
    return ForeignLeaf{ForeignFormat::rats_tls_2020, to_bytes(value), half(crypto::sha256(key))};
}

/// 16 bytes of header, then the quote to the end.
Result<ForeignLeaf> read_open_enclave(ByteView value, const Certificate& certificate) {
    constexpr std::uint32_t kVersion = 1;
    constexpr std::uint32_t kRemoteReport = 2;
    Reader in(value);
    const std::uint32_t version = EOS_TRY(in.u32le());
    const std::uint32_t type = EOS_TRY(in.u32le());
    const std::uint64_t size = EOS_TRY(in.u64le());
    if (version != kVersion || type != kRemoteReport || size != in.remaining()) {
        return fail(bad_foreign_leaf, "the OE report's header");
    }
    ForeignLeaf out;
    out.format = ForeignFormat::open_enclave;
    out.quote = to_bytes(in.rest());
    Bytes pem = to_bytes(x509::encode_pem("PUBLIC KEY", certificate.spki()));
    pem.push_back({});  // the NUL of a C string
    out.report_data = half(crypto::sha256(pem));
    return out;
}

Result<ForeignLeaf> read_dstack(ByteView value, const Certificate& certificate) {
    x509::DerReader in(value);
    const ByteView quote = EOS_TRY(in.octet_string());
    EOS_TRY(in.expect_end());
    return ForeignLeaf{ForeignFormat::dstack, to_bytes(quote),
                       crypto::sha512({as_bytes("ratls-cert:"), certificate.spki()})};
}

Result<ForeignLeaf> read_extension(const x509::ExtensionView& extension,
                                   const Certificate& certificate) {
    if (extension.value.size() > kMaxForeignEvidenceBytes) {
        return fail(bad_foreign_leaf, "the evidence is too large");
    }
    if (extension.oid == oid::kDiceTaggedEvidence) return read_dice(extension.value, certificate);
    if (extension.oid == oid::kGramineLegacy) return read_gramine(extension.value, certificate);
    if (extension.oid == oid::kRatsTlsLegacy) return read_rats_tls(extension.value, certificate);
    if (extension.oid == oid::kDstackQuote) return read_dstack(extension.value, certificate);
    return read_open_enclave(extension.value, certificate);
}

constexpr std::array kEvidence{oid::kDiceTaggedEvidence, oid::kGramineLegacy, oid::kRatsTlsLegacy,
                               oid::kDstackQuote,        oid::kOeReport,      oid::kOeReportOld};

}  // namespace

std::string_view foreign_format_name(ForeignFormat format) {
    switch (format) {
        case ForeignFormat::gramine_legacy:
            return "gramine-legacy";
        case ForeignFormat::dice_tagged:
            return "dice-tagged-evidence";
        case ForeignFormat::rats_tls_2020:
            return "rats-tls-2020";
        case ForeignFormat::open_enclave:
            return "open-enclave";
        case ForeignFormat::dstack:
            return "dstack";
    }
    __builtin_unreachable();
}

Result<ForeignLeaf> read_foreign_leaf(const Certificate& certificate) {
    std::optional<ForeignLeaf> found;
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        if (std::ranges::find(kEvidence, extension.oid) == kEvidence.end()) continue;
        if (found.has_value()) return fail(bad_foreign_leaf, "two extensions with evidence");
        Result<ForeignLeaf> leaf = read_extension(extension, certificate);
        if (!leaf && leaf.error().code() != bad_foreign_leaf) {
            return fail(bad_foreign_leaf, leaf.error().message());
        }
        found = EOS_TRY(std::move(leaf));
    }
    if (!found.has_value()) return fail(no_foreign_evidence);
    // The Intel SDK puts the quote a second time under the identifier of PCK certificates.
    const x509::ExtensionView* copy = certificate.find_extension(oid::kPckExtension);
    if (copy != nullptr && !equal(copy->value, found->quote)) {
        return fail(bad_foreign_leaf, "two extensions with evidence that disagree");
    }
    return *std::move(found);
}

Check check_foreign_binding(const ForeignLeaf& leaf, const ByteArray<64>& report_data) {
    constexpr Subject kSubject{"report_data",
                               "docs/formats/certificate.md 3; docs/formats/verification.md 6.6",
                               "the evidence belongs to another key than the certificate's"};
    if (leaf.report_data == report_data) {
        return attestation::verify::passed(kSubject, std::string(foreign_format_name(leaf.format)));
    }
    return attestation::verify::failed(kSubject, {hex(leaf.report_data), hex(report_data)});
}

}  // namespace eos::ratls
