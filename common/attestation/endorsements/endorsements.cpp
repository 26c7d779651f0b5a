// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/endorsements.h"

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::endorsements {
namespace {

constexpr std::size_t kMaxChainBytes = 16 * 1024;

Result<std::optional<std::string>> text_or_null(json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) return std::optional<std::string>{};
    return std::optional(EOS_TRY(json::as_text(*value, object.path(name), kMaxCollateralBytes)));
}

Result<std::optional<Bytes>> hex_or_null(json::Object& object, std::string_view name) {
    std::optional<std::string> text = EOS_TRY(text_or_null(object, name));
    if (!text.has_value()) return std::optional<Bytes>{};
    Result<Bytes> bytes = from_hex(*text);
    if (!bytes.has_value()) return fail(std::move(bytes).error().within(object.path(name)));
    return std::optional(*std::move(bytes));
}

Result<std::optional<SignedObject>> signed_object(json::Object& object, const std::string& name) {
    std::string signature_name = name + "_signature";
    std::string chain_name = name + "_issuer_chain";
    std::optional<std::string> body = EOS_TRY(text_or_null(object, name));
    if (!body.has_value()) {
        object.find(signature_name);
        object.find(chain_name);
        return std::optional<SignedObject>{};
    }
    SignedObject out;
    out.body = to_bytes(*body);
    std::string signature = EOS_TRY(object.text(signature_name, 2 * out.signature.size()));
    Result<ByteArray<64>> raw = array_from_hex<64>(signature);
    if (!raw.has_value()) return fail(std::move(raw).error().within(signature_name));
    out.signature = *raw;
    out.issuer_chain_pem = EOS_TRY(object.text(chain_name, kMaxChainBytes));
    return std::optional(std::move(out));
}

}  // namespace

Result<Endorsements> parse_endorsements(ByteView in) {
    json::Value root =
        EOS_TRY(json::parse(in, {.size_bytes = 4 * kMaxCollateralBytes, .depth = 2}));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    Endorsements out;
    out.root_ca_crl = EOS_TRY(hex_or_null(object, "root_ca_crl"));
    out.pck_crl = EOS_TRY(hex_or_null(object, "pck_crl"));
    out.tcb_info = EOS_TRY(signed_object(object, "tcb_info"));
    out.qe_identity = EOS_TRY(signed_object(object, "qe_identity"));
    // The issuers of a PCK CRL are in the evidence itself.
    object.find("pck_crl_issuer_chain");
    EOS_TRY(object.finish());
    return out;
}

}  // namespace eos::attestation::endorsements
