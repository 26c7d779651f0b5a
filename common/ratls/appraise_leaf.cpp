// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/appraise_leaf.h"

#include <algorithm>
#include <iterator>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/oid/registry.h"
#include "common/ratls/certificate_checks.h"
#include "common/x509/chain.h"

namespace eos::ratls {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::BindingClaim;
using attestation::appraise::LeafClaims;
using attestation::appraise::Policy;
using attestation::verify::Check;
using attestation::verify::failed;
using attestation::verify::from_result;
using attestation::verify::not_evaluated;
using attestation::verify::passed;
using attestation::verify::Subject;
using attestation::verify::Verification;
using attestation::verify::Weight;

constexpr std::size_t kMaxChain = 5;

constexpr Subject kCertificate{
    "certificate.syntax", "RFC 5280, 4.1; docs/formats/certificate.md 1",
    "this is not a server of ours, or something on the way altered the certificate"};
constexpr Subject kEvidence{
    "certificate.evidence", "docs/formats/certificate.md 2",
    "the certificate must carry the evidence under the identifier of its TEE"};
constexpr Subject kAnswerTime{
    "binding.answer_time", "docs/formats/verification.md 6.13",
    "the server's clock and yours differ by more than is allowed: check both"};
constexpr Subject kChain{
    "certificate.chain", "RFC 5280, 6; docs/formats/verification.md 6.10",
    "check the root CA and the server name; a leaf renews itself, an expired intermediate "
    "needs `enclavectl mini rotate-ca`"};
constexpr Subject kReportData{
    "report_data", "docs/formats/certificate.md 3; docs/formats/verification.md 6.6",
    "the evidence belongs to another key, time or handshake: do not use this connection"};
constexpr Subject kLevel{
    "binding.level", "docs/formats/certificate.md 5",
    "ask for a challenge (mode C or B), which binds the evidence to this connection"};
constexpr Subject kLeafBinding{
    "leaf_binding", "docs/formats/certificate.md 4; docs/formats/verification.md 6.8",
    "whoever holds the CA key may have moved key and evidence to other values"};

struct ParsedChain {
    std::optional<x509::Certificate> leaf;
    std::vector<x509::Certificate> issuers;
    Check syntax;
    LeafClaimsView claims;
};

ParsedChain parse_chain(std::span<const Bytes> chain, LeafScheme scheme) {
    ParsedChain out;
    if (chain.empty() || chain.size() > kMaxChain) {
        out.syntax = failed(kCertificate, {"1 to 5 certificates", std::to_string(chain.size())});
        return out;
    }
    for (const Bytes& der : chain) {
        Result<x509::Certificate> certificate = x509::Certificate::parse(der);
        if (!certificate) {
            out.syntax = failed(kCertificate, certificate.error());
            return out;
        }
        if (out.leaf) {
            out.issuers.push_back(std::move(*certificate));
        } else {
            out.leaf = std::move(*certificate);
        }
    }
    Result<LeafClaimsView> claims = read_leaf(*out.leaf, scheme);
    out.syntax = claims ? passed(kCertificate) : failed(kCertificate, claims.error());
    if (claims) out.claims = std::move(*claims);
    return out;
}

Check check_chain(const ParsedChain& parsed, const LeafInput& input, UnixTime time,
                  std::vector<ByteArray<32>>& authorities) {
    if (input.anchors.empty()) {
        Check check =
            not_evaluated(kChain, "no root CA was given: the evidence alone says who this is");
        check.weight = Weight::informative;
        return check;
    }
    x509::ChainOptions options;
    if (!input.server_name.empty()) options.host = input.server_name;
    options.purpose = oid::kServerAuth;
    Result<std::vector<x509::Certificate>> path =
        x509::verify_chain({.leaf = *parsed.leaf,
                            .intermediates = parsed.issuers,
                            .anchors = input.anchors,
                            .time = time},
                           options);
    if (!path) return failed(kChain, path.error());
    for (std::size_t i = 1; i < path->size(); ++i) {
        authorities.push_back(crypto::sha256((*path)[i].spki()));
    }
    return passed(kChain, "leads to " + path->back().subject().display());
}

Purpose purpose_of(const LeafInput& input) {
    if (input.channel) return Purpose::kV2Challenge;
    return input.handshake ? Purpose::kV1Challenge : Purpose::kV1Deterministic;
}

// The report data that the leaf must have, for what is known about the handshake.
Result<ReportData> expected_report_data(const x509::Certificate& leaf, const LeafInput& input) {
    crypto::P256PublicKey key = EOS_TRY(leaf.p256_key());
    if (input.channel) return ReportData::v2_challenge(key, input.channel->binding);
    if (!input.handshake) return ReportData::v1_deterministic(key, leaf.validity().not_before);
    return ReportData::v1_challenge(key, input.handshake->nonce, input.handshake->binder);
}

const sgx_arch::ReportData* report_data_of(const Verification& verification) {
    if (verification.evidence() == nullptr) return nullptr;
    return std::visit([](const auto& claims) { return &claims.report.report_data; },
                      verification.evidence()->claims());
}

// The word that an answer of mode C has for what the evidence really is.
std::string_view tee_word_of(const attestation::verify::TeeClaims& claims) {
    using namespace attestation::verify;
    if (std::holds_alternative<TdxClaims>(claims)) return "tdx";
    return std::holds_alternative<SnpClaims>(claims) ? "sev-snp" : "sgx";
}

const oid::Oid& evidence_oid_of(const attestation::verify::TeeClaims& claims) {
    using namespace attestation::verify;
    if (std::holds_alternative<TdxClaims>(claims)) return oid::kTdxQuote;
    return std::holds_alternative<SnpClaims>(claims) ? oid::kSnpReport : oid::kSgxQuote;
}

// Evidence of one kind under the identifier of another is somebody's attempt to confuse.
Check check_evidence_kind(const std::optional<LeafEvidence>& evidence,
                          const Verification& verification) {
    if (!evidence) return failed(kEvidence, {"one extension with hardware evidence", "none"});
    if (verification.evidence() == nullptr) {
        Check check = not_evaluated(kEvidence, "the evidence is not genuine");
        check.weight = Weight::informative;  // the rejection is certain
        return check;
    }
    const oid::Oid& expected = evidence_oid_of(verification.evidence()->claims());
    if (evidence->oid == expected) return passed(kEvidence, oid::describe(expected));
    return failed(kEvidence, {oid::describe(expected), oid::describe(evidence->oid)});
}

Check check_answered_kind(const AttestResponse& response, const Verification& verification) {
    if (verification.evidence() == nullptr) {
        Check check = not_evaluated(kEvidence, "the evidence is not genuine");
        check.weight = Weight::informative;  // the rejection is certain
        return check;
    }
    std::string expected(tee_word_of(verification.evidence()->claims()));
    if (response.tee == expected) return passed(kEvidence, "answered inside the connection");
    return failed(kEvidence, {expected, response.tee});
}

// The context makes the evidence fresh; this only tells a clock that is wrong.
Check check_answer_time(UnixTime quote_time, UnixTime time) {
    constexpr std::int64_t kMaxSkew_s = 5 * 60;
    std::string found = rfc3339(quote_time);
    bool is_in_window = quote_time >= time - kDeterministicLifeSeconds - kMaxSkew_s &&
                        quote_time <= time + kMaxSkew_s;
    if (is_in_window) return passed(kAnswerTime, found);
    return failed(
        kAnswerTime,
        {"not older than a day, not later than five minutes from now, " + rfc3339(time), found});
}

Check compare_report_data(ByteView expected, std::string_view form,
                          const Verification& verification) {
    const sgx_arch::ReportData* found = report_data_of(verification);
    if (found == nullptr) return not_evaluated(kReportData, "the evidence is not genuine");
    if (all_zero(*found)) {
        return failed(kReportData, {hex(expected), "zeros: the evidence is bound to nothing"});
    }
    if (crypto::equal_constant_time(expected, *found)) return passed(kReportData);
    return failed(kReportData, {hex(expected), hex(*found)}, "expected for " + std::string(form));
}

Check check_report_data(const Result<ReportData>& expected, const Verification& verification) {
    if (!expected) return failed(kReportData, expected.error());
    return compare_report_data(expected->bytes(), purpose_name(expected->purpose()), verification);
}

Check level_of(Purpose purpose) {
    switch (purpose) {
        case Purpose::kV1Deterministic:
            return passed(
                kLevel,
                "level 0: the evidence is bound to the leaf's key and a minute, not to this "
                "handshake");
        case Purpose::kV1Challenge:
            return passed(
                kLevel, "level 2: bound to this handshake's traffic secret; level 3 is not shown");
        case Purpose::kV2Challenge:
            return passed(kLevel,
                          "level 3: bound to this connection's exporter, and so to the secrets of "
                          "its application data");
        case Purpose::kCaCsr:
            return passed(kLevel, "bound to the request, the nonce and the owner's key");
    }
    return not_evaluated(kLevel, "unknown purpose");
}

BindingClaim binding_claim(Purpose purpose, Check report_data,
                           std::optional<UnixTime> evidence_time) {
    return {std::string(purpose_name(purpose)), evidence_time, std::move(report_data),
            level_of(purpose)};
}

BindingClaim stated_claim(const StatedReportData& stated, const Verification& verification) {
    using attestation::appraise::kBindingReportData;
    return {std::string(kBindingReportData), std::nullopt,
            compare_report_data(stated.bytes, kBindingReportData, verification),
            passed(kLevel, "as the caller says: bound to what the stated report data stands for")};
}

// What a policy demands of evidence alone: a request carries no leaf.
Policy without_leaf(Policy policy) {
    policy.required.clear();
    policy.ca.clear();
    policy.instance.reset();
    policy.leaf_binding = attestation::appraise::LeafBindingRule::optional;
    policy.waivers.insert("assurance");
    return policy;
}

}  // namespace

