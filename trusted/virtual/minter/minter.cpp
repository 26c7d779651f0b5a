// SPDX-License-Identifier: AGPL-3.0-only
// State and ownership: what is served, and how that changes.
#include "trusted/virtual/minter/minter.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/config_tree/manifest.h"

namespace eos::cvm {
namespace {

ByteArray<16> random_id(runtime::Random& random) {
    ByteArray<16> out;
    random.fill(out);
    return out;
}

// Ids of names that are there no longer are forgotten: who comes back is somebody else.
void follow_routes(AppIds& ids, const Config& config, runtime::Random& random) {
    AppIds next;
    for (const RouteConfig& route : config.routes) {
        auto known = ids.find(route.name);
        next.emplace(route.name, known != ids.end() ? known->second : random_id(random));
    }
    ids = std::move(next);
}

Result<void> check_names(const runtime::Ownership& owned, const Config& config) {
    if (config.platform.name != owned.platform_name) {
        return fail(bad_config, "platform.name: the owner's certificate is for " +
                                    owned.platform_name + "; a machine is not renamed");
    }
    x509::Certificate ca = EOS_TRY(runtime::intermediate_of(owned.authority));
    for (const RouteConfig& route : config.routes)
        EOS_TRY(runtime::check_permitted(ca, route.hostname));
    return {};
}

// What a leaf says comes of these two, and of what only changes by way of change().
// in: as config_json() writes it.
crypto::Digest32 served_hash(std::string text, const MinterFacts& facts) {
    for (const std::string& fact : {facts.version, facts.assurance}) {
        text.push_back('\0');
        text.append(fact);
    }
    return crypto::sha256(as_bytes(text));
}

template <typename T>
MintReply reply_of(Result<T> outcome) {
    if (!outcome) return to_failed(outcome.error());
    if constexpr (std::is_void_v<T>) {
        return Done{};
    } else {
        return std::move(*outcome);
    }
}

}  // namespace

Minter::Minter(Parts parts)
    : parts_(std::move(parts)),
      time_(parts_.clock),
      boot_id_(random_id(parts_.random)),
      challenge_(parts_.random),
      self_(std::make_shared<Minter*>(this)) {}

UnixTime Minter::now() const {
    return std::max(parts_.clock.now(), state_.time_floor);
}

Result<void> Minter::start(std::optional<MinterState> stored) {
    config_ = EOS_TRY(parts_.read_config());
    const bool is_first_run = !stored.has_value();
    if (is_first_run) {
        state_.instance_id = random_id(parts_.random);
    } else {
        state_ = std::move(*stored);
    }
    if (state_.owned) EOS_TRY(check_names(*state_.owned, config_));
    if (const std::int64_t behind_s = state_.time_floor - parts_.clock.now(); behind_s > 0) {
        parts_.log.write(os::Severity::warning, "clock_behind",
                         {{"seconds", std::to_string(behind_s)}});
    }
    parts_.log.write(
        os::Severity::info, is_first_run ? "first_run" : "state_loaded",
        {{"instance", hex(state_.instance_id)}, {"generation", std::to_string(state_.generation)}});
    if (!state_.owned) {
        token_ = Secret<ByteArray<16>>(random_id(parts_.random));
        parts_.log.write(os::Severity::info, "provisioning_token", {{"token", hex(token_.view())}});
    }
    ask_first_quote();
    return {};
}

// About a key that nothing else is done with: what counts is what the report says of the VM.
void Minter::ask_first_quote() {
    quote_at_ms_ = 0;
    const auto key = crypto::P256PrivateKey::generate();
    parts_.quotes.request(
        ratls::ReportData::v1_deterministic(key.public_key(), now()), std::nullopt,
        [this, weak = std::weak_ptr(self_)](Result<FreshEvidence> evidence) {
            if (weak.expired()) return;
            Result<void> served =
                evidence ? serve_first(*evidence) : Result<void>(fail(std::move(evidence).error()));
            if (served) return;
            parts_.log.write(os::Severity::error, "not_ready", {{"why", served.error().message()}});
            quote_at_ms_ = parts_.clock.monotonic_ms() + kQuoteRetryMs;
        });
}

Result<void> Minter::serve_first(const FreshEvidence& evidence) {
    tee_ = evidence.kind;
    facts_ = {parts_.version, std::string(assurance_name(evidence.assurance))};
    time_.restart();
    Next next = EOS_TRY(prepare(state_.duplicate(), config_));
    const bool is_as_before = next.state.served_hash == state_.served_hash;
    if (is_as_before) {
        EOS_TRY(parts_.measure(next.served->policy_root, PolicyChange::kConfiguration));
        next.served->instance = {state_.instance_id, boot_id_, state_.generation};
        config_text_ = std::move(next.config_text);
        served_ = std::move(next.served);
    } else {
        EOS_TRY(change(std::move(next)));
    }
    parts_.log.write(os::Severity::info, "ready",
                     {{"tee", std::string(tee_name(tee_))},
                      {"assurance", facts_.assurance},
                      {"generation", std::to_string(state_.generation)},
                      {"policy_root", hex(served_->policy_root)},
                      {"routes", std::to_string(config_.routes.size())}});
    parts_.push(state_to_push());
    return {};
}

Result<Minter::Next> Minter::prepare(MinterState state, Config config) const {
    if (state.owned) EOS_TRY(check_names(*state.owned, config));
    follow_routes(state.app_ids, config, parts_.random);
    std::string text = config_json(config);
    state.served_hash = served_hash(text, facts_);
    auto served = EOS_TRY(served_of({config, state.owned, state.app_ids}, facts_));
    if (state.owned) served->issuer = EOS_TRY(runtime::make_issuer(state.owned->authority));
    return Next{std::move(state), std::move(config), std::move(text), std::move(served)};
}

// Stored, measured, and only then served and acknowledged. In this order what could not be stored
// leaves no mark on the register, which cannot be taken back; and what was stored and neither
// measured nor taken back was asked for by whoever may, and is measured by the next start. A change
// raises the floor of the time, so that none is made at a time which nobody vouches for.
Result<void> Minter::change(Next next, PolicyChange why) {
    if (!is_time_good()) return fail(runtime::time_jumped);
    next.state.generation += 1;
    next.state.time_floor = now();
    next.state.history.append(
        {next.state.generation, next.served->policy_root, next.state.time_floor});
    EOS_TRY(parts_.store(next.state));
    if (Result<void> measured = parts_.measure(next.served->policy_root, why); !measured) {
        EOS_TRY(parts_.store(state_));
        return measured;
    }
    state_ = std::move(next.state);
    config_ = std::move(next.config);
    config_text_ = std::move(next.config_text);
    served_ = std::move(next.served);
    served_->instance = {state_.instance_id, boot_id_, state_.generation};
    std::erase_if(drafts_, [this](const auto& row) {
        const runtime::ServedName* now_served = served_->find(row.second.name);
        return now_served == nullptr || now_served->tag != row.second.tag;
    });
    return {};
}

Result<void> Minter::reload() {
    if (!is_ready()) return fail(runtime::wrong_stage, "there is no evidence yet");
    Next next = EOS_TRY(prepare(state_.duplicate(), EOS_TRY(parts_.read_config())));
    if (next.state.served_hash == state_.served_hash) return {};
    EOS_TRY(change(std::move(next)));
    parts_.log.write(os::Severity::info, "reloaded",
                     {{"generation", std::to_string(state_.generation)},
                      {"policy_root", hex(served_->policy_root)}});
    parts_.push(state_to_push());
    return {};
}

State Minter::state_to_push() const {
    State out;
    out.is_owned = state_.owned.has_value();
    out.instance = served_->instance;
    out.policy_root = served_->policy_root;
    out.assurance = facts_.assurance;
    out.tee = tee_ == TeeKind::kTdx ? "tdx" : "sev-snp";
    out.time_trust = std::string(runtime::to_string(time_.trust()));
    out.version = facts_.version;
    out.config = config_text_;
    out.policy_log = parts_.policy_log();
    if (state_.owned) {
        out.owner_key_hash = state_.owned->owner_spki_hash;
        out.chain = state_.owned->authority.chain;
        Result<x509::Certificate> ca = runtime::intermediate_of(state_.owned->authority);
        if (ca) out.ca_not_after = ca->validity().not_after.seconds;
    }
    out.names.push_back(*served_->find(""));
    for (const auto& [name, row] : served_->names) {
        if (row.kind == runtime::NameKind::kApp) out.names.push_back(row);
    }
    return out;
}

// --- time ---

// Without an owner there is nobody to ask, and nothing yet that a wrong time could harm.
bool Minter::is_time_good() {
    if (!state_.owned) {
        time_.restart();
        return true;
    }
    if (time_.look()) {
        parts_.log.write(os::Severity::error, "time_jumped",
                         {{"seconds", std::to_string(time_.jump_seconds())}});
        if (is_ready()) parts_.push(state_to_push());
    }
    return time_.trust() != runtime::TimeTrust::kJumped;
}

void Minter::turn() {
    static_cast<void>(is_time_good());
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    if (quote_at_ms_ != 0 && now_ms >= quote_at_ms_) ask_first_quote();
    std::erase_if(drafts_, [&](const auto& row) { return now_ms >= row.second.expires_ms; });
}

std::optional<std::uint64_t> Minter::next_deadline_ms() const {
    if (quote_at_ms_ == 0) return std::nullopt;
    return quote_at_ms_;
}

// --- requests ---

void Minter::handle(MintRequest request, Answer answer) {
    std::visit([&](const auto& one) { on(one, std::move(answer)); }, request);
}

void Minter::on(const Hello& request, Answer answer) {
    if (request.version != kMintProtocolVersion) {
        return answer(to_failed(Error(malformed_message, "another version of the protocol")));
    }
    if (is_ready()) parts_.push(state_to_push());
    answer(Done{});
}

Result<void> Minter::expect_owned(bool owned) const {
    if (!is_ready()) return fail(runtime::wrong_stage, "there is no evidence yet");
    if (state_.owned.has_value() != owned) {
        return fail(runtime::wrong_stage, owned ? "it has no owner" : "it has an owner");
    }
    return {};
}

// --- what the owner asks ---

void Minter::on(const AskChallenge&, Answer answer) {
    answer(OpenChallenge{challenge_.open(parts_.clock.monotonic_ms())});
}

void Minter::on(const OwnerRequest& request, Answer answer) {
    const Result<json::Value> asked = believe(request);
    if (!asked) return answer(to_failed(asked.error()));
    if (request.purpose == owner::Purpose::kConfirmTime)
        return answer(reply_of(confirm_time(*asked)));
    const bool is_claim = request.purpose == owner::Purpose::kProvision;
    take_ca_step(is_claim ? runtime::CaChange::kProvision : runtime::CaChange::kRotate,
                 crypto::sha256(ByteView(request.owner_key)), *asked, std::move(answer));
}

// The proxy carries the statement and is not asked who sent it.
Result<json::Value> Minter::believe(const OwnerRequest& request) {
    const bool is_claim = request.purpose == owner::Purpose::kProvision;
    EOS_TRY(expect_owned(!is_claim));
    const auto key = EOS_TRY(crypto::P256PublicKey::from_spki(request.owner_key));
    if (!is_claim && key.spki_hash() != state_.owned->owner_spki_hash)
        return fail(runtime::not_the_owner);
    json::Value asked =
        EOS_TRY(challenge_.verify(request.statement, {request.purpose, state_.instance_id, {}}, key,
                                  parts_.clock.monotonic_ms()));
    // A claim is signed by whom it makes the owner; what it rests on is the token.
    if (is_claim) EOS_TRY(check_token_proof(asked, key.spki_hash()));
    challenge_.close();
    return asked;
}

Result<void> Minter::check_token_proof(const json::Value& asked,
                                       const crypto::Digest32& key) const {
    json::Object object = EOS_TRY(json::Object::of(asked, ""));
    const auto proof = array_from_hex<32>(EOS_TRY(object.text("token", 64)));
    const auto expected = owner::token_proof(token_.view(), state_.instance_id, key);
    if (!proof || !crypto::equal_constant_time(*proof, expected)) return fail(runtime::wrong_token);
    return {};
}

void Minter::take_ca_step(runtime::CaChange change, const crypto::Digest32& owner,
                          const json::Value& asked, Answer answer) {
    const auto step = runtime::parse_ca_step(asked, change, runtime::KeyImport::kRefused);
    if (!step) return answer(to_failed(step.error()));
    if (step->kind == runtime::CaStep::Kind::kComplete)
        return answer(reply_of(complete(change, owner, step->ca_chain)));
    Result<void> allowed;
    if (change == runtime::CaChange::kRotate) {
        allowed = rotations_.take({}, parts_.clock.monotonic_ms());
    } else if (step->platform_name != config_.platform.name) {
        allowed = fail(runtime::bad_ca, "the platform's name is " + config_.platform.name +
                                            ": platform.name in the configuration says so");
    }
    if (!allowed) return answer(to_failed(allowed.error()));
    quote_ca({config_.platform.name, step->nonce, owner}, std::move(answer));
}

void Minter::quote_ca(const runtime::CaRequester& requester, Answer answer) {
    Result<runtime::CaKeyRequest> made = pending_ca_.begin(requester);
    if (!made) return answer(to_failed(made.error()));
    parts_.quotes.request(made->report_data, std::nullopt,
                          [csr = std::move(made->csr),
                           answer = std::move(answer)](Result<FreshEvidence> evidence) mutable {
                              if (!evidence) return answer(to_failed(evidence.error()));
                              answer(CaRequest{std::move(csr), std::move(evidence->bytes)});
                          });
}

Result<void> Minter::complete(runtime::CaChange change, const crypto::Digest32& owner,
                              const std::string& chain_pem) {
    runtime::Authority authority = EOS_TRY(pending_ca_.complete(owner, chain_pem, now()));
    if (change == runtime::CaChange::kProvision) {
        EOS_TRY(own({owner, pending_ca_.platform_name(), std::move(authority), now()},
                    PolicyChange::kConfiguration));
        token_ = {};
        return {};
    }
    runtime::Ownership next = state_.owned->duplicate();
    runtime::rotate_authority(next, std::move(authority));
    return own(std::move(next), PolicyChange::kCaRotation);
}

Result<void> Minter::own(runtime::Ownership ownership, PolicyChange why) {
    MinterState state = state_.duplicate();
    state.owned = std::move(ownership);
    EOS_TRY(change(EOS_TRY(prepare(std::move(state), config_)), why));
    pending_ca_.forget();
    parts_.log.write(os::Severity::info, "owned",
                     {{"generation", std::to_string(state_.generation)},
                      {"owner", hex(state_.owned->owner_spki_hash)}});
    parts_.push(state_to_push());
    return {};
}

Result<void> Minter::confirm_time(const json::Value& asked) {
    EOS_TRY(time_.confirm(EOS_TRY(runtime::parse_time_confirmation(asked))));
    parts_.log.write(os::Severity::info, "time_confirmed");
    parts_.push(state_to_push());
    return {};
}

// --- the configuration ---

void Minter::on(const Reload&, Answer answer) {
    Result<void> outcome = reload();
    if (!outcome) {
        parts_.log.write(os::Severity::error, "reload_failed",
                         {{"why", outcome.error().message()}});
    }
    answer(reply_of(std::move(outcome)));
}

void Minter::on(const ReadTree& request, Answer answer) {
    answer(reply_of(tree(request)));
}

Result<TreeText> Minter::tree(const ReadTree& request) const {
    using Kind = config_tree::Scope::Kind;
    if (!is_ready()) return fail(runtime::wrong_stage, "there is no evidence yet");
    if (request.kind == Kind::kPolicy)
        return TreeText{config_tree::encode_manifest(EOS_TRY(policy_tree(attested())))};
    if (request.kind == Kind::kPlatform)
        return TreeText{config_tree::encode_manifest(EOS_TRY(platform_tree(attested())))};
    auto route = std::ranges::find(config_.routes, request.workload, &RouteConfig::name);
    if (route == config_.routes.end()) return fail(unknown_name);
    return TreeText{config_tree::encode_manifest(
        EOS_TRY(workload_tree(*route, state_.app_ids.find(route->name)->second)))};
}

}  // namespace eos::cvm
