// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/foreign_leaf.h"

#include <algorithm>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/oid/registry.h"
#include "common/ratls/cbor_reader.h"
#include "common/ratls/foreign_dstack.h"
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

ForeignLeaf leaf_of(ByteView quote, const KeyBinding& binding) {
    return {.quote = to_bytes(quote), .binding = binding};
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
    const ByteView quote = EOS_TRY(in.bytes());
    const ByteView claims = EOS_TRY(in.bytes());
    EOS_TRY(in.expect_end());
    EOS_TRY(check_claims(claims, certificate.spki()));
    return leaf_of(quote, {ForeignFormat::dice_tagged, half(crypto::sha256(claims))});
}

ForeignLeaf read_gramine(ByteView value, const Certificate& certificate) {
    return leaf_of(value,
                   {ForeignFormat::gramine_legacy, half(crypto::sha256(certificate.spki()))});
}

/// The RSAPublicKey inside of the SubjectPublicKeyInfo.
Result<ForeignLeaf> read_rats_tls(ByteView value, const Certificate& certificate) {
    EOS_TRY(certificate.rsa_key());
    x509::DerReader outer(certificate.spki());
    x509::DerReader fields = EOS_TRY(outer.sequence());
    EOS_TRY(fields.sequence());
    const ByteView key = EOS_TRY(fields.byte_bit_string());
    return leaf_of(value, {ForeignFormat::rats_tls_2020, half(crypto::sha256(key))});
}

/// The key as Open Enclave's functions take it: PEM with the NUL of a C string.
Bytes pem_of_key(const Certificate& certificate) {
    Bytes pem = to_bytes(x509::encode_pem("PUBLIC KEY", certificate.spki()));
    pem.push_back({});
    return pem;
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
    ForeignLeaf out = leaf_of(
        in.rest(), {ForeignFormat::open_enclave, half(crypto::sha256(pem_of_key(certificate)))});
    out.or_binding = KeyBinding{ForeignFormat::ego, half(crypto::sha256(certificate.spki()))};
    return out;
}

/// A structure of 32 bytes, whose alignment leaves bytes 20 to 23 to chance; then the quote and, to
/// the end, the claims whose hash is in it.
Result<ForeignLeaf> read_open_enclave_evidence(ByteView value, const Certificate& certificate) {
    constexpr std::uint32_t kVersion = 3;
    static const Bytes kSgxEcdsa = from_hex("a3a21e871b4d4014b70aa125d2fbcd8c").value();
    Reader in(value);
    const std::uint32_t version = EOS_TRY(in.u32le());
    const ByteView format = EOS_TRY(in.bytes(16));
    EOS_TRY(in.u32le());
    const std::uint64_t size = EOS_TRY(in.u64le());
    if (version != kVersion) {
        return fail(unread_foreign_evidence,
                    "OE evidence of version " + std::to_string(version) + ", read is version 3");
    }
    if (!equal(format, kSgxEcdsa)) {
        return fail(unread_foreign_evidence, "OE evidence of format " + hex(format) +
                                                 ", read is SGX ECDSA, " + hex(kSgxEcdsa));
    }
    if (size != in.remaining()) return fail(bad_foreign_leaf, "the OE evidence's header");
    const ByteView data = in.rest();
    const std::size_t end = EOS_TRY(attestation::evidence::stated_quote_size(data));
    const ByteView claims = data.subspan(end);
    if (!equal(claims, pem_of_key(certificate))) {
        return fail(bad_foreign_leaf, "the claims are not the certificate's key");
    }
    return leaf_of(data.first(end),
                   {ForeignFormat::open_enclave_evidence, half(crypto::sha256(claims))});
}

KeyBinding dstack_binding(const Certificate& certificate) {
    return {ForeignFormat::dstack, crypto::sha512({as_bytes("ratls-cert:"), certificate.spki()})};
}

/// dstack puts in what the kernel gave it: a buffer filled up with zeros.
Result<ForeignLeaf> read_dstack(ByteView value, const Certificate& certificate) {
    x509::DerReader in(value);
    const ByteView quote = EOS_TRY(in.octet_string());
    EOS_TRY(in.expect_end());
    return leaf_of(attestation::evidence::without_padding(quote), dstack_binding(certificate));
}

