// SPDX-License-Identifier: AGPL-3.0-only
// Whether what was found of a case is the verdict that its row states, and for the reason stated.
#include <algorithm>
#include <array>

#include "client/case_outcomes.h"

namespace eos::client {
namespace {

/// Words of a stated rejection, in small letters, and the nodes that say the same.
struct Reason {
    std::string_view words;
    std::array<std::string_view, 8> nodes;  ///< a node or, with a dot behind, a group
};

/// The first row whose words occur decides, so that the narrower ones stand above the wider.
/// docs/evidence.md has the same table.
constexpr auto kReasons = std::to_array<Reason>({
    {"self-signature", {"certificate.signature"}},
    {"sha-1", {"certificate.signature"}},
    {"sha1", {"certificate.signature"}},
    {"no pck chain", {"quote.syntax", "pck.certificates"}},
    {"bytes instead of", {"quote.syntax"}},
    {"tcb info signature", {"tcb_info.signature"}},
    {"tcbinfo signature", {"tcb_info.signature"}},
    {"qe identity signature", {"qe_identity.signature"}},
    {"qe report signature", {"qe.report_signature"}},
    {"tpm quote signature", {"tpm.signature"}},
    {"tpm2 quote signature", {"tpm.signature"}},
    {"tpm signature", {"tpm.signature"}},
    {"ak signature", {"tpm.signature"}},
    {"quote signature", {"quote.signature", "tpm.signature"}},
    {"report signature", {"report.signature"}},
    {"qe report binding", {"qe.binding"}},
    {"qe report data", {"qe.binding"}},
    {"qe binding", {"qe.binding"}},
    {"attestation key hash", {"qe.binding"}},
    {"qe auth data size", {"quote.syntax", "qe.binding"}},
    {"qe auth", {"qe.binding"}},
    {"attestation key", {"qe.binding", "quote.signature", "quote.syntax"}},
    {"untrusted root",
     {"pck.root", "pck.chain", "vek.root", "vek.chain", "tcb_info.root", "tcb_info.chain",
      "qe_identity.root", "qe_identity.chain"}},
    {"not signed by the amd", {"vek.chain"}},
    {"no matching tcb level", {"tcb.", "tdx_module."}},
    {"tdx module", {"tdx_module."}},
    {"fmspc", {"tcb_info.platform"}},
    {"tcb info expired", {"tcb_info.dates", "tcb_info.validity"}},
    {"tcb info", {"tcb_info.", "tcb."}},
    {"tcbinfo", {"tcb_info.", "tcb."}},
    {"tcb sign", {"tcb_info.", "qe_identity."}},
    {"qe identity", {"qe_identity.", "qe.identity", "qe.level"}},
    {"crl", {"crl."}},
    {"certificate revoked", {"crl."}},
    {"revoked certificate", {"crl."}},
    {"revoked", {"crl.", "tcb.", "tdx_module.", "qe.level"}},
    {"expired",
     {"pck.validity", "vek.validity", "tcb_info.", "qe_identity.", "crl.", "certificate.validity"}},
    {"not yet valid",
     {"pck.validity", "vek.validity", "tcb_info.", "qe_identity.", "crl.", "certificate.validity"}},
    {"does not parse", {"quote.syntax", "pck.certificates", "pck.chain", "vek.certificates"}},
    {"pcr", {"tpm.pcr_digest", "tpm.pcrs", "tpm.selection"}},
    {"nonce", {"nonce", "tpm.nonce", "report_data"}},
    {"runtime data", {"hcl.report_data", "quote.syntax"}},
    {"report data",
     {"report_data", "hcl.report_data", "hcl.td_report", "quote.signature", "report.signature"}},
    {"rtmr",
     {"event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2", "event_log.rtmr3",
      "quote.signature"}},
    {"replay", {"event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2", "event_log.rtmr3"}},
    {"event log content", {"event_log.content"}},
    {"event log", {"event_log.", "quote.syntax"}},
    {"chip id", {"report.chip_id"}},
    {"certificate signature", {"pck.", "vek.", "quote.syntax", "certificate.signature"}},
    {"pck", {"pck.", "quote.syntax"}},
    {"intermediate", {"pck.", "vek.", "quote.syntax"}},
    {"vcek", {"vek.", "report.", "quote.syntax"}},
    {"vlek", {"vek.", "report.", "quote.syntax"}},
    {"debug", {"attributes.debug"}},  // a policy's: no case is rejected for it
    {"vendor id", {"quote.syntax"}},
    {"unsupported", {"quote.syntax"}},
    {"trailing", {"quote.syntax", "pck.certificates", "vek.certificates"}},
    {"truncated", {"quote.syntax", "pck.certificates", "vek.certificates"}},
});

/// The statement in small letters, spaces between its words, without the nonce that it gives, which
/// is no reason.
std::string reason_text(std::string_view stated) {
    constexpr std::string_view kNonce = "nonce \"";
    std::string out(stated);
    const std::size_t from = out.find(kNonce);
    if (from != out.npos) {
        const std::size_t end = out.find('"', from + kNonce.size());
        out.erase(from, end == out.npos ? end : end - from + 1);
    }
    std::ranges::transform(out, out.begin(), [](char c) {
        if (c == '-' || c == '_' || c == '.') return ' ';
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

const Reason* find_reason(std::string_view text) {
    const auto found = std::ranges::find_if(
        kReasons, [&](const Reason& one) { return text.find(one.words) != text.npos; });
    return found == kReasons.end() ? nullptr : &*found;
}

bool names_node(const Reason& reason, const std::string& id) {
    return std::ranges::any_of(reason.nodes, [&](std::string_view node) {
        return !node.empty() && (node.ends_with('.') ? id.starts_with(node) : id == node);
    });
}

}  // namespace

bool is_stated_reason(std::string_view stated, const std::vector<std::string>& failed) {
    const std::string text = reason_text(stated);
    // What stands in brackets explains the reason, unless there is no other.
    const Reason* reason = find_reason(std::string_view(text).substr(0, text.find('(')));
    if (reason == nullptr) reason = find_reason(text);
    return reason == nullptr || std::ranges::any_of(failed, [&](const std::string& id) {
               return names_node(*reason, id);
           });
}

bool agrees(std::string_view stated, const CaseResult& result) {
    if (stated.starts_with("REJECT")) {
        // Nothing is accepted of a platform that Intel revoked: both words say so.
        return (result.found == "REJECT" || result.found == "Revoked") &&
               is_stated_reason(stated, result.failed);
    }
    if (stated.starts_with("parse only")) {
        return std::ranges::find(result.failed, "quote.syntax") == result.failed.end();
    }
    // What is stated may go on behind the word: "VALID (signature, …)".
    return stated_word(stated) == result.found;
}

std::string_view stated_word(std::string_view stated) {
    return stated.substr(0, stated.find_first_of(" (:;,"));
}

std::optional<Bytes> stated_nonce(std::string_view stated) {
    constexpr std::string_view kWords = "nonce \"";
    const std::size_t from = stated.find(kWords);
    if (from == stated.npos) return {};
    stated.remove_prefix(from + kWords.size());
    return to_bytes(stated.substr(0, stated.find('"')));
}

}  // namespace eos::client
