// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/manifest.h"
#include "common/http/uri.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

inline constexpr Code no_such_tree{"trusted/mini", "no_such_tree",
                                   "there is no such tree on this name"};

inline constexpr Code owner_unknown{"trusted/mini", "owner_unknown",
                                    "the platform tree is the owner's: show its certificate"};
inline constexpr Code not_the_owner{"trusted/mini", "not_the_owner",
                                    "the platform tree is the owner's"};

int status_of_refusal(const Error& error) {
    if (error.code() == no_such_tree) return 404;
    if (error.code() == owner_unknown) return 401;
    if (error.code() == not_the_owner) return 403;
    return status_of(error);
}

void respond_document(runtime::Exchange& exchange, std::string text) {
    Result<void> sent =
        exchange.respond(runtime::make_head(200, runtime::kJsonType), to_bytes(text));
    if (!sent) respond_failure(exchange, sent.error());
}

/// Which trees a name serves, beside the policy tree, which every name serves.
enum class Own { kPlatform, kWorkload };

// The tree that `?scope=` asks for: the policy tree on every name, the platform's to the owner, an
// app's own on its name only.
Result<std::shared_ptr<const config_tree::Tree>> tree_of(const ApiContext& context,
                                                         const Snapshot& snapshot,
                                                         const RoutedRequest& request, Own own) {
    std::string scope = EOS_TRY(http::query_parameter(request.head, "scope")).value_or("policy");
    if (scope == "policy") return snapshot.policy_tree;
    if (scope == "platform" && own == Own::kPlatform) {
        OwnerAuthorizer authorizer(context.control);
        auto allowed = authorizer.decide(Access::kMonitoring, request.connection, request.head);
        if (allowed == runtime::Permission::kUnknownCaller) return fail(owner_unknown);
        if (allowed == runtime::Permission::kRefused) return fail(not_the_owner);
        return snapshot.platform_tree;
    }
    auto tree = snapshot.workload_trees.find(request.connection.app);
    if (scope == "workload" && own == Own::kWorkload && tree != snapshot.workload_trees.end())
        return tree->second;
    return fail(no_such_tree, scope);
}

Result<std::string> proof_of(const Snapshot&, const config_tree::Tree& tree,
                             const http::RequestHead& head) {
    std::optional<std::string> text = EOS_TRY(http::query_parameter(head, "name"));
    if (!text) return fail(config_tree::bad_name, "say which: ?name=a.b.c");
    config_tree::Name name = EOS_TRY(config_tree::parse_name(*text));
    Result<config_tree::InclusionProof> inclusion = tree.prove_inclusion(name);
    if (inclusion) return config_tree::encode_proof(*inclusion);
    config_tree::AbsenceProof absence = EOS_TRY(tree.prove_absence(name));
    return config_tree::encode_proof(absence);
}

void add(runtime::Router& router, const ApiContext& context, const runtime::RouteSpec& spec,
         Own own,
         Result<std::string> (*document)(const Snapshot&, const config_tree::Tree&,
                                         const http::RequestHead&)) {
    router.add(spec, [&context, own, document](RoutedRequest request) -> Dispatched {
        const SnapshotPtr snapshot = context.control.snapshot();
        auto tree = tree_of(context, *snapshot, request, own);
        Result<std::string> text =
            tree ? document(*snapshot, **tree, request.head) : fail(std::move(tree).error());
        if (text) {
            respond_document(request.exchange, std::move(*text));
        } else {
            runtime::respond_error(request.exchange, status_of_refusal(text.error()),
                                   text.error().message());
        }
        return {};
    });
}

Result<std::string> manifest_of(const Snapshot& snapshot, const config_tree::Tree& tree,
                                const http::RequestHead&) {
    if (&tree == snapshot.policy_tree.get()) return snapshot.policy_manifest;
    return config_tree::encode_manifest(tree);
}

}  // namespace

void add_config_routes(runtime::Router& router, const ApiContext& context) {
    constexpr auto kAnyone = Access::kAnyone;
    add(router, context,
        {.pattern = "/api/v1/config/manifest",
         .names = RouteNames::kPlatform,
         .access = kAnyone,
         .summary = "?scope=policy; the owner also platform"},
        Own::kPlatform, manifest_of);
    add(router, context,
        {.pattern = "/api/v1/config/proof",
         .names = RouteNames::kPlatform,
         .access = kAnyone,
         .summary = "?scope=…&name=a.b.c: inclusion or absence"},
        Own::kPlatform, proof_of);
    add(router, context,
        {.pattern = "/.well-known/enclave-os/manifest",
         .names = RouteNames::kApp,
         .access = kAnyone,
         .summary = "?scope=policy or workload"},
        Own::kWorkload, manifest_of);
    add(router, context,
        {.pattern = "/.well-known/enclave-os/proof",
         .names = RouteNames::kApp,
         .access = kAnyone,
         .summary = "?scope=…&name=a.b.c"},
        Own::kWorkload, proof_of);
    auto history = [&context](RoutedRequest request) -> Dispatched {
        respond_document(request.exchange,
                         config_tree::encode_history(context.control.snapshot()->state->history));
        return {};
    };
    router.add({.pattern = "/api/v1/config/history",
                .names = RouteNames::kPlatform,
                .access = kAnyone,
                .summary = "the last changes and their hash chain"},
               history);
    router.add({.pattern = "/.well-known/enclave-os/history",
                .names = RouteNames::kApp,
                .access = kAnyone,
                .summary = "the same on an app's name"},
               history);
}

}  // namespace eos::mini
