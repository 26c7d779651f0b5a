// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/request.h"

#include <algorithm>

#include "common/attestation/evidence/quote.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestd {
namespace {

namespace endorsements = attestation::endorsements;
namespace event_log = attestation::event_log;

constexpr std::size_t kMaxDepth = 8;
/// Lists of ids and of a policy's pins are all that has many.
constexpr std::size_t kMaxValues = 16 * 1024;
constexpr std::size_t kMaxIdChars = 128;

/// How many characters this many bytes take in base64.
constexpr std::size_t base64_chars(std::size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

/// An error of a member, with its name in front.
Error within(Error error, std::string_view name) {
    return std::move(error).within(name);
}

/// A member of base64, or nothing where it is absent, null or empty: stock clients write all three.
Result<std::optional<Bytes>> base64_member(json::Object& object, std::string_view name,
                                           std::size_t max_bytes) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    std::string text = EOS_TRY(json::as_text(*value, name, base64_chars(max_bytes)));
    if (text.empty()) return std::nullopt;
    Result<Bytes> bytes = from_base64(text);
    if (!bytes) return fail(within(std::move(bytes).error(), name));
    return *std::move(bytes);
}

Result<std::string> text_or_empty(json::Object& object, std::string_view name,
                                  std::size_t max_bytes) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) return std::string();
    return json::as_text(*value, name, max_bytes);
}

Result<bool> flag(json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) return false;
    const auto* set = value->get_ptr<const bool*>();
    if (set == nullptr) return fail(json::wrong_type, std::string(name) + ": true or false");
    return *set;
}

/// Run-time logs are JSON, firmware's is binary.
Result<event_log::EventLog> parse_log(ByteView bytes) {
    bool is_json = !bytes.empty() && (bytes.front() == std::byte{'['});
    return is_json ? event_log::parse_runtime_log(bytes) : event_log::parse_ccel(bytes);
}

Result<void> read_collateral(json::Object& object, VerifyRequest& out) {
    std::optional<Bytes> bytes =
        EOS_TRY(base64_member(object, "collateral", endorsements::kMaxBundleBytes));
    if (!bytes) return {};
    Result<endorsements::Endorsements> parsed = endorsements::parse_endorsements(*bytes);
    if (!parsed) return fail(within(std::move(parsed).error(), "collateral"));
    out.collateral = *std::move(parsed);
    return {};
}

/// Of the text of a value at least this much is in it.
std::size_t least_text_bytes(const json::Value& value) {
    if (const auto* text = value.get_ptr<const std::string*>()) return text->size();
    if (!value.is_structured()) return 1;
    std::size_t out = 2;
    for (auto at = value.begin(); at != value.end(); ++at)
        out += least_text_bytes(*at) + (value.is_object() ? at.key().size() : 0);
    return out;
}

Result<void> read_policy(json::Object& object, VerifyRequest& out) {
    const json::Value* value = object.find("policy");
    if (value == nullptr || value->is_null()) return {};
    if (least_text_bytes(*value) > attestation::appraise::kMaxPolicyBytes)
        return fail(json::too_large, "policy");
    std::string text = json::compact(*value);
    Result<attestation::appraise::Policy> policy =
        attestation::appraise::parse_policy(as_bytes(text));
    if (!policy) return fail(within(std::move(policy).error(), "policy"));
    out.policy = *std::move(policy);
    return {};
}

Result<void> read_report_data(json::Object& object, VerifyRequest& out) {
    std::optional<Bytes> bytes = EOS_TRY(base64_member(object, "reportData", 64));
    if (!bytes) return {};
    if (bytes->size() != 64) return fail(bad_request, "reportData: 64 bytes");
    out.report_data = to_array<64>(*bytes);
    return {};
}

Result<void> read_platform_ids(json::Object& object, VerifyRequest& out) {
    const json::Value* list = object.find("allowedPlatformIds");
    if (list == nullptr || list->is_null()) return {};
    if (!list->is_array()) return fail(json::wrong_type, "allowedPlatformIds: a list");
    if (list->size() > kMaxPlatformIds) return fail(json::out_of_range, "allowedPlatformIds");
    for (const json::Value& value : *list) {
        std::string id = EOS_TRY(json::as_text(value, "allowedPlatformIds", kMaxIdChars));
        Bytes bytes = EOS_TRY(from_hex(id));
        if (bytes.empty()) return fail(bad_request, "allowedPlatformIds: an empty one");
        out.platform_ids.push_back(hex(bytes));
    }
    return {};
}

Result<void> read_token(json::Object& object, VerifyRequest& out) {
    const json::Value* value = object.find("token");
    if (value == nullptr || value->is_null()) return {};
    json::Object token = EOS_TRY(json::Object::of(*value, "token"));
    out.token = TokenRequest{EOS_TRY(token.text("audience", kMaxAudienceBytes)),
                             EOS_TRY(token.text("nonce", kMaxNonceBytes))};
    if (out.token->audience.empty() || out.token->nonce.size() < kMinNonceBytes) {
        return fail(bad_request, "token: an audience, and a nonce of 8 to 88 characters");
    }
    EOS_TRY(token.finish());
    if (!out.policy) return {};
    return fail(bad_request, "token: only for the service's policy; leave out either of them");
}

/// What a reference client may send and this service does not look at must not be believed to have
/// been looked at.
Result<void> refuse_gpu(json::Object& object) {
    for (const char* name : {"gpuQuote", "gpuAttestation"}) {
        const json::Value* value = object.find(name);
        if (value == nullptr || value->is_null() || *value == "") continue;
        return fail(bad_request, std::string(name) + ": evidence of GPUs is not verified here");
    }
    return {};
}

}  // namespace

Result<VerifyRequest> parse_request(ByteView body, std::size_t max_bytes) {
    json::Value root = EOS_TRY(
        json::parse(body, {.size_bytes = max_bytes, .depth = kMaxDepth, .values = kMaxValues}));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    VerifyRequest out;
    std::optional<Bytes> quote = EOS_TRY(base64_member(object, "quote", max_bytes));
    if (!quote) return fail(json::missing_member, "quote");
    const std::size_t quote_bytes = attestation::evidence::without_padding(*quote).size();
    out.quote_padding_bytes = quote->size() - quote_bytes;
    quote->resize(quote_bytes);
    out.quote = *std::move(quote);
    out.tee = EOS_TRY(text_or_empty(object, "type", kMaxIdChars));
    if (std::optional<Bytes> log =
            EOS_TRY(base64_member(object, "eventLog", event_log::kMaxLogBytes))) {
        out.event_log = parse_log(*log);
    }
    out.include_event_log = EOS_TRY(flag(object, "includeEventLog"));
    EOS_TRY(read_collateral(object, out));
    EOS_TRY(read_policy(object, out));
    EOS_TRY(read_report_data(object, out));
    EOS_TRY(read_platform_ids(object, out));
    EOS_TRY(read_token(object, out));
    EOS_TRY(refuse_gpu(object));
    EOS_TRY(object.finish());
    return out;
}

}  // namespace eos::attestd
