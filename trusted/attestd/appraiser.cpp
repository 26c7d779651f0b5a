// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/appraiser.h"

#include <algorithm>

#include "common/attestation/ear/ear.h"
#include "common/attestation/event_log/event_log.h"
#include "common/base/encoding.h"
#include "common/ratls/appraise_leaf.h"
#include "trusted/attestd/status.h"

namespace eos::attestd {
namespace {

namespace appraise = attestation::appraise;
namespace endorsements = attestation::endorsements;
namespace verify = attestation::verify;
using verify::Check;
using verify::Subject;

constexpr std::string_view kSource = "docs/attestd.md, Request";
constexpr std::string_view kSnpType = "sev-snp";

/// As this service's callers name TEEs.
std::string_view type_of(std::string_view tee) {
    return tee == appraise::kTeeSnp ? kSnpType : tee;
}

std::string_view tee_of(const verify::TeeClaims& claims) {
    if (std::holds_alternative<verify::TdxClaims>(claims)) return appraise::kTeeTdx;
    return std::holds_alternative<verify::SnpClaims>(claims) ? appraise::kTeeSnp
                                                             : appraise::kTeeSgx;
}

Check type_check(const std::string& expected, const verify::VerifiedEvidence& evidence) {
    constexpr Subject kSubject{"request.type", kSource, "leave out type, or send the other quote"};
    std::string found(type_of(tee_of(evidence.claims())));
    if (expected == found) return passed(kSubject, found);
    return failed(kSubject, {printable(as_bytes(expected)), found});
}

/// The names under which a platform can be listed.
std::vector<std::string> ids_of(const verify::TeeClaims& claims) {
    if (const auto* snp = std::get_if<verify::SnpClaims>(&claims)) {
        return {hex(snp->report.chip_id)};
    }
    const auto* tdx = std::get_if<verify::TdxClaims>(&claims);
    const endorsements::PckExtension& platform =
        tdx != nullptr ? tdx->platform : std::get<verify::SgxClaims>(claims).platform;
    std::vector<std::string> out{hex(platform.ppid)};
    if (platform.platform_instance_id) out.push_back(hex(*platform.platform_instance_id));
    return out;
}

Check platform_check(const std::vector<std::string>& allowed,
                     const verify::VerifiedEvidence& evidence) {
    constexpr Subject kSubject{"request.platform", kSource,
                               "the evidence is of another machine than those of the request"};
    const std::vector<std::string> ids = ids_of(evidence.claims());
    for (const std::string& id : ids) {
        // A masked chip id is nobody's.
        bool is_zero = id.find_first_not_of('0') == std::string::npos;
        if (!is_zero && std::ranges::find(allowed, id) != allowed.end())
            return passed(kSubject, id);
    }
    return failed(kSubject, {std::to_string(allowed.size()) + " platforms", ids.front()});
}

/// What the request asks beyond policy and binding.
Check request_checks(const VerifyRequest& request, const verify::Verification& verification) {
    std::vector<Check> checks;
    const verify::VerifiedEvidence* evidence = verification.evidence();
    if (evidence != nullptr) {
        if (!request.tee.empty()) checks.push_back(type_check(request.tee, *evidence));
        if (!request.platform_ids.empty()) {
            checks.push_back(platform_check(request.platform_ids, *evidence));
        }
    }
    return group("request", std::move(checks));
}

bool asks_more(const VerifyRequest& request) {
    return !request.tee.empty() || !request.platform_ids.empty();
}

bool passes(const Check& tree, std::string_view id) {
    const Check* check = find_check(tree, id);
    return check != nullptr && check->verdict == verify::Verdict::pass;
}

/// Copies a claim under the name that callers know it by, if it is there.
void copy(json::Value& out, const char* name, const json::Value& claims, const char* claim) {
    if (auto found = claims.find(claim); found != claims.end()) out[name] = *found;
}

json::Value platform_of(const json::Value& claims) {
    json::Value out = json::Value::object();
    copy(out, "chipId", claims, "chip_id");
    auto platform = claims.find("platform");
    if (platform == claims.end() || !platform->is_object()) return out;
    copy(out, "ppid", *platform, "ppid");
    copy(out, "platformInstanceId", *platform, "platform_instance_id");
    copy(out, "fmspc", *platform, "fmspc");
    return out;
}

/// What genuine evidence says, in the reference's words.
void add_claims(json::Value& out, const json::Value& claims, const Check& tree) {
    out["teeType"] = type_of(claims.value("tee", std::string()));
    copy(out, "mrenclave", claims, "mr_enclave");
    copy(out, "mrsigner", claims, "mr_signer");
    copy(out, "isvProdId", claims, "isv_prod_id");
    copy(out, "isvSvn", claims, "isv_svn");
    copy(out, "mrtd", claims, "mr_td");
    copy(out, "measurement", claims, "measurement");
    copy(out, "hostData", claims, "host_data");
    copy(out, "reportData", claims, "report_data");
    copy(out, "debug", claims, "debug");
    if (claims.contains("rtmr0")) {
        out["rtmrs"] = json::Value::array();
        for (const char* name : {"rtmr0", "rtmr1", "rtmr2", "rtmr3"})
            out["rtmrs"].push_back(claims.value(name, std::string()));
    }
    out["platform"] = platform_of(claims);
    out["pckRevocationChecked"] =
        passes(tree, "crl.ark") || (passes(tree, "crl.root") && passes(tree, "crl.pck"));
    auto tcb = claims.find("tcb");
    if (tcb == claims.end() || !tcb->is_object()) return;
    copy(out, "tcbStatus", *tcb, "status");
    copy(out, "tcbDate", *tcb, "date");
    copy(out, "advisoryIds", *tcb, "advisories");
}

json::Value events_of(const attestation::event_log::EventLog& log) {
    json::Value out = json::Value::array();
    for (const attestation::event_log::Event& event : log.events) {
        out.push_back({{"imr", event.rtmr},
                       {"type", attestation::event_log::type_name(event.type)},
                       {"digest", hex(event.digest)},
                       {"description", attestation::event_log::describe(event)}});
    }
    return out;
}

Result<void> add_token(json::Value& out, const VerifyRequest& request, const Standing& standing,
                       const appraise::AttestationResult& result, UnixTime now) {
    if (!request.token) return {};
    if (!standing.signer) return fail(no_tokens);
    attestation::ear::TokenOptions options{.issuer = standing.signer->issuer,
                                           .audience = request.token->audience,
                                           .nonce = request.token->nonce,
                                           .now = now,
                                           .life_s = standing.signer->life_s};
    out["token"] =
        EOS_TRY(attestation::ear::sign(result, standing.policy, options, standing.signer->key));
    return {};
}

}  // namespace

appraise::Policy default_policy(verify::Roots roots) {
    appraise::Policy out;
    // Emulated hardware is always in debug mode, and says so.
    const bool is_emulated = roots.kind() == verify::RootKind::test;
    out.name = is_emulated ? "built in, EMULATED: any program, up to date"
                           : "built in: any program, up to date, no debug";
    if (is_emulated) out.debug = appraise::DebugRule::allow_emulated;
    out.roots = std::move(roots);
    out.tees = {std::string(appraise::kTeeSgx), std::string(appraise::kTeeTdx),
                std::string(appraise::kTeeSnp)};
    out.allow_any_identity = true;
    out.bindings = {std::string(appraise::kBindingReportData)};
    out.leaf_binding = appraise::LeafBindingRule::optional;
    out.waivers = {"assurance"};
    return out;
}

Result<void> check_roots(const appraise::Policy& policy, verify::RootKind kind) {
    if (policy.roots.kind() == kind) return {};
    return fail(wrong_roots, kind == verify::RootKind::vendor
                                 ? "evidence of emulated hardware is not taken here"
                                 : "this is the program for emulated hardware");
}

Result<endorsements::Endorsements> merged(const endorsements::Endorsements& service,
                                          const endorsements::Endorsements& caller) {
    if (service.pieces.empty()) return caller;
    endorsements::Endorsements out = service;
    // What is not kept by key in bundles is taken as it is, below.
    endorsements::Endorsements keyed = caller;
    keyed.amd.certificates.clear();
    keyed.amd.ask_crl.reset();
    std::vector<endorsements::Piece> more = EOS_TRY(to_pieces(keyed, {}, "request"));
    bool has_amd_list = false;
    for (const endorsements::Piece& piece : service.pieces)
        has_amd_list = has_amd_list || piece.kind == endorsements::PieceKind::amd_crl;
    for (endorsements::Piece& piece : more) {
        if (find_piece(out.pieces, piece.kind, piece.key) != nullptr) continue;
        out.pieces.push_back(std::move(piece));
    }
    out.amd.certificates = caller.amd.certificates;
    if (!has_amd_list) out.amd.ark_crl = caller.amd.ark_crl;
    out.amd.ask_crl = caller.amd.ask_crl;
    return out;
}

Result<Answer> answer(const VerifyRequest& request, const Standing& standing, UnixTime now,
                      verify::SignatureMemo* memo) {
    const bool is_callers = request.policy.has_value();
    const appraise::Policy& policy = is_callers ? *request.policy : standing.policy;
    // A program for one kind of root never judges by the other, whoever asks.
    EOS_TRY(check_roots(policy, standing.policy.roots.kind()));
    verify::Collateral collateral = standing.collateral;
    if (request.collateral)
        collateral = EOS_TRY(merged(standing.collateral.endorsements(), *request.collateral));
    ratls::EvidenceInput input{.evidence = request.quote, .expected = {}};
    if (request.report_data) input.expected = ratls::StatedReportData{*request.report_data};
    if (asks_more(request)) {
        input.more = [&](const verify::Verification& verification) {
            return request_checks(request, verification);
        };
    }
    if (request.event_log) input.event_log = &*request.event_log;
    input.memo = memo;
    const appraise::AttestationResult result =
        ratls::appraise_evidence(input, collateral, policy, now);

    Answer out;
    out.status = status_of(result, request.report_data ? Binding::stated : Binding::left_to_caller);
    out.body = {{"success", out.status == "OK"},
                {"status", out.status},
                {"message", result.summary()},
                {"policy",
                 {{"decidedBy", is_callers ? "caller" : "service"},
                  {"name", printable(as_bytes(policy.name))},
                  {"sha256", hex(result.policy_hash())}}},
                {"verdict", result.to_json()}};
    if (request.quote_padding_bytes != 0) {
        out.body["quotePaddingBytes"] = request.quote_padding_bytes;
    }
    if (out.status != "OK") out.body["error"] = out.status + ": " + result.summary();
    if (result.claims().is_object()) add_claims(out.body, result.claims(), result.tree());
    if (request.event_log) {
        out.body["eventLogVerified"] = passes(result.tree(), "event_log");
        // Events of nothing genuine would only make the answer large.
        const bool is_listed = request.include_event_log && result.claims().is_object();
        if (is_listed && *request.event_log) {
            out.body["eventLog"] = events_of(**request.event_log);
        }
    }
    EOS_TRY(add_token(out.body, request, standing, result, now));
    return out;
}

}  // namespace eos::attestd
