// SPDX-License-Identifier: AGPL-3.0-only
// How an enclave gets its owner and its CA.
#include "common/http/authority.h"
#include "trusted/mini/control/control_parts.h"

namespace eos::mini {

using boundary::LogCode;
using runtime::Done;

Result<void> Control::expect_unowned(const std::string& token) const {
    EOS_TRY(expect_stage(Stage::kUnowned));
    return runtime::check_token(token, token_.view());
}

Result<void> Control::expect_stage(Stage stage) const {
    if (snapshot_->stage != stage) {
        return fail(wrong_stage, stage == Stage::kUnowned ? "it has an owner, or is starting"
                                                          : "it has no owner");
    }
    return {};
}

void Control::request_ca(const ProvisionRequest& request, Done<CaRequest> done) {
    Result<void> allowed = expect_unowned(request.token);
    if (!allowed) return done(fail(std::move(allowed).error()));
    quote_ca_request(request, std::move(done));
}

void Control::request_ca_rotation(const ByteArray<32>& nonce, Done<CaRequest> done) {
    if (Result<void> allowed = expect_stage(Stage::kOwned); !allowed) {
        return done(fail(std::move(allowed).error()));
    }
    const runtime::Ownership& ownership = *state_->ownership;
    quote_ca_request({{}, ownership.platform_name, nonce, ownership.owner_spki_hash},
                     std::move(done));
}

void Control::quote_ca_request(const ProvisionRequest& request, Done<CaRequest> done) {
    Result<http::Authority> name =
        http::parse_authority(request.platform_name, http::Scheme::kHttps);
    if (!name || name->kind != http::Authority::Kind::kDnsName || name->port ||
        name->host != request.platform_name) {
        return done(fail(runtime::bad_ca, "the platform name must be a DNS name in lower case"));
    }
    Result<runtime::CaKeyRequest> made =
        pending_ca_.begin({request.platform_name, request.nonce, request.owner_key_hash});
    if (!made) return done(fail(std::move(made).error()));
    parts_.evidence.request(made->report_data, [csr = std::move(made->csr), done = std::move(done)](
                                                   Result<Bytes> quote) mutable {
        if (!quote) return done(fail(std::move(quote).error()));
        done(CaRequest{std::move(csr), std::move(*quote)});
    });
}

void Control::complete_provisioning(const std::string& token,
                                    const crypto::Digest32& owner_key_hash,
                                    const std::string& ca_chain_pem, Done<SnapshotPtr> done) {
    Result<void> allowed = expect_unowned(token);
    if (!allowed) return done(fail(std::move(allowed).error()));
    Result<runtime::Authority> authority =
        pending_ca_.complete(owner_key_hash, ca_chain_pem, parts_.clock.now());
    if (!authority) return done(fail(std::move(authority).error()));
    own({owner_key_hash, pending_ca_.platform_name(), std::move(*authority), parts_.clock.now()},
        std::move(done));
}

void Control::import_provisioning(const ProvisionRequest& request, ImportedCa ca,
                                  Done<SnapshotPtr> done) {
    Result<void> allowed = expect_unowned(request.token);
    if (!allowed) return done(fail(std::move(allowed).error()));
    Result<crypto::P256PrivateKey> key = crypto::P256PrivateKey::from_pkcs8(ca.key_pkcs8.view());
    if (!key) return done(fail(std::move(key).error()));
    Result<std::vector<Bytes>> chain =
        runtime::check_ca_chain(ca.chain_pem, {.key = key->public_key(),
                                               .platform_name = request.platform_name,
                                               .now = parts_.clock.now()});
    if (!chain) return done(fail(std::move(chain).error()));
    own({request.owner_key_hash,
         request.platform_name,
         {std::move(*chain), std::move(ca.key_pkcs8), runtime::CaKeyOrigin::kImported},
         parts_.clock.now()},
        std::move(done));
}

// There is no second first run: the edit refuses a state that has an owner by then.
void Control::own(runtime::Ownership ownership, Done<SnapshotPtr> done) {
    auto shared = std::make_shared<runtime::Ownership>(std::move(ownership));
    change({.instance_id = store_->instance_id(),
            .edit = [shared](runtime::PlatformState& state) -> Result<void> {
                if (state.ownership) return fail(wrong_stage, "it has an owner");
                state.ownership = std::move(*shared);
                return {};
            },
            .modules = {}},
           [this, done = std::move(done)](Result<SnapshotPtr> outcome) mutable {
               if (outcome) {
                   pending_ca_.forget();
                   token_ = {};
                   parts_.log(LogCode::kOwned, {store_->generation()});
               }
               done(std::move(outcome));
           });
}

void Control::complete_ca_rotation(const ByteArray<16>& instance_id,
                                   const std::string& ca_chain_pem, Done<SnapshotPtr> done) {
    Result<void> allowed = expect_stage(Stage::kOwned);
    if (allowed && instance_id != store_->instance_id()) allowed = fail(wrong_instance);
    if (!allowed) return done(fail(std::move(allowed).error()));
    Result<runtime::Authority> authority =
        pending_ca_.complete(state_->ownership->owner_spki_hash, ca_chain_pem, parts_.clock.now());
    if (!authority) return done(fail(std::move(authority).error()));
    auto shared = std::make_shared<runtime::Authority>(std::move(*authority));
    change({.instance_id = instance_id,
            .edit = [shared](runtime::PlatformState& state) -> Result<void> {
                runtime::rotate_authority(*state.ownership, std::move(*shared));
                return {};
            },
            .modules = {}},
           [this, done = std::move(done)](Result<SnapshotPtr> outcome) mutable {
               if (outcome) {
                   pending_ca_.forget();
                   parts_.log(LogCode::kCaRotated, {store_->generation()});
               }
               done(std::move(outcome));
           });
}

void Control::factory_reset(const ByteArray<16>& confirmed_instance, Done<void> done) {
    Result<void> allowed = expect_stage(Stage::kOwned);
    if (allowed && confirmed_instance != snapshot_->instance_id) allowed = fail(wrong_instance);
    if (allowed && (changing_ || renewing_))
        allowed = fail(too_many_changes, "a change is under way");
    if (!allowed) return done(std::move(allowed));
    changing_ = true;
    auto end = [this, done = std::move(done)](Result<void> outcome) mutable {
        changing_ = false;
        done(std::move(outcome));
        begin_next_change();
    };
    // The quote first, as for every change: once the state is destroyed it must not be served.
    auto with_epoch = [this, end = std::move(end)](Result<KeyEpochPtr> epoch) mutable {
        if (!epoch) return end(fail(std::move(epoch).error()));
        store_->destroy(
            [this, epoch = std::move(*epoch), end = std::move(end)](Result<void> outcome) mutable {
                if (!outcome) return end(std::move(outcome));
                parts_.log(LogCode::kFactoryReset, {});
                modules_.clear();
                pending_ca_.forget();
                state_ = std::make_shared<const runtime::PlatformState>();
                new_token();
                serve_loaded(epoch, [end = std::move(end)]() mutable { end({}); });
            });
    };
    runtime::make_epoch(parts_.evidence, parts_.clock, std::move(with_epoch));
}

}  // namespace eos::mini
