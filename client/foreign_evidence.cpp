// SPDX-License-Identifier: AGPL-3.0-only
#include "client/foreign_evidence.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "common/attestation/event_log/log_checks.h"
#include "common/ratls/certificate_checks.h"
#include "common/ratls/foreign_constellation.h"
#include "common/ratls/foreign_leaf.h"
#include "common/ratls/leaf.h"

namespace eos::client {
namespace {

namespace endorsements = attestation::endorsements;
namespace event_log = attestation::event_log;
namespace verify = attestation::verify;

constexpr std::size_t kConstellationNonceBytes = 32;
constexpr std::string_view kCertificatesKey = "the certificate's key";
constexpr std::string_view kTpmsKey = "the virtual TPM's key";

constexpr verify::Subject kReportData{"report_data", "docs/evidence.md",
                                      "the evidence belongs to another key"};
constexpr verify::Subject kLevel{"binding.level", "docs/evidence.md",
                                 "have the peer show that it holds the key: connect with TLS"};
constexpr verify::Subject kChain{"certificate.chain", "docs/evidence.md",
                                 "leave out the root CA: it does not vouch for this file"};

Result<std::optional<ratls::ConstellationNonce>> constellation_nonce(
    const std::optional<Bytes>& nonce) {
    if (!nonce) return std::optional<ratls::ConstellationNonce>();
    if (nonce->size() != kConstellationNonceBytes) {
        return fail(bad_nonce,
                    "Constellation's has 32 bytes, this one " + std::to_string(nonce->size()));
    }
    return to_array<kConstellationNonceBytes>(*nonce);
}

using ReadLeaf = std::variant<ratls::ConstellationLeaf, ratls::ForeignLeaf>;

/// errors:  those of read_foreign_leaf() and read_constellation_leaf().
Result<ReadLeaf> read_any_leaf(const x509::Certificate& leaf) {
    Result<ratls::ConstellationLeaf> constellation = ratls::read_constellation_leaf(leaf);
    if (constellation) return *std::move(constellation);
    if (constellation.error().code() != ratls::no_foreign_evidence) {
        return fail(std::move(constellation).error());
    }
    return EOS_TRY(ratls::read_foreign_leaf(leaf));
}

CarriedEvidence carried_by(ratls::ForeignLeaf leaf) {
    return {std::move(leaf.quote), std::move(leaf.certificates)};
}

CarriedEvidence carried_by(ratls::ConstellationLeaf leaf) {
    using Leaf = ratls::ConstellationLeaf;
    if (auto* report = std::get_if<Leaf::Report>(&leaf.evidence)) {
        return {std::move(report->evidence), std::move(report->certificates)};
    }
    attestation::evidence::AzureVtpmEvidence& azure =
        std::get<Leaf::Paravisor>(leaf.evidence).evidence;
    const bool is_snp = azure.hcl.hardware == attestation::evidence::HclHardware::snp_report;
    return {is_snp ? to_bytes(azure.hcl.hardware_report) : std::move(azure.td_quote),
            std::move(azure.certificates)};
}

/// Everything of a tree but the hardware's own nodes and "report_data".
std::vector<verify::Check> beside_the_hardware(const verify::Check& tree) {
    std::vector<verify::Check> out;
    std::ranges::copy_if(tree.children, std::back_inserter(out), [](const verify::Check& node) {
        return node.id != "hardware" && node.id != kReportData.id;
    });
    return out;
}

/// Report data that binds the TPM's key through the runtime data, or another key itself.
ForeignVerification from_tree(verify::VtpmVerification verified) {
    const verify::Check* own = find_check(verified.tree, kReportData.id);
    const verify::Check* runtime_data = find_check(verified.tree, "hcl.report_data");
    verify::Check report_data = own != nullptr ? *own
                                : runtime_data != nullptr
                                    ? *runtime_data
                                    : verify::not_evaluated(kReportData,
                                                            "the hardware's report "
                                                            "cannot be read");
    report_data.id = kReportData.id;
    return {.hardware = *std::move(verified.hardware),
            .report_data = std::move(report_data),
            .more = beside_the_hardware(verified.tree),
            .key = own != nullptr ? kCertificatesKey : kTpmsKey};
}

verify::Check check_binding(const ratls::ForeignLeaf& leaf, const verify::Verification& hardware) {
    if (hardware.evidence() == nullptr) {
        return verify::not_evaluated(kReportData, "the evidence is not genuine");
    }
    return std::visit(
        [&](const auto& claims) { return check_foreign_binding(leaf, claims.report.report_data); },
        hardware.evidence()->claims());
}

ForeignVerification verify_leaf(const ratls::ForeignLeaf& leaf, const ForeignInput& input) {
    endorsements::Endorsements all = input.endorsements;
    std::ranges::copy(leaf.certificates, std::back_inserter(all.amd.certificates));
    ForeignVerification out{
        .hardware = verify::verify_quote(leaf.quote, all, input.roots, input.time),
        .report_data = {},
        .more = {},
        .key = kCertificatesKey};
    out.report_data = check_binding(leaf, out.hardware);
    if (leaf.runtime_log) out.more.push_back(check_runtime_log(out.hardware, *leaf.runtime_log));
    return out;
}

/// The evidence in a certificate, and its binding to the key.
Result<ForeignVerification> verify_carried(const x509::Certificate& leaf,
                                           const std::optional<Bytes>& nonce,
                                           const ForeignInput& input) {
    const ReadLeaf read = EOS_TRY(read_any_leaf(leaf));
    if (const auto* constellation = std::get_if<ratls::ConstellationLeaf>(&read)) {
        ForeignVerification out =
            from_tree(verify_constellation_leaf(*constellation, input.endorsements, input.roots,
                                                EOS_TRY(constellation_nonce(nonce)), input.time));
        out.key = kCertificatesKey;
        return out;
    }
    if (nonce) return fail(bad_nonce, "certificates of this format are not made for one");
    return verify_leaf(std::get<ratls::ForeignLeaf>(read), input);
}

}  // namespace

verify::Check check_runtime_log(const verify::Verification& hardware,
                                const event_log::EventLog& log) {
    const verify::Check checks = event_log::check_event_log(hardware, log);
    std::vector<verify::Check> out;
    for (const char* id : {"event_log.rtmr3", "event_log.content"})
        out.push_back(*find_check(checks, id));
    return verify::group(checks.id, std::move(out));
}

bool is_foreign(const x509::Certificate& leaf) {
    const Result<ratls::LeafClaimsView> own = ratls::read_leaf(leaf);
    if (own && (own->evidence || !own->values.empty())) return false;
    const auto is_known = [](const auto& read) {
        return read || read.error().code() != ratls::no_foreign_evidence;
    };
    return is_known(ratls::read_foreign_leaf(leaf)) ||
           is_known(ratls::read_constellation_leaf(leaf));
}

Result<CarriedEvidence> carried_evidence(const x509::Certificate& leaf) {
    return std::visit([](auto&& read) { return carried_by(std::move(read)); },
                      EOS_TRY(read_any_leaf(leaf)));
}

Result<ForeignVerification> verify_foreign_leaf(const x509::Certificate& leaf,
                                                const std::optional<Bytes>& nonce,
                                                const ForeignInput& input) {
    ForeignVerification out = EOS_TRY(verify_carried(leaf, nonce, input));
    std::ranges::move(ratls::check_without_ca(leaf, input.server_name, input.time),
                      std::back_inserter(out.more));
    return out;
}

ForeignVerification verify_vtpm(const attestation::evidence::AzureVtpmEvidence& evidence,
                                const verify::TpmDemands& demands, const ForeignInput& input) {
    return from_tree(
        verify_azure_vtpm(evidence, input.endorsements, input.roots, demands, input.time));
}

attestation::appraise::AttestationResult appraise_foreign(
    const ForeignVerification& verification, const ForeignContext& context,
    const attestation::appraise::Policy& policy) {
    attestation::appraise::LeafClaims claims;
    claims.event_log = context.event_log;
    claims.more = verification.more;
    if (context.has_anchors) {
        claims.more.push_back(
            verify::not_evaluated(kChain, "chains of other projects are not looked at"));
    }
    claims.binding = {.format = std::string(attestation::appraise::kBindingReportData),
                      .evidence_time = std::nullopt,
                      .report_data = verification.report_data,
                      .level = verify::passed(
                          kLevel, "bound to " + std::string(verification.key) +
                                      "; a file shows neither that a peer holds that key nor how "
                                      "old the evidence is")};
    return attestation::appraise::appraise(verification.hardware, claims, policy);
}

}  // namespace eos::client
