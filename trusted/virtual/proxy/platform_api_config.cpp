// SPDX-License-Identifier: AGPL-3.0-only
// The configuration trees: the policy's on every name, the platform's to the owner, a workload's
// on its name alone. The minter makes them; what is handed on is its text, or proofs out of it.
#include "common/config_tree/manifest.h"
#include "common/http/uri.h"
#include "trusted/runtime/responses.h"
#include "trusted/virtual/proxy/platform_api.h"

namespace eos::cvm::proxy {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

/// What is asked for, or the answer that refuses it.
struct Refusal {
    int status;
    std::string text;
};
std::expected<ReadTree, Refusal> tree_of(const ApiContext& context, const RoutedRequest& request) {
    const auto parameter = http::query_parameter(request.head, "scope");
    if (!parameter) return std::unexpected(Refusal{400, parameter.error().message()});
    const std::string scope = parameter->value_or("policy");
    const bool is_platform = request.connection.kind == runtime::NameKind::kPlatform;
    if (scope == "policy") return ReadTree{config_tree::Scope::Kind::kPolicy, {}};
    if (scope == "workload" && !is_platform) {
        return ReadTree{config_tree::Scope::Kind::kWorkload, request.connection.app};
    }
    if (scope != "platform" || !is_platform) {
        return std::unexpected(Refusal{404, "there is no such tree on this name"});
    }
    switch (OwnerAuthorizer(context.port)
                .decide(Access::kMonitoring, request.connection, request.head)) {
        case runtime::Permission::kGranted:
            return ReadTree{config_tree::Scope::Kind::kPlatform, {}};
        case runtime::Permission::kUnknownCaller:
            return std::unexpected(
                Refusal{401, "the platform tree is the owner's: show its certificate"});
        case runtime::Permission::kRefused:
            break;
    }
    return std::unexpected(Refusal{403, "the platform tree is the owner's"});
}

/// Turns a tree's text into the document that was asked for.
using Document = std::move_only_function<Result<std::string>(std::string)>;

Dispatched respond_tree(const ApiContext& context, RoutedRequest request, Document document) {
    const auto tree = tree_of(context, request);
    if (!tree) {
        runtime::respond_error(request.exchange, tree.error().status, tree.error().text);
        return {};
    }
    ask<std::string>(
        context.port,
        [tree = *tree](MintClient& client, runtime::Done<std::string> done) {
            client.read_tree(tree, std::move(done));
        },
        [exchange = std::move(request.exchange),
         document = std::move(document)](Result<std::string> text) mutable {
            if (text) text = document(std::move(*text));
            if (!text) return respond_failure(exchange, text.error());
            const auto sent =
                exchange.respond(runtime::make_head(200, runtime::kJsonType), to_bytes(*text));
            if (!sent) respond_failure(exchange, sent.error());
        });
    return {};
}

Dispatched respond_manifest(const ApiContext& context, RoutedRequest request) {
    return respond_tree(context, std::move(request),
                        [](std::string text) -> Result<std::string> { return text; });
}

Result<std::string> proof_of(const config_tree::Tree& tree, const std::string& name_text) {
    const config_tree::Name name = EOS_TRY(config_tree::parse_name(name_text));
    const auto inclusion = tree.prove_inclusion(name);
    if (inclusion) return config_tree::encode_proof(*inclusion);
    return config_tree::encode_proof(EOS_TRY(tree.prove_absence(name)));
}

Dispatched respond_proof(const ApiContext& context, RoutedRequest request) {
    const auto name = http::query_parameter(request.head, "name");
    if (!name || !*name) {
        runtime::respond_error(request.exchange, 400, "say which: ?name=a.b.c");
        return {};
    }
    return respond_tree(context, std::move(request),
                        [name = **name](std::string text) -> Result<std::string> {
                            const auto tree = EOS_TRY(config_tree::parse_manifest(as_bytes(text)));
                            return proof_of(tree, name);
                        });
}

/// The policy roots that were extended into the machine's run-time register, to replay.
Dispatched respond_policy_log(const ApiContext& context, RoutedRequest request) {
    const std::string& log = context.port.state()->state.policy_log;
    if (log.empty()) {
        runtime::respond_error(request.exchange, 404, "this machine has no run-time register");
        return {};
    }
    const auto sent =
        request.exchange.respond(runtime::make_head(200, runtime::kJsonType), to_bytes(log));
    if (!sent) respond_failure(request.exchange, sent.error());
    return {};
}

}  // namespace

void add_config_routes(runtime::Router& router, const ApiContext& context) {
    const auto manifest = [&context](RoutedRequest request) {
        return respond_manifest(context, std::move(request));
    };
    const auto proof = [&context](RoutedRequest request) {
        return respond_proof(context, std::move(request));
    };
    router.add({.pattern = "/api/v1/config/manifest",
                .names = RouteNames::kPlatform,
                .access = Access::kAnyone,
                .summary = "?scope=policy; the owner also platform"},
               manifest);
    router.add({.pattern = "/api/v1/config/proof",
                .names = RouteNames::kPlatform,
                .access = Access::kAnyone,
                .summary = "?scope=…&name=a.b.c: inclusion or absence"},
               proof);
    const auto policy_log = [&context](RoutedRequest request) {
        return respond_policy_log(context, std::move(request));
    };
    router.add({.pattern = "/api/v1/config/policy-log",
                .names = RouteNames::kPlatform,
                .access = Access::kAnyone,
                .summary = "what was extended into RTMR3"},
               policy_log);
    router.add({.pattern = "/.well-known/enclave-os/policy-log",
                .names = RouteNames::kApp,
                .access = Access::kAnyone,
                .summary = "the same on a workload's name"},
               policy_log);
    router.add({.pattern = "/.well-known/enclave-os/manifest",
                .names = RouteNames::kApp,
                .access = Access::kAnyone,
                .summary = "?scope=policy or workload"},
               manifest);
    router.add({.pattern = "/.well-known/enclave-os/proof",
                .names = RouteNames::kApp,
                .access = Access::kAnyone,
                .summary = "?scope=…&name=a.b.c"},
               proof);
}

}  // namespace eos::cvm::proxy
