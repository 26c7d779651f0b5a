// SPDX-License-Identifier: AGPL-3.0-only
// Event logs against the registers of a quote, as cases state it: not whether the quote is genuine,
// which is the case of the quote itself.
#include <algorithm>
#include <iterator>

#include "client/case_outcomes.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "common/attestation/event_log/log_checks.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

namespace event_log = attestation::event_log;
namespace evidence = attestation::evidence;
namespace verify = attestation::verify;

/// What the files of a case hold together.
struct Logs {
    event_log::EventLog log;
    std::optional<EvidenceFile> quote;
};

Result<void> add_log(ByteView file, event_log::EventLog& out) {
    event_log::EventLog log = as_chars(file).starts_with("[")
                                  ? EOS_TRY(event_log::parse_runtime_log(file))
                                  : EOS_TRY(event_log::parse_ccel(file));
    std::ranges::move(log.events, std::back_inserter(out.events));
    return {};
}

Result<void> add_answer(ByteView file, Logs& out) {
    const json::Value root = EOS_TRY(json::parse(file, {.size_bytes = event_log::kMaxLogBytes}));
    DstackAnswer answer = EOS_TRY(parse_dstack_answer(root));
    out.quote = std::move(answer.quote);
    return add_log(as_bytes(answer.event_log), out.log);
}

Result<void> add_file(Bytes file, Logs& out) {
    const std::string_view text = as_chars(file);
    if (text.starts_with("{")) return add_answer(file, out);
    if (text.starts_with("CCEL")) {
        EOS_TRY(event_log::parse_ccel_table(file));
        return {};
    }
    EvidenceFile inside = unwrap_evidence(file);
    if (!evidence::parse_quote(inside.bytes)) return add_log(file, out.log);
    out.quote = std::move(inside);
    return {};
}

/// Whether the statement is about this register: it names none, or it among them ("RTMR3",
/// "RTMR0..2").
bool is_about(std::string_view stated, std::size_t rtmr) {
    constexpr std::string_view kWord = "RTMR";
    const std::size_t at = stated.find(kWord);
    if (at == stated.npos || stated.size() <= at + kWord.size()) return true;
    stated.remove_prefix(at + kWord.size());
    const auto number = [](char digit) { return static_cast<std::size_t>(digit - '0'); };
    const std::size_t first = number(stated[0]);
    const bool is_range = stated.size() > 3 && stated.substr(1, 2) == "..";
    return first <= rtmr && rtmr <= (is_range ? number(stated[3]) : first);
}

/// The registers that the statement is about and that did not replay; then the content.
std::vector<const verify::Check*> refuted(const verify::Check& checks, std::string_view stated) {
    std::vector<const verify::Check*> out;
    const auto ask = [&](const std::string& id) {
        const verify::Check* node = find_check(checks, id);
        if (node->verdict != verify::Verdict::pass) out.push_back(node);
    };
    for (std::size_t rtmr = 0; rtmr < event_log::kRtmrCount; ++rtmr) {
        if (is_about(stated, rtmr)) ask("event_log.rtmr" + std::to_string(rtmr));
    }
    ask("event_log.content");
    return out;
}

bool states_refusal(std::string_view stated) {
    return stated.starts_with("REJECT") || stated.find("not replay") != stated.npos;
}

bool is_as_stated(std::string_view stated, const CaseResult& result) {
    if (result.found == "REJECT") {
        return states_refusal(stated) && is_stated_reason(stated, result.failed);
    }
    return !states_refusal(stated) && stated.find("replay") != stated.npos;
}

CaseResult replayed(const evidence::TdxQuote& quote, const event_log::EventLog& log,
                    const EvidenceCase& one) {
    const verify::Check checks = event_log::check_event_log(quote.report.rtmr, log);
    CaseResult out;
    out.found = "replays";
    out.deciding_node = "event_log";
    for (const verify::Check* node : refuted(checks, one.verdict)) {
        if (out.failed.empty()) {
            out.found = "REJECT";
            out.deciding_node = node->id;
            out.detail = node->notes.front();
        }
        out.failed.push_back(node->id);
    }
    out.agreement = is_as_stated(one.verdict, out) ? Agreement::agree : Agreement::differ;
    return out;
}

}  // namespace

Result<DstackAnswer> parse_dstack_answer(const json::Value& answer) {
    json::Object object = EOS_TRY(json::Object::of(answer, ""));
    const std::string quote = EOS_TRY(object.text("quote", 2 * evidence::kMaxQuoteBytes));
    const json::Value* log = EOS_TRY(object.require("event_log"));
    return DstackAnswer{unwrap_evidence(to_bytes(quote)),
                        log->is_string() ? log->get<std::string>() : json::compact(*log)};
}

Result<CaseResult> run_event_logs(const std::filesystem::path& folder, const EvidenceCase& one) {
    if (one.files.empty()) return fail(bad_case, one.id + ": it has no files");
    Logs logs;
    for (const std::string& name : one.files) {
        Bytes file = EOS_TRY(read_file(folder / name, event_log::kMaxLogBytes));
        const Result<void> added = add_file(std::move(file), logs);
        if (!added) return refused_syntax(added.error());
    }
    if (!logs.quote.has_value()) {
        if (const auto other = EOS_TRY(referred_case(folder, one))) {
            CaseEvidence loaded = EOS_TRY(load_case(folder, *other));
            logs.quote = {.bytes = std::move(loaded.evidence),
                          .taken_off = std::move(loaded.taken_off)};
        }
    }
    if (!logs.quote.has_value()) {
        CaseResult out;
        out.found = "parse only";
        out.deciding_node = "event_log.syntax";
        const bool agrees = one.verdict.starts_with(out.found);
        out.agreement = agrees ? Agreement::agree : Agreement::differ;
        return out;
    }
    const Result<evidence::Evidence> parsed = evidence::parse_quote(logs.quote->bytes);
    if (!parsed) return refused_syntax(parsed.error());
    const auto* quote = std::get_if<evidence::TdxQuote>(&parsed->quote());
    if (quote == nullptr) return fail(bad_case, one.id + ": the quote has no registers");
    CaseResult out = replayed(*quote, logs.log, one);
    out.taken_off = std::move(logs.quote->taken_off);
    return out;
}

}  // namespace eos::client
