// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <array>

#include "common/attestation/verify/intel_checks.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::TcbStatus;

constexpr std::string_view kSource = "docs/formats/verification.md 3.1";
constexpr std::string_view kRefresh = "get this collateral from Intel's PCS or a cache of it";

/// The ids of the checks of one signed statement.
struct StatementIds {
    std::string_view chain;
    std::string_view validity;
    std::string_view root;
    std::string_view signature;
    std::string_view syntax;
    std::string_view dates;
};
constexpr StatementIds kTcbInfoIds{"tcb_info.chain",     "tcb_info.validity", "tcb_info.root",
                                   "tcb_info.signature", "tcb_info.syntax",   "tcb_info.dates"};
constexpr StatementIds kQeIdentityIds{"qe_identity.chain",  "qe_identity.validity",
                                      "qe_identity.root",   "qe_identity.signature",
                                      "qe_identity.syntax", "qe_identity.dates"};

Subject subject(std::string_view id) {
    return {id, kSource, kRefresh};
}

/// The signer must stand under the very key that the evidence stands under.
Check signer_root_check(std::string_view id, const SignerChain& chain, const Inputs& inputs,
                        const Findings& findings) {
    const bool is_same = findings.chain.has_value() && findings.chain->root == chain.root;
    std::optional<RootIdentity> root = is_same ? findings.root : inputs.roots.find(chain.root);
    auto found = [&] {
        return chain.root.subject().display() + " (" + hex(crypto::sha256(chain.root.der())) + ")";
    };
    if (!root.has_value()) return failed(subject(id), {inputs.roots.describe(), found()});
    if (!findings.chain.has_value()) {
        return not_evaluated(subject(id), "the root of the evidence is not known");
    }
    if (equal(findings.chain->root.spki(), chain.root.spki())) {
        return passed(subject(id), root->name);
    }
    return failed(subject(id), {"the root of the evidence", found()});
}

/// Who signed the statement, and whether they did.
template <typename Content>
void add_signer_checks(std::vector<Check>& out, const StatementIds& ids,
                       const Statement<Content>& statement, const Inputs& inputs,
                       Findings& findings) {
    if (!statement.signer.has_value()) {
        out.push_back(failed(subject(ids.chain), statement.signer.error()));
        for (std::string_view id : {ids.validity, ids.root, ids.signature})
            out.push_back(not_evaluated(subject(id), "there is no issuer chain to look at"));
        return;
    }
    const SignerChain& chain = *statement.signer;
    out.push_back(from_result(subject(ids.chain), statement.chain));
    const std::array<const x509::Certificate*, 2> all{&chain.signer, &chain.root};
    out.push_back(from_result(subject(ids.validity), check_validity(all, inputs.at)));
    out.push_back(signer_root_check(ids.root, chain, inputs, findings));
    out.push_back(from_result(subject(ids.signature), statement.signature));
    findings.signers.push_back(chain.signer);
}

template <typename Content>
Check dates_check(std::string_view id, const Content& statement, Instant& at) {
    if (at.is_within(statement.issue_date, statement.next_update)) {
        return passed(subject(id),
                      "evaluation data number " + std::to_string(statement.evaluation_data_number));
    }
    return failed(subject(id), {"issued before and to be updated after " + rfc3339(at.time()),
                                "issued " + rfc3339(statement.issue_date) + ", next update " +
                                    rfc3339(statement.next_update)});
}

/// Against what the caller has met before: an older statement, however genuine and unexpired, hides
/// what its successor says.
template <typename Content>
void add_rollback_check(std::vector<Check>& out, std::string_view id, const Content& statement,
                        const Inputs& inputs) {
    const std::uint32_t seen = inputs.seen_evaluation_data_number;
    if (seen == 0) return;
    const Subject kSubject{id, "docs/formats/verification.md 3.8",
                           "somebody shows an older statement than before: get the current one"};
    std::string found =
        "evaluation data number " + std::to_string(statement.evaluation_data_number);
    out.push_back(statement.evaluation_data_number >= seen
                      ? passed(kSubject, found)
                      : failed(kSubject, {"at least " + std::to_string(seen) +
                                              ", the highest that this verifier has seen",
                                          found}));
}