AttestationResult appraise_leaf(const LeafInput& input,
                                const attestation::verify::Collateral& collateral,
                                const Policy& policy, UnixTime time) {
    EOS_ASSERT(!input.handshake || !input.channel);
    ParsedChain parsed =
        parse_chain(input.chain, input.channel ? LeafScheme::kV2 : LeafScheme::kV1);
    ByteView evidence;
    if (parsed.claims.evidence) evidence = parsed.claims.evidence->bytes;
    if (input.channel) evidence = input.channel->response.quote;
    Verification verification =
        attestation::verify::verify_quote(evidence, collateral, policy.roots, time);

    LeafClaims claims;
    claims.server_name = input.server_name;
    claims.event_log = input.event_log;
    for (const ExtensionValue& value : parsed.claims.values)
        claims.extensions[value.oid] = value.value;
    claims.more.push_back(parsed.syntax);
    if (parsed.leaf) {
        if (input.channel) {
            const AttestResponse& response = input.channel->response;
            claims.more.push_back(check_answered_kind(response, verification));
            claims.more.push_back(check_answer_time(response.quote_time, time));
        } else {
            claims.more.push_back(check_evidence_kind(parsed.claims.evidence, verification));
        }
        claims.more.push_back(check_chain(parsed, input, time, claims.chain));
        if (input.anchors.empty()) {
            std::ranges::move(check_without_ca(*parsed.leaf, input.server_name, time),
                              std::back_inserter(claims.more));
        }
        claims.leaf_binding = from_result(kLeafBinding, check_leaf_binding(*parsed.leaf));
        Purpose purpose = purpose_of(input);
        std::optional<UnixTime> made;
        if (purpose == Purpose::kV1Deterministic) made = parsed.leaf->validity().not_before;
        claims.binding = binding_claim(
            purpose, check_report_data(expected_report_data(*parsed.leaf, input), verification),
            made);
    }
    return attestation::appraise::appraise(verification, claims, policy, input.memory);
}

