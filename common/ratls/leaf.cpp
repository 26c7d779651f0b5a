// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/leaf.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/oid/registry.h"

namespace eos::ratls {
namespace {

constexpr std::string_view kBindingDomain = "enclave-os/leaf-binding/1";
constexpr ByteArray<1> kDomainEnd{};

// The kinds of evidence a leaf may carry; at most one of them.
constexpr std::array kEvidenceOids = {oid::kSgxQuote, oid::kTdxQuote, oid::kSnpReport};

x509::DistinguishedName subject_of(const std::string& name) {
    // A DNS name may be longer than a common name; the SAN is what counts.
    Result<x509::DistinguishedName> subject = x509::DistinguishedName::common_name(name);
    if (name.empty() || !subject) subject = x509::DistinguishedName::common_name(kUnnamedSubject);
    EOS_ASSERT(subject.has_value());
    return *subject;
}

void add_standard_extensions(x509::CertificateDraft& draft, const LeafContent& content,
                             const Issuer* issuer) {
    static constexpr std::array kPurposes = {oid::kServerAuth};
    draft.add(x509::make_basic_constraints({}));
    draft.add(x509::make_key_usage(x509::kDigitalSignature));
    draft.add(x509::make_extended_key_usage(kPurposes));
    if (!content.name.empty()) {
        Result<x509::Extension> names =
            x509::make_subject_alt_name({.dns_names = {content.name}, .ip_addresses = {}});
        EOS_ASSERT(names.has_value());  // names are checked when they are configured
        draft.add(*names);
    }
    if (issuer != nullptr && !issuer->key_identifier.empty()) {
        draft.add(x509::make_authority_key_identifier(issuer->key_identifier));
    }
}

x509::CertificateDraft begin_draft(const LeafContent& content,
                                   const crypto::P256PublicKey& leaf_key, const Issuer* issuer) {
    const x509::DistinguishedName subject = subject_of(content.name);
    return x509::CertificateDraft(
        {.serial = x509::Serial::random(),
         .issuer = issuer == nullptr ? subject.der() : ByteView(issuer->subject),
         .validity = {content.not_before, content.not_after},
         .subject = subject.der(),
         .spki = leaf_key.spki()});
}

Bytes binding_message(const crypto::Digest32& contents) {
    return concat({as_bytes(kBindingDomain), kDomainEnd, contents});
}

bool is_evidence(const oid::Oid& oid) {
    return std::ranges::find(kEvidenceOids, oid) != kEvidenceOids.end();
}

bool is_ours(const oid::Oid& oid) {
    return oid.is_below(oid::kReferenceArc) || oid.is_below(oid::kOwnArc);
}

// Ours are never critical: an unknown critical extension breaks every stock client.
Result<void> expect_not_critical(const x509::ExtensionView& extension) {
    if (extension.critical == x509::Critical::kYes) {
        return fail(bad_leaf, oid::describe(extension.oid) + " is critical");
    }
    return {};
}

// Values in the order of their identifiers, as they stand in the leaf.
std::vector<ExtensionValue> numbered(std::vector<ExtensionValue> values, LeafScheme scheme) {
    if (scheme == LeafScheme::kV1) return values;
    for (ExtensionValue& value : values) {
        std::optional<oid::Oid> number = v2_number(value.oid);
        EOS_ASSERT(number.has_value());  // leaves are made of what the table has
        value.oid = *number;
    }
    std::ranges::sort(values, {}, &ExtensionValue::oid);
    return values;
}

// 4.1 is a report in the first generation and the app id, 16 bytes, in the second.
bool carries_evidence(const x509::ExtensionView& extension) {
    bool is_app_id = extension.oid == oid::kSnpReport && extension.value.size() == 16;
    return is_evidence(extension.oid) && !is_app_id;
}

Result<void> read_own_value(LeafClaimsView& claims, const oid::Oid& oid, ByteView value) {
    if (oid == oid::kPolicyRoot) {
        if (value.size() != 32) return fail(bad_leaf, "policy_root is not 32 bytes");
        claims.policy_root = to_array<32>(value);
    } else if (oid == oid::kInstance) {
        claims.instance = EOS_TRY(decode_instance(value));
    } else if (oid == oid::kAssurance) {
        claims.assurance = to_string(value);
    }
    claims.values.push_back({oid, to_bytes(value)});
    return {};
}

Result<LeafClaimsView> read_v2_leaf(const x509::Certificate& certificate) {
    LeafClaimsView claims;
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        if (carries_evidence(extension)) return fail(leaf_has_evidence);
        if (!is_ours(extension.oid)) continue;
        EOS_TRY(expect_not_critical(extension));
        std::optional<oid::Oid> number = v1_number(extension.oid);
        // Under its own number it would pass for what that number meant before.
        if (number) EOS_TRY(read_own_value(claims, *number, extension.value));
    }
    return claims;
}

}  // namespace