Check model_check(const Inputs& inputs, const Findings& findings) {
    constexpr Subject kSubject{"tcb_info.platform", "docs/formats/verification.md 3.2",
                               "get the TCB info of this platform's FMSPC"};
    if (!findings.platform.has_value()) {
        return not_evaluated(kSubject, "the platform is not known");
    }
    auto describe = [](endorsements::IntelTee tee, const endorsements::Fmspc& fmspc,
                       const std::optional<endorsements::PceId>& pce_id) {
        return std::string(intel_tee_name(tee)) + ", FMSPC " + hex(fmspc) +
               (pce_id ? ", PCE id " + hex(*pce_id) : ", no PCE id");
    };
    const endorsements::PckExtension& platform = *findings.platform;
    const endorsements::TcbInfo& info = *findings.tcb_info;
    std::string expected = describe(inputs.tee(), platform.fmspc, platform.pce_id);
    std::string found = describe(info.tee, info.fmspc, info.pce_id);
    if (expected == found) return passed(kSubject, found);
    return failed(kSubject, {expected, found});
}

constexpr Subject kLevel{"tcb.level", "docs/formats/verification.md 3.3",
                         "the platform is not supported any more: update its firmware"};
constexpr Subject kCurrentLevel{"tcb.current_level", "docs/formats/verification.md 3.7",
                                "the platform is not supported any more: update its firmware"};

/// The level of the platform with this TDX module; null for SGX.
Check level_check(const Subject& subject, const evidence::TeeTcbSvn* svn, const Inputs& inputs,
                  const Findings& findings, const endorsements::TcbLevel*& level) {
    if (!findings.platform.has_value() || findings.tcb_info == nullptr) {
        return not_evaluated(subject, "platform and TCB info are needed");
    }
    const endorsements::TcbInfo& info = *findings.tcb_info;
    if (info.tee != inputs.tee()) {
        return not_evaluated(subject, "the TCB info is about another TEE");
    }
    const endorsements::PlatformTcb& platform = findings.platform->tcb;
    std::string lacks;
    if (svn == nullptr) {
        level = match(info, platform);
        lacks = shortfall(platform, info.levels.front());
    } else {
        const endorsements::TdxPlatformTcb tdx{platform, *svn};
        level = match(info, tdx);
        lacks = shortfall(tdx, info.levels.front());
    }
    if (level == nullptr) {
        return failed(subject, {"one of Intel's TCB levels", "none is reached: " + lacks});
    }
    if (level->status == TcbStatus::revoked) {
        return failed(subject, {"a level that Intel did not revoke", describe_level(*level)});
    }
    return passed(subject, describe_level(*level));
}

constexpr Subject kQeIdentity{"qe.identity", "docs/formats/verification.md 3.4",
                              "the report is not one of Intel's quoting enclave"};
constexpr Subject kQeLevel{"qe.level", "docs/formats/verification.md 3.4",
                           "update the quoting enclave (libsgx-ae-qe3)"};

template <std::size_t N>
ByteArray<N> masked(ByteArray<N> value, const ByteArray<N>& mask) {
    for (std::size_t i = 0; i < N; ++i) value[i] &= mask[i];
    return value;
}

ByteArray<4> misc_select_bytes(const sgx_arch::ReportBody& report) {
    Writer out;
    out.u32le(report.misc_select);
    return to_array<4>(out.view());
}

ByteArray<16> attribute_bytes(const sgx_arch::ReportBody& report) {
    Writer out;
    out.u64le(report.attributes.flags).u64le(report.attributes.xfrm);
    return to_array<16>(out.view());
}

/// The report under the mask must be the identity's value as it stands.
Check qe_identity_check(const sgx_arch::ReportBody& report,
                        const endorsements::QeIdentity& identity) {
    auto describe = [](ByteView signer, unsigned product, ByteView attributes, ByteView misc) {
        return "mr_signer " + hex(signer) + ", isv_prod_id " + std::to_string(product) +
               ", attributes " + hex(attributes) + ", miscselect " + hex(misc);
    };
    std::string expected = describe(identity.mr_signer, identity.isv_prod_id, identity.attributes,
                                    identity.misc_select);
    std::string found = describe(report.mr_signer, report.isv_prod_id,
                                 masked(attribute_bytes(report), identity.attributes_mask),
                                 masked(misc_select_bytes(report), identity.misc_select_mask));
    if (expected == found) return passed(kQeIdentity);
    return failed(kQeIdentity, {expected, found});
}

