// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/attest_message.h"

#include <algorithm>
#include <array>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::ratls {
namespace {

constexpr std::uint64_t kVersion = 2;
constexpr std::size_t kDepth = 16;
constexpr std::size_t kMaxWordBytes = 32;
constexpr std::size_t kMinuteBytes = 17;  // "2026-09-04T10:15Z"
constexpr std::array<std::string_view, 3> kTees = {"sgx", "tdx", "sev-snp"};

Error bad_member(std::string_view member) {
    return Error(bad_attest_message, std::string(member));
}

bool is_absent(const json::Value* value) {
    return value == nullptr || value->is_null();
}

// Other implementations pad; the strict decoder does not know padding.
Result<Bytes> base64url_member(json::Object& object, std::string_view member,
                               std::size_t max_bytes) {
    std::string text = EOS_TRY(object.text(member, max_bytes * 4 / 3 + 4));
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.pop_back();
    Result<Bytes> bytes = from_base64url(text);
    if (!bytes || bytes->size() > max_bytes) return fail(bad_member(member));
    return bytes;
}

Result<ByteArray<32>> array_member(json::Object& object, std::string_view member) {
    Bytes bytes = EOS_TRY(base64url_member(object, member, 32));
    if (bytes.size() != 32) return fail(bad_member(member));
    return to_array<32>(bytes);
}

Result<void> expect_version(json::Object& object) {
    if (EOS_TRY(object.number("v", 0xffff)) != kVersion) return fail(bad_member("v"));
    return {};
}

std::string_view mode_word(AttestMode mode) {
    return mode == AttestMode::kChallenge ? "challenge" : "deterministic";
}

Result<AttestMode> mode_from(const std::string& word) {
    if (word == mode_word(AttestMode::kChallenge)) return AttestMode::kChallenge;
    if (word == mode_word(AttestMode::kDeterministic)) return AttestMode::kDeterministic;
    return fail(bad_member("mode"));
}

Result<UnixTime> minute_member(json::Object& object, std::string_view member) {
    std::string text = EOS_TRY(object.text(member, kMinuteBytes));
    if (text.size() != kMinuteBytes) return fail(bad_member(member));
    Result<UnixTime> time = parse_rfc3339(text.insert(kMinuteBytes - 1, ":00"));
    if (!time) return fail(bad_member(member));
    return time;
}

}  // namespace

Result<AttestRequest> parse_attest_request(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxAttestRequestBytes, .depth = kDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(expect_version(object));
    std::string mode = EOS_TRY(object.text("mode", kMaxWordBytes));
    if (mode == "present") return fail(client_evidence_unwanted);
    AttestRequest out;
    out.mode = EOS_TRY(mode_from(mode));
    out.leaf = EOS_TRY(array_member(object, "leaf"));
    if (out.mode == AttestMode::kChallenge) {
        out.context = EOS_TRY(array_member(object, "context"));
    } else if (!is_absent(object.find("context"))) {
        return fail(bad_member("context"));
    }
    return out;
}

Result<AttestResponse> parse_attest_response(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxAttestResponseBytes, .depth = kDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(expect_version(object));
    AttestResponse out;
    out.mode = EOS_TRY(mode_from(EOS_TRY(object.text("mode", kMaxWordBytes))));
    out.tee = EOS_TRY(object.text("tee", kMaxWordBytes));
    if (std::ranges::find(kTees, out.tee) == kTees.end()) return fail(bad_member("tee"));
    out.quote = EOS_TRY(base64url_member(object, "quote", kMaxAttestResponseBytes));
    if (out.quote.empty()) return fail(bad_member("quote"));
    out.quote_time = EOS_TRY(minute_member(object, "quote_time"));
    // Its hash would be part of the report data, and nobody here would verify it.
    if (!is_absent(object.find("gpu_evidence"))) return fail(bad_member("gpu_evidence"));
    const json::Value* wanted = object.find("client_evidence");
    if (!is_absent(wanted) && *wanted != "none") return fail(bad_member("client_evidence"));
    return out;
}

std::string to_text(const AttestRequest& request) {
    json::Value out = {
        {"v", kVersion}, {"mode", mode_word(request.mode)}, {"leaf", base64url(request.leaf)}};
    if (request.context) out["context"] = base64url(*request.context);
    return json::compact(out);
}

std::string to_text(const AttestResponse& response) {
    return json::compact({{"v", kVersion},
                          {"mode", mode_word(response.mode)},
                          {"tee", response.tee},
                          {"quote", base64url(response.quote)},
                          {"gpu_evidence", nullptr},
                          {"quote_time", minute_string(response.quote_time)},
                          {"client_evidence", "none"},
                          {"client_context", nullptr}});
}

}  // namespace eos::ratls
