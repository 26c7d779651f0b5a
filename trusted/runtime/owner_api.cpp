// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/owner_api.h"

#include "common/base/encoding.h"

namespace eos::runtime {
namespace {

Result<CaStep::Kind> parse_kind(const std::string& step, CaChange change, KeyImport import) {
    if (step == "request-csr") return CaStep::Kind::kRequest;
    if (step == "complete") return CaStep::Kind::kComplete;
    const bool is_import = step == "import" && change == CaChange::kProvision;
    if (is_import && import == KeyImport::kTaken) return CaStep::Kind::kImport;
    return fail(unknown_step, printable(as_bytes(step), 32));
}

}  // namespace

Result<CaStep> parse_ca_step(const json::Value& value, CaChange change, KeyImport import) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    CaStep out;
    out.kind = EOS_TRY(parse_kind(EOS_TRY(object.text("step", 32)), change, import));
    if (change == CaChange::kProvision) {
        out.token = EOS_TRY(object.text("token", 64));
        if (out.kind != CaStep::Kind::kComplete)
            out.platform_name = EOS_TRY(object.text("platform_name", 253));
    }
    if (out.kind == CaStep::Kind::kRequest) {
        const Bytes nonce = EOS_TRY(from_base64(EOS_TRY(object.text("nonce", 64))));
        if (nonce.size() != 32) return fail(bad_encoding, "nonce must have 32 bytes");
        out.nonce = to_array<32>(nonce);
    } else {
        out.ca_chain = EOS_TRY(object.text("ca_chain", kMaxCaChainPemBytes));
    }
    if (out.kind == CaStep::Kind::kImport) {
        out.ca_key = SecretBytes(EOS_TRY(from_base64(EOS_TRY(object.text("ca_key", 1024)))));
        const json::Value* accepted = object.find("accept_imported_key");
        out.accept_imported_key =
            accepted != nullptr && accepted->is_boolean() && *accepted == true;
    }
    EOS_TRY(object.finish());
    return out;
}

json::Value to_json(const CertificationRequest& request) {
    return {{"csr", base64(request.csr)},
            {"evidence", base64(request.evidence)},
            {"instance_id", hex(request.instance_id)}};
}

json::Value to_json(const OwnedPlatform& platform) {
    return {{"instance_id", hex(platform.instance_id)},
            {"generation", platform.generation},
            {"policy_root", hex(platform.policy_root)},
            {"platform_name", platform.name},
            {"ca_not_after", rfc3339(platform.ca_not_after)}};
}

Result<UnixTime> parse_time_confirmation(const json::Value& value) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const std::string text = EOS_TRY(object.text("time", 32));
    EOS_TRY(object.finish());
    return parse_rfc3339(text);
}

Permission decide_for_owner(Access access, const ConnectionInfo& connection,
                            const crypto::Digest32* owner_key) {
    if (access == Access::kAnyone) return Permission::kGranted;
    if (!connection.client_key_hash) return Permission::kUnknownCaller;
    const bool is_owner = owner_key != nullptr &&
                          crypto::equal_constant_time(*connection.client_key_hash, *owner_key);
    return is_owner ? Permission::kGranted : Permission::kRefused;
}

Dispatched with_json(RoutedRequest request, MemoryBudget& bodies,
                     void (*refuse)(Exchange&, const Error&),
                     std::move_only_function<void(Exchange, json::Value)> then) {
    const std::size_t limit = request.route.max_body_bytes;
    return collect_body(
        request.head.body, limit, bodies, std::move(request.exchange),
        [limit, refuse, then = std::move(then)](Exchange exchange, CollectedBody body) mutable {
            Result<json::Value> value = json::parse(body.bytes, {.size_bytes = limit, .depth = 8});
            if (!value) return refuse(exchange, value.error());
            then(std::move(exchange), std::move(*value));
        });
}

}  // namespace eos::runtime