Check qe_kind_check(const Inputs& inputs, const endorsements::QeIdentity& identity) {
    auto describe = [](endorsements::IntelTee tee) {
        return "the quoting enclave of " + std::string(intel_tee_name(tee));
    };
    if (identity.tee == inputs.tee()) return passed(subject("qe_identity.id"));
    return failed(subject("qe_identity.id"), {describe(inputs.tee()), describe(identity.tee)});
}

Check qe_level_check(const sgx_arch::ReportBody& report, Findings& findings) {
    findings.qe_level = match(*findings.qe_identity, report.isv_svn);
    std::string found = "isv_svn " + std::to_string(report.isv_svn);
    if (findings.qe_level == nullptr) return failed(kQeLevel, {"one of Intel's levels", found});
    found += std::string(": ") + std::string(tcb_status_name(findings.qe_level->status));
    if (findings.qe_level->status == TcbStatus::revoked) {
        return failed(kQeLevel, {"a level that Intel did not revoke", found});
    }
    return passed(kQeLevel, found);
}

}  // namespace

Check tcb_checks(const Inputs& inputs, Findings& findings) {
    if (!inputs.collateral.tcb_info.has_value()) {
        return group(
            "tcb", {not_evaluated({kLevel.id, kLevel.source, kRefresh}, "no TCB info was given")});
    }
    const Statement<endorsements::TcbInfo>& info = *inputs.collateral.tcb_info;
    std::vector<Check> checks;
    add_signer_checks(checks, kTcbInfoIds, info, inputs, findings);
    if (!info.content.has_value()) {
        checks.push_back(failed(subject(kTcbInfoIds.syntax), info.content.error()));
    } else {
        findings.tcb_info = &*info.content;
        checks.push_back(passed(subject(kTcbInfoIds.syntax)));
        checks.push_back(dates_check(kTcbInfoIds.dates, *findings.tcb_info, inputs.at));
        add_rollback_check(checks, "tcb_info.rollback", *findings.tcb_info, inputs);
        findings.collateral.push_back({"TCB info", findings.tcb_info->issue_date});
        checks.push_back(model_check(inputs, findings));
    }
    const evidence::TeeTcbSvn* svn = inputs.td == nullptr ? nullptr : &inputs.td->tee_tcb_svn;
    checks.push_back(level_check(kLevel, svn, inputs, findings, findings.launch.platform));
    if (inputs.td != nullptr && inputs.td->td15.has_value()) {
        checks.push_back(level_check(kCurrentLevel, &inputs.td->td15->tee_tcb_svn_2, inputs,
                                     findings, findings.current.platform));
    }
    return group("tcb", std::move(checks));
}

Check qe_identity_checks(const sgx_arch::ReportBody& qe_report, const Inputs& inputs,
                         Findings& findings) {
    if (!inputs.collateral.qe_identity.has_value()) {
        return group("qe", {not_evaluated({kQeIdentity.id, kQeIdentity.source, kRefresh},
                                          "no QE identity was given")});
    }
    const Statement<endorsements::QeIdentity>& identity = *inputs.collateral.qe_identity;
    std::vector<Check> checks;
    add_signer_checks(checks, kQeIdentityIds, identity, inputs, findings);
    if (!identity.content.has_value()) {
        checks.push_back(failed(subject(kQeIdentityIds.syntax), identity.content.error()));
        checks.push_back(not_evaluated(kQeIdentity, "the QE identity cannot be read"));
        return group("qe", std::move(checks));
    }
    findings.qe_identity = &*identity.content;
    checks.push_back(passed(subject(kQeIdentityIds.syntax)));
    checks.push_back(dates_check(kQeIdentityIds.dates, *findings.qe_identity, inputs.at));
    add_rollback_check(checks, "qe_identity.rollback", *findings.qe_identity, inputs);
    findings.collateral.push_back({"QE identity", findings.qe_identity->issue_date});
    checks.push_back(qe_kind_check(inputs, *findings.qe_identity));
    checks.push_back(qe_identity_check(qe_report, *findings.qe_identity));
    checks.push_back(qe_level_check(qe_report, findings));
    return group("qe", std::move(checks));
}

}  // namespace eos::attestation::verify