AttestationResult appraise_evidence(const EvidenceInput& input,
                                    const attestation::verify::Collateral& collateral,
                                    const Policy& policy, UnixTime time) {
    Verification verification = attestation::verify::verify_quote(input.evidence, collateral,
                                                                  policy.roots, time, input.memo);
    LeafClaims claims;
    claims.event_log = input.event_log;
    if (input.more) claims.more.push_back(input.more(verification));
    if (const auto* stated = std::get_if<StatedReportData>(&input.expected)) {
        claims.binding = stated_claim(*stated, verification);
    } else if (const auto* bound = std::get_if<BoundReportData>(&input.expected)) {
        claims.binding = binding_claim(bound->report_data.purpose(),
                                       check_report_data(bound->report_data, verification),
                                       bound->evidence_time);
    }
    return attestation::appraise::appraise(verification, claims, policy);
}

AttestationResult appraise_csr(const CsrInput& input,
                               const attestation::verify::Collateral& collateral,
                               const Policy& policy, UnixTime time) {
    Verification verification =
        attestation::verify::verify_quote(input.evidence, collateral, policy.roots, time);
    ReportData expected = ReportData::ca_csr(input.binding);
    LeafClaims claims;
    claims.binding =
        binding_claim(Purpose::kCaCsr, check_report_data(expected, verification), std::nullopt);
    return attestation::appraise::appraise(verification, claims, without_leaf(policy));
}

}  // namespace eos::ratls
