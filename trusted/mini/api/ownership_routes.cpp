// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/encoding.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Access;
using runtime::CaChange;
using runtime::CaStep;
using runtime::Dispatched;
using runtime::Proof;
using runtime::RoutedRequest;
using runtime::RouteNames;

inline constexpr Code no_client_key{"trusted/mini", "no_client_key",
                                    "connect with the owner's client certificate and a challenge"};
void respond_request(runtime::Exchange& exchange, const Result<CaRequest>& outcome,
                     const ControlPort& control) {
    if (!outcome) return respond_failure(exchange, outcome.error());
    runtime::respond_json(exchange, 200,
                          runtime::to_json(runtime::CertificationRequest{
                              outcome->csr, outcome->evidence, control.snapshot()->instance_id}));
}

void respond_owned(runtime::Exchange& exchange, const Result<SnapshotPtr>& outcome) {
    if (!outcome) return respond_failure(exchange, outcome.error());
    const Snapshot& snapshot = **outcome;
    runtime::respond_json(
        exchange, 200,
        runtime::to_json(runtime::OwnedPlatform{
            snapshot.instance_id, snapshot.generation, snapshot.policy_tree->root(),
            snapshot.state->ownership->platform_name, *snapshot.ca_not_after}));
}

runtime::Done<CaRequest> answer_request(runtime::Exchange exchange, const ControlPort& control) {
    return [exchange = std::move(exchange), &control](Result<CaRequest> outcome) mutable {
        respond_request(exchange, outcome, control);
    };
}

runtime::Done<SnapshotPtr> answer_owned(runtime::Exchange exchange) {
    return [exchange = std::move(exchange)](Result<SnapshotPtr> outcome) mutable {
        respond_owned(exchange, outcome);
    };
}

void provision(const ApiContext& context, runtime::Exchange exchange, CaStep step,
               const crypto::Digest32& owner) {
    auto shared = std::make_shared<CaStep>(std::move(step));
    if (shared->kind == CaStep::Kind::kRequest) {
        return ask<CaRequest>(
            context.control,
            [shared, owner](Control& control, runtime::Done<CaRequest> done) {
                control.request_ca({shared->token, shared->platform_name, shared->nonce, owner},
                                   std::move(done));
            },
            answer_request(std::move(exchange), context.control));
    }
    if (shared->kind == CaStep::Kind::kImport && !shared->accept_imported_key) {
        return runtime::respond_error(
            exchange, 400,
            "a CA key made outside needs \"accept_imported_key\":true and is shown for ever");
    }
    ask<SnapshotPtr>(
        context.control,
        [shared, owner](Control& control, runtime::Done<SnapshotPtr> done) {
            if (shared->kind == CaStep::Kind::kComplete) {
                return control.complete_provisioning(shared->token, owner, shared->ca_chain,
                                                     std::move(done));
            }
            control.import_provisioning({shared->token, shared->platform_name, {}, owner},
                                        {shared->ca_chain, std::move(shared->ca_key)},
                                        std::move(done));
        },
        answer_owned(std::move(exchange)));
}

void rotate(const ApiContext& context, const ByteArray<16>& instance_id, runtime::Exchange exchange,
            CaStep step) {
    auto shared = std::make_shared<CaStep>(std::move(step));
    if (shared->kind == CaStep::Kind::kRequest) {
        return ask<CaRequest>(
            context.control,
            [shared](Control& control, runtime::Done<CaRequest> done) {
                control.request_ca_rotation(shared->nonce, std::move(done));
            },
            answer_request(std::move(exchange), context.control));
    }
    ask<SnapshotPtr>(
        context.control,
        [shared, instance_id](Control& control, runtime::Done<SnapshotPtr> done) {
            control.complete_ca_rotation(instance_id, shared->ca_chain, std::move(done));
        },
        answer_owned(std::move(exchange)));
}

Dispatched handle_ca(const ApiContext& context, CaChange change, RoutedRequest request) {
    std::optional<crypto::Digest32> key = request.connection.client_key_hash;
    ByteArray<16> instance_id = context.control.snapshot()->instance_id;
    return with_json(
        context, std::move(request),
        [&context, change, key, instance_id](runtime::Exchange exchange,
                                             const json::Value& value) mutable {
            Result<CaStep> step = runtime::parse_ca_step(value, change, runtime::KeyImport::kTaken);
            if (!step) return respond_failure(exchange, step.error());
            if (!key) return runtime::respond_error(exchange, 401, std::string(no_client_key.text));
            if (change == CaChange::kProvision) {
                return provision(context, std::move(exchange), std::move(*step), *key);
            }
            rotate(context, instance_id, std::move(exchange), std::move(*step));
        });
}

Dispatched handle_reset(const ApiContext& context, RoutedRequest request) {
    return with_json(context, std::move(request),
                     [&context](runtime::Exchange exchange, const json::Value& value) mutable {
                         Result<json::Object> object = json::Object::of(value, "");
                         Result<std::string> text =
                             object ? object->text("confirm", 32) : fail(std::move(object).error());
                         Result<ByteArray<16>> instance =
                             text ? array_from_hex<16>(*text) : fail(std::move(text).error());
                         if (!instance) return respond_failure(exchange, instance.error());
                         ask<void>(
                             context.control,
                             [id = *instance](Control& control, runtime::Done<void> done) {
                                 control.factory_reset(id, std::move(done));
                             },
                             [exchange = std::move(exchange)](Result<void> outcome) mutable {
                                 if (!outcome) return respond_failure(exchange, outcome.error());
                                 runtime::respond_json(exchange, 200, {{"status", "reset"}});
                             });
                     });
}

}  // namespace

void add_ownership_routes(runtime::Router& router, const ApiContext& context) {
    auto ca = [&context](CaChange change) {
        return [&context, change](RoutedRequest request) {
            return handle_ca(context, change, std::move(request));
        };
    };
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/provision",
                .names = RouteNames::kUnowned,
                .access = Access::kAnyone,
                .proof = Proof::kBound,
                .max_body_bytes = runtime::kMaxCaStepBytes,
                .summary = "take ownership, in two steps, with the one-time token"},
               ca(CaChange::kProvision));
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/ca",
                .names = RouteNames::kPlatform,
                .proof = Proof::kBound,
                .max_body_bytes = runtime::kMaxCaStepBytes,
                .summary = "replace the intermediate CA, in two steps"},
               ca(CaChange::kRotate));
    router.add(
        {.method = http::Method::kPost,
         .pattern = "/api/v1/factory-reset",
         .names = RouteNames::kPlatform,
         .proof = Proof::kBound,
         .max_body_bytes = 1024,
         .summary = "destroy the state"},
        [&context](RoutedRequest request) { return handle_reset(context, std::move(request)); });
}

}  // namespace eos::mini
