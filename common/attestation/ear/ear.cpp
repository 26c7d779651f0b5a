// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/ear/ear.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/jose/jws.h"

namespace eos::attestation::ear {
namespace {

using appraise::AttestationResult;
using appraise::Outcome;
using appraise::Policy;
using verify::Check;
using verify::Verdict;

constexpr std::size_t kMinNonce = 8;
constexpr std::size_t kMaxNonce = 88;
constexpr std::size_t kMaxName = 256;
// How far the clocks of Verifier and Relying Party may be apart, and a result older than its token.
constexpr std::int64_t kMaxSkew_s = 60;

// AR4SI's values that are used here; 2..31 affirm, 32..95 warn, 96..127 contraindicate.
constexpr int kAffirmed = 2;
constexpr int kBootApproved = 3;
constexpr int kKnownHoles = 32;
constexpr int kUnrecognizedCode = 33;
constexpr int kContraindicated = 96;
constexpr int kUnrecognized = 97;
constexpr int kNotGenuine = 99;

Status tier(int value) {
    if (value >= kContraindicated) return Status::contraindicated;
    if (value >= kKnownHoles) return Status::warning;
    return value >= kAffirmed ? Status::affirming : Status::none;
}

Verdict verdict_of(const AttestationResult& result, std::string_view id) {
    const Check* check = verify::find_check(result.tree(), id);
    return check == nullptr ? Verdict::not_evaluated : check->verdict;
}

/// The string at a path of members, empty if there is none.
std::string text_at(const json::Value& value, std::initializer_list<std::string_view> path) {
    const json::Value* at = &value;
    for (std::string_view name : path) {
        if (!at->is_object()) return {};
        auto member = at->find(name);
        if (member == at->end()) return {};
        at = &*member;
    }
    const auto* text = at->get_ptr<const std::string*>();
    return text == nullptr ? std::string() : *text;
}

bool is_emulated(const AttestationResult& result) {
    return result.outcome() == Outcome::accepted_emulated ||
           (result.claims().is_object() && result.claims().value("emulated", true));
}

int hardware(const AttestationResult& result) {
    if (!result.claims().is_object()) return kNotGenuine;
    if (is_emulated(result)) return kUnrecognized;
    for (const char* id : {"tcb.status", "snp.tcb"})
        if (verdict_of(result, id) == Verdict::fail) return kContraindicated;
    // Intel states a status; for AMD it is the policy that names a minimum.
    bool current = text_at(result.claims(), {"tcb", "status"}) == "UpToDate" ||
                   verdict_of(result, "snp.tcb") == Verdict::pass;
    return current ? kAffirmed : kKnownHoles;
}

int executables(const AttestationResult& result, const Policy& policy) {
    if (!result.claims().is_object()) return kNotGenuine;
    constexpr std::array kIdentities{"identity.enclave", "identity.td", "identity.guest"};
    bool known = std::ranges::any_of(
        kIdentities, [&](const char* id) { return verdict_of(result, id) == Verdict::pass; });
    if (!known) return kContraindicated;
    // A pin of the firmware alone leaves the kernel open.
    bool leaves_open = std::ranges::any_of(policy.identity, [](const appraise::IdentityPin& pin) {
        const auto* td = std::get_if<appraise::TdPin>(&pin.identity);
        return td != nullptr && td->scope == appraise::TdScope::firmware_only;
    });
    return policy.allow_any_identity || leaves_open ? kUnrecognizedCode : kBootApproved;
}

int runtime_opaque(const AttestationResult& result) {
    if (!result.claims().is_object()) return kNotGenuine;
    bool open = is_emulated(result) || result.claims().value("debug", true);
    return open ? kContraindicated : kAffirmed;
}

/// Categories about which something is known; the others are 0, which is not written.
json::Value trust_vector(const AttestationResult& result, const Policy& policy) {
    json::Value out = {{"hardware", hardware(result)},
                       {"executables", executables(result, policy)},
                       {"runtime-opaque", runtime_opaque(result)}};
    Verdict platform = verdict_of(result, "identity.platform");
    if (platform == Verdict::pass) out["instance-identity"] = kAffirmed;
    if (platform == Verdict::fail) out["instance-identity"] = kUnrecognized;
    Verdict configuration = verdict_of(result, "configuration");
    if (configuration == Verdict::fail) {
        out["configuration"] = kContraindicated;
    } else if (configuration == Verdict::pass && !policy.required.empty()) {
        out["configuration"] = kAffirmed;
    }
    return out;
}

std::string policy_id(const crypto::Digest32& hash) {
    return "sha-256:" + hex(hash);
}

Result<void> check_options(const AttestationResult& result, const TokenOptions& options) {
    if (options.policy_owner != PolicyOwner::service) {
        return fail(not_signed, "a caller's policy: the answer is JSON without signature");
    }
    auto named = [](const std::string& text) { return !text.empty() && text.size() <= kMaxName; };
    if (!named(options.issuer)) return fail(not_signed, "issuer: 1 to 256 characters");
    if (!named(options.audience)) return fail(not_signed, "audience: 1 to 256 characters");
    if (options.nonce.size() < kMinNonce || options.nonce.size() > kMaxNonce) {
        return fail(not_signed, "nonce: 8 to 88 characters");
    }
    if (options.life_s < 1 || options.life_s > kMaxLifeSeconds) {
        return fail(not_signed, "a token lives 1 to 300 seconds");
    }
    std::int64_t age_s = options.now - result.time();
    if (age_s < -kMaxSkew_s || age_s > kMaxSkew_s) {
        return fail(not_signed, "the evidence was appraised as of " + rfc3339(result.time()));
    }
    return {};
}

Result<void> same(const json::Value& claims, const char* name, const std::string& expected) {
    if (!expected.empty() && text_at(claims, {name}) == expected) return {};
    return fail(bad_ear, std::string(name) + " is not " + printable(as_bytes(expected)));
}

Result<std::int64_t> seconds(const json::Value& claims, const char* name) {
    auto member = claims.find(name);
    // Later than any date of ours, and far from overflow.
    constexpr std::int64_t kEnd = 253'402'300'799;
    if (member == claims.end() || !member->is_number_integer()) return fail(bad_ear, name);
    auto value = member->get<std::int64_t>();
    if (value < 0 || value > kEnd) return fail(bad_ear, name);
    return value;
}

Result<void> check_times(const json::Value& claims, UnixTime now) {
    std::int64_t issued = EOS_TRY(seconds(claims, "iat"));
    std::int64_t expires = EOS_TRY(seconds(claims, "exp"));
    if (expires <= issued || expires - issued > kMaxLifeSeconds) {
        return fail(bad_ear, "exp: at most 300 s after iat");
    }
    if (issued > now.seconds + kMaxSkew_s) return fail(bad_ear, "iat is in the future");
    if (expires <= now.seconds) return fail(bad_ear, "exp has passed");
    return {};
}

Result<Status> read_status(const json::Value& submod) {
    std::string name = text_at(submod, {"ear.status"});
    for (Status status :
         {Status::none, Status::affirming, Status::warning, Status::contraindicated}) {
        if (name == status_name(status)) return status;
    }
    return fail(bad_ear, "ear.status");
}

}  // namespace

std::string_view status_name(Status status) {
    switch (status) {
        case Status::none:
            return "none";
        case Status::affirming:
            return "affirming";
        case Status::warning:
            return "warning";
        case Status::contraindicated:
            return "contraindicated";
    }
    __builtin_unreachable();
}

Status status_of(const AttestationResult& result, const Policy& policy) {
    EOS_ASSERT(appraise::policy_hash(policy) == result.policy_hash());
    if (result.outcome() != Outcome::accepted) return Status::contraindicated;
    Status worst = Status::affirming;
    if (!verify::summarise(result.tree()).waived.empty()) worst = Status::warning;
    for (const json::Value& value : trust_vector(result, policy))
        worst = std::max(worst, tier(value.get<int>()));
    return worst;
}

Result<std::string> sign(const AttestationResult& result, const Policy& policy,
                         const TokenOptions& options, const crypto::P256PrivateKey& key) {
    EOS_TRY(check_options(result, options));
    std::string tee = text_at(result.claims(), {"tee"});
    json::Value submod = {
        {"ear.status", status_name(status_of(result, policy))},
        {"ear.trustworthiness-vector", trust_vector(result, policy)},
        {"ear.appraisal-policy-id", policy_id(result.policy_hash())},
        {"enclave_os.verdict", result.to_json()},
        {"enclave_os.policy", {{"decided_by", "service"}, {"name", policy.name}}}};
    json::Value claims = {
        {"eat_profile", kProfile},
        {"iss", options.issuer},
        {"aud", options.audience},
        {"eat_nonce", options.nonce},
        {"iat", options.now.seconds},
        {"exp", options.now.seconds + options.life_s},
        {"ear.verifier-id", {{"developer", "enclave-os"}, {"build", "enclave-os verify 1"}}},
        {"submods", {{tee.empty() ? "evidence" : tee, submod}}}};
    return jose::sign_es256(claims, kTokenType, key);
}

Result<Token> verify(std::string_view token, const Expected& expected,
                     const crypto::P256PublicKey& key) {
    json::Value claims = EOS_TRY(jose::verify_es256(token, kTokenType, key));
    EOS_TRY(same(claims, "eat_profile", std::string(kProfile)));
    EOS_TRY(same(claims, "iss", expected.issuer));
    EOS_TRY(same(claims, "aud", expected.audience));
    EOS_TRY(same(claims, "eat_nonce", expected.nonce));
    EOS_TRY(check_times(claims, expected.now));
    auto submods = claims.find("submods");
    if (submods == claims.end() || !submods->is_object() || submods->size() != 1) {
        return fail(bad_ear, "submods: exactly one");
    }
    const json::Value& submod = *submods->begin();
    if (text_at(submod, {"ear.appraisal-policy-id"}) != policy_id(expected.policy_hash)) {
        return fail(bad_ear, "ear.appraisal-policy-id is that of another policy");
    }
    Status status = EOS_TRY(read_status(submod));
    return Token{status, std::move(claims)};
}

}  // namespace eos::attestation::ear