ByteArray<40> encode_instance(const Instance& instance) {
    Writer out;
    out.bytes(instance.instance_id).bytes(instance.boot_id).u64be(instance.generation);
    return to_array<40>(out.view());
}

Result<Instance> decode_instance(ByteView value) {
    if (value.size() != 40) return fail(bad_leaf, "instance is not 40 bytes");
    Reader in(value);
    Instance out;
    out.instance_id = EOS_TRY(in.array<16>());
    out.boot_id = EOS_TRY(in.array<16>());
    out.generation = EOS_TRY(in.u64be());
    return out;
}

LeafDraft::LeafDraft(const LeafContent& content, const crypto::P256PublicKey& leaf_key,
                     const Issuer* issuer)
    : leaf_key_(leaf_key), draft_(begin_draft(content, leaf_key, issuer)) {
    add_standard_extensions(draft_, content, issuer);
    constexpr auto kPlain = x509::Critical::kNo;
    if (content.scheme == LeafScheme::kV1)
        draft_.add(content.evidence_oid, kPlain, content.evidence);
    for (const ExtensionValue& value : numbered(content.values, content.scheme))
        draft_.add(value.oid, kPlain, value.value);
    draft_.add(oid::kPolicyRoot, kPlain, content.policy_root);
    draft_.add(oid::kInstance, kPlain, encode_instance(content.instance));
    draft_.add(oid::kAssurance, kPlain, as_bytes(content.assurance));
}

Bytes LeafDraft::binding_message() const {
    return ratls::binding_message(draft_.contents_digest());
}

Result<void> LeafDraft::check_binding(ByteView binding) const {
    if (Result<void> signature = leaf_key_.verify_der(binding_message(), binding); !signature) {
        return fail(leaf_binding_invalid, signature.error().detail());
    }
    return {};
}

Bytes LeafDraft::finish(ByteView binding, const crypto::P256PrivateKey& issuer_key) && {
    draft_.add(oid::kLeafBinding, x509::Critical::kNo, binding);
    return draft_.sign(issuer_key);
}

Bytes LeafDraft::tbs(ByteView binding) && {
    draft_.add(oid::kLeafBinding, x509::Critical::kNo, binding);
    return draft_.tbs();
}

Bytes mint_leaf(const LeafContent& content, const crypto::P256PrivateKey& leaf_key,
                const Issuer* issuer) {
    LeafDraft draft(content, leaf_key.public_key(), issuer);
    const Bytes binding = leaf_key.sign_der(draft.binding_message());
    return std::move(draft).finish(binding, issuer == nullptr ? leaf_key : *issuer->key);
}

Result<LeafClaimsView> read_leaf(const x509::Certificate& certificate, LeafScheme scheme) {
    if (scheme == LeafScheme::kV2) return read_v2_leaf(certificate);
    LeafClaimsView claims;
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        bool evidence = is_evidence(extension.oid);
        if (!evidence && !is_ours(extension.oid)) continue;
        EOS_TRY(expect_not_critical(extension));
        if (!evidence) {
            EOS_TRY(read_own_value(claims, extension.oid, extension.value));
            continue;
        }
        if (claims.evidence) return fail(bad_leaf, "two kinds of hardware evidence");
        claims.evidence = LeafEvidence{extension.oid, to_bytes(extension.value)};
    }
    return claims;
}

Result<void> check_leaf_binding(const x509::Certificate& certificate) {
    const x509::ExtensionView* binding = certificate.find_extension(oid::kLeafBinding);
    if (binding == nullptr) return fail(leaf_binding_missing);
    crypto::P256PublicKey key = EOS_TRY(certificate.p256_key());
    Bytes message = binding_message(certificate.contents_digest(oid::kLeafBinding));
    if (Result<void> signature = key.verify_der(message, binding->value); !signature) {
        return fail(leaf_binding_invalid, signature.error().detail());
    }
    return {};
}

}  // namespace eos::ratls
