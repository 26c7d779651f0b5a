// SPDX-License-Identifier: AGPL-3.0-only
// Stapled collateral: the owner stores a bundle, anyone gets it. It is public and signed by
// vendors; nothing here rests on it.
#include "common/attestation/endorsements/bundle.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using attestation::endorsements::Bundle;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

constexpr std::string_view kNoCollateral = "no collateral is stapled";

/// Sends bytes that many answers share: what a slow reader holds up is one piece of them.
class BundleSender final : public runtime::RequestHandler {
  public:
    BundleSender(std::shared_ptr<const Bytes> bundle, runtime::Exchange exchange)
        : bundle_(std::move(bundle)), exchange_(std::move(exchange)) {}

    runtime::BodyFlow on_body(ByteView) override { return runtime::BodyFlow::kMore; }

    void on_end() override {
        Result<void> started = exchange_.start(runtime::make_head(200, runtime::kJsonType),
                                               http::BodySize::known(bundle_->size()));
        if (!started) return respond_failure(exchange_, started.error());
        on_writable();
    }

    void on_writable() override {
        while (sent_ < bundle_->size()) {
            const ByteView rest = ByteView(*bundle_).subspan(sent_);
            const std::size_t taken = exchange_.write(rest);
            sent_ += taken;
            if (taken < rest.size()) return;
        }
        exchange_.finish();
    }

  private:
    std::shared_ptr<const Bytes> bundle_;
    runtime::Exchange exchange_;
    std::size_t sent_ = 0;
};

Dispatched serve(const ApiContext& context, RoutedRequest request) {
    std::shared_ptr<const Bytes> bundle = context.control.snapshot()->state->stapled;
    if (!bundle) {
        runtime::respond_error(request.exchange, 404, kNoCollateral);
        return {};
    }
    return {.handler =
                std::make_unique<BundleSender>(std::move(bundle), std::move(request.exchange))};
}

/// Puts it into the state, or takes what is there away if it is null.
void change_stapled(const ApiContext& context, const ByteArray<16>& instance_id,
                    runtime::Exchange exchange, std::shared_ptr<const Bytes> bundle,
                    json::Value answer) {
    ask<SnapshotPtr>(
        context.control,
        [instance_id, bundle = std::move(bundle)](Control& control,
                                                  runtime::Done<SnapshotPtr> done) {
            Control::Change change;
            change.instance_id = instance_id;
            change.edit = [bundle](runtime::PlatformState& state) -> Result<void> {
                state.stapled = bundle;
                return {};
            };
            control.change(std::move(change), std::move(done));
        },
        [exchange = std::move(exchange),
         answer = std::move(answer)](Result<SnapshotPtr> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            answer["generation"] = (*outcome)->generation;
            runtime::respond_json(exchange, 200, answer);
        });
}

Dispatched store(const ApiContext& context, RoutedRequest request) {
    return runtime::collect_body(
        request.head.body, request.route.max_body_bytes, context.bodies,
        std::move(request.exchange),
        [&context, instance_id = context.control.snapshot()->instance_id](
            runtime::Exchange exchange, runtime::CollectedBody body) {
            Result<Bundle> bundle = attestation::endorsements::parse_bundle(body.bytes);
            if (!bundle) return respond_failure(exchange, bundle.error());
            json::Value answer = {{"status", "stapled"},
                                  {"pieces", bundle->pieces.size()},
                                  {"made", rfc3339(bundle->made)}};
            change_stapled(context, instance_id, std::move(exchange),
                           std::make_shared<const Bytes>(std::move(body.bytes)), std::move(answer));
        });
}

Dispatched remove(const ApiContext& context, RoutedRequest request) {
    if (!context.control.snapshot()->state->stapled) {
        runtime::respond_error(request.exchange, 404, kNoCollateral);
        return {};
    }
    change_stapled(context, context.control.snapshot()->instance_id, std::move(request.exchange),
                   nullptr, {{"status", "removed"}});
    return {};
}

}  // namespace

void add_collateral_routes(runtime::Router& router, const ApiContext& context) {
    auto route = [&](const runtime::RouteSpec& spec,
                     Dispatched (*handle)(const ApiContext&, RoutedRequest)) {
        router.add(spec, [&context, handle](RoutedRequest request) {
            return handle(context, std::move(request));
        });
    };
    route({.pattern = "/.well-known/enclave-os/collateral",
           .names = RouteNames::kOwned,
           .access = runtime::Access::kAnyone,
           .summary = "the stapled collateral bundle"},
          serve);
    route({.method = http::Method::kPut,
           .pattern = "/api/v1/collateral",
           .names = RouteNames::kPlatform,
           .max_body_bytes = runtime::kMaxStapledBytes,
           .summary = "staple a collateral bundle"},
          store);
    route({.method = http::Method::kDelete,
           .pattern = "/api/v1/collateral",
           .names = RouteNames::kPlatform,
           .summary = "staple none"},
          remove);
}

}  // namespace eos::mini