Result<ForeignLeaf> read_dstack_extension(ByteView value, const Certificate& certificate) {
    x509::DerReader in(value);
    DstackAttestation inside = EOS_TRY(read_dstack_attestation(EOS_TRY(in.octet_string())));
    EOS_TRY(in.expect_end());
    return ForeignLeaf{.quote = std::move(inside.evidence),
                       .binding = dstack_binding(certificate),
                       .certificates = std::move(inside.certificates),
                       .runtime_log = std::move(inside.runtime_log)};
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
    if (extension.oid == oid::kOeEvidence || extension.oid == oid::kOeEvidenceOld) {
        return read_open_enclave_evidence(extension.value, certificate);
    }
    if (extension.oid == oid::kDstackAttestation) {
        return read_dstack_extension(extension.value, certificate);
    }
    return read_open_enclave(extension.value, certificate);
}

constexpr std::array kEvidence{
    oid::kDiceTaggedEvidence, oid::kGramineLegacy, oid::kRatsTlsLegacy,
    oid::kDstackQuote,        oid::kOeReport,      oid::kOeReportOld,
    oid::kOeEvidence,         oid::kOeEvidenceOld, oid::kDstackAttestation};

/// The report in the quote, before the report data, if that is what the binding demands.
Result<ByteArray<320>> bound_report(const ForeignLeaf& leaf) {
    const attestation::evidence::Evidence evidence =
        EOS_TRY(attestation::evidence::parse_quote(leaf.quote));
    const auto* quote = std::get_if<attestation::evidence::SgxQuote>(&evidence.quote());
    if (quote == nullptr || quote->report.report_data != leaf.binding.report_data) {
        return fail(bad_foreign_leaf, "no SGX quote that is bound to the key: " +
                                          std::string(foreign_format_name(leaf.binding.format)));
    }
    return to_array<320>(quote->report_bytes().first(320));
}

/// Whether Gramine's two quotes are of one enclave and key. Only the chosen one is verified: a
/// reader of the other must not be told of another enclave.
Result<void> check_gramine_pair(const ForeignLeaf& tagged, const ForeignLeaf& legacy) {
    if (equal(tagged.quote, legacy.quote)) return {};
    if (EOS_TRY(bound_report(tagged)) == EOS_TRY(bound_report(legacy))) return {};
    return fail(bad_foreign_leaf, "two extensions with evidence that disagree");
}

/// One, or Gramine's two, of which the tagged evidence counts.
Result<ForeignLeaf> choose(std::vector<ForeignLeaf> found) {
    if (found.empty()) return fail(no_foreign_evidence);
    if (found.size() == 1) return std::move(found.front());
    std::ranges::sort(found, {}, [](const ForeignLeaf& leaf) { return leaf.binding.format; });
    if (found.size() != 2 || found[0].binding.format != ForeignFormat::gramine_legacy ||
        found[1].binding.format != ForeignFormat::dice_tagged) {
        return fail(bad_foreign_leaf, "two extensions with evidence");
    }
    EOS_TRY(check_gramine_pair(found[1], found[0]));
    return std::move(found[1]);
}

/// The error as one of this header's.
Error own_error(Error error) {
    for (const Code& own : {bad_foreign_leaf, no_foreign_evidence, unread_foreign_evidence}) {
        if (error.code() == own) return error;
    }
    return Error(bad_foreign_leaf, error.message());
}

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
        case ForeignFormat::ego:
            return "ego";
        case ForeignFormat::open_enclave_evidence:
            return "open-enclave-evidence";
        case ForeignFormat::dstack:
            return "dstack";
    }
    __builtin_unreachable();
}

Result<ForeignLeaf> read_foreign_leaf(const Certificate& certificate) {
    std::vector<ForeignLeaf> all;
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        if (std::ranges::find(kEvidence, extension.oid) == kEvidence.end()) continue;
        Result<ForeignLeaf> leaf = read_extension(extension, certificate);
        if (!leaf) return fail(own_error(std::move(leaf).error()));
        all.push_back(std::move(*leaf));
    }
    Result<ForeignLeaf> found = choose(std::move(all));
    if (!found) return fail(own_error(std::move(found).error()));
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
    std::string expected = hex(leaf.binding.report_data);
    if (leaf.or_binding) expected += " or " + hex(leaf.or_binding->report_data);
    for (const std::optional<KeyBinding>& binding :
         {std::optional(leaf.binding), leaf.or_binding}) {
        if (!binding || binding->report_data != report_data) continue;
        return attestation::verify::passed(kSubject,
                                           std::string(foreign_format_name(binding->format)));
    }
    return attestation::verify::failed(kSubject, {std::move(expected), hex(report_data)});
}

}  // namespace eos::ratls
