// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/callers.h"

#include <algorithm>

#include "common/crypto/hash.h"

namespace eos::attestd {
namespace {

Result<std::string_view> bearer_token(const http::RequestHead& head) {
    Result<std::optional<std::string_view>> field = head.headers.single("authorization");
    if (!field || !*field) return fail(no_caller);
    constexpr std::string_view kScheme = "Bearer ";
    std::string_view value = **field;
    if (value.size() <= kScheme.size() ||
        !http::equal_ignoring_case(value.substr(0, kScheme.size()), kScheme)) {
        return fail(no_caller);
    }
    return value.substr(kScheme.size());
}

CallerId id_of(const std::string& issuer, const std::string& subject) {
    ByteArray<1> separator{};
    crypto::Digest32 digest =
        crypto::sha256({as_bytes(issuer), ByteView(separator), as_bytes(subject)});
    return to_array<16>(ByteView(digest).first(16));
}

/// In a list of names, in the names of a map's members, or as a single name.
bool names_role(const json::Value& value, std::string_view role) {
    if (value.is_object()) return value.contains(role);
    auto is_role = [&](const json::Value& one) {
        const auto* text = one.get_ptr<const std::string*>();
        return text != nullptr && *text == role;
    };
    return value.is_array() ? std::ranges::any_of(value, is_role) : is_role(value);
}

bool member_names_role(const json::Value& claims, const std::string& name, std::string_view role) {
    auto member = claims.find(name);
    return member != claims.end() && names_role(*member, role);
}

}  // namespace

bool has_role(const json::Value& claims, std::string_view role, const std::string& claim) {
    if (!claims.is_object() || role.empty()) return false;
    if (member_names_role(claims, "roles", role)) return true;
    if (!claim.empty() && member_names_role(claims, claim, role)) return true;
    auto realm = claims.find("realm_access");
    return realm != claims.end() && realm->is_object() && member_names_role(*realm, "roles", role);
}

std::vector<std::size_t> TokenVerifier::forget_old_keys(std::uint64_t now_ms) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (!keys_[i].ends_ms || now_ms < *keys_[i].ends_ms) continue;
        keys_[i] = {};
        out.push_back(i);
    }
    return out;
}

std::size_t TokenVerifier::key_count(std::size_t issuer) const {
    const KeySetPtr& keys = keys_.at(issuer).set;
    return keys == nullptr ? 0 : keys->size();
}

bool TokenVerifier::has_any_keys() const {
    return std::ranges::any_of(
        keys_, [](const Keys& keys) { return keys.set != nullptr && !keys.set->empty(); });
}

Result<std::size_t> TokenVerifier::find_issuer(std::string_view token) const {
    Result<std::string> name = jose::unverified_issuer(token);
    if (!name) return fail(std::move(name).error());
    auto found = std::ranges::find(issuers_, *name, &IssuerConfig::issuer);
    if (found == issuers_.end()) return fail(no_caller);
    return static_cast<std::size_t>(found - issuers_.begin());
}

Result<Caller> TokenVerifier::identify(const http::RequestHead& head, Role role, UnixTime now) {
    std::string_view token = EOS_TRY(bearer_token(head));
    const std::size_t index = EOS_TRY(find_issuer(token));
    const IssuerConfig& issuer = issuers_[index];
    static const std::vector<jose::IssuerKey> kNone;
    const std::vector<jose::IssuerKey>& keys = keys_[index].set ? *keys_[index].set : kNone;
    Result<json::Value> claims = jose::verify_jwt(token, keys,
                                                  {.issuer = issuer.issuer,
                                                   .audience = issuer.audience,
                                                   .algorithms = issuer.algorithms,
                                                   .now = now,
                                                   .leeway_s = leeway_s_});
    if (!claims) {
        bool may_be_new = claims.error().code() == jose::unknown_key && source_ != nullptr;
        if (may_be_new && source_->ask(index)) return fail(keys_unknown);
        return fail(std::move(claims).error());
    }
    const std::string& needed = role == Role::client ? issuer.client_role : issuer.monitoring_role;
    if (!has_role(*claims, needed, issuer.role_claim)) return fail(role_missing, needed);
    return Caller{id_of(issuer.issuer, claims->value("sub", std::string())), index};
}

CallLimiter::CallLimiter(const Rules& rules, runtime::MemoryBudget& memory)
    : rules_(rules), rate_(rules.rate), callers_(std::make_shared<Callers>()) {
    for (std::size_t i = 0; i < rules.issuers; ++i)
        callers_->issuers.emplace_back(memory, rules.issuer_share_bytes);
}

CallLimiter::Slot::~Slot() {
    if (callers_ != nullptr && --row_->second.calls == 0) callers_->rows.erase(row_);
}

Result<CallLimiter::Slot> CallLimiter::admit(const Caller& caller, std::uint64_t now_ms) {
    auto row = callers_->rows.find(caller.id);
    if (row != callers_->rows.end() && row->second.calls >= rules_.in_flight)
        return fail(too_many_calls, "at once");
    if (!rate_.take(caller.id, now_ms)) return fail(too_many_calls, "a minute");
    if (row == callers_->rows.end()) {
        runtime::MemoryBudget share(callers_->issuers.at(caller.issuer), rules_.share_bytes);
        row = callers_->rows.emplace(caller.id, Underway{0, share}).first;
    }
    ++row->second.calls;
    return Slot(callers_, row);
}

}  // namespace eos::attestd
