// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/endorsements.h"

#include "common/attestation/endorsements/amd_pieces.h"
#include "common/attestation/endorsements/collateral_containers.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/x509/crl.h"

namespace eos::attestation::endorsements {
namespace {

constexpr std::size_t kMaxChainBytes = 16 * 1024;

/// Absent, null and "" are the same.
Result<std::optional<std::string>> text_or_none(json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) return std::optional<std::string>{};
    std::string text = EOS_TRY(json::as_text(*value, object.path(name), kMaxCollateralBytes));
    if (text.empty()) return std::optional<std::string>{};
    return std::optional(std::move(text));
}

Result<std::optional<Bytes>> crl_or_none(json::Object& object, std::string_view name) {
    std::optional<std::string> text = EOS_TRY(text_or_none(object, name));
    if (!text.has_value()) return std::optional<Bytes>{};
    Result<Bytes> bytes = parse_crl_text(as_bytes(*text));
    if (!bytes.has_value()) return fail(std::move(bytes).error().within(object.path(name)));
    return std::optional(*std::move(bytes));
}

Result<std::optional<SignedObject>> signed_object(json::Object& object, const std::string& name) {
    std::string signature_name = name + "_signature";
    std::string chain_name = name + "_issuer_chain";
    std::optional<std::string> body = EOS_TRY(text_or_none(object, name));
    if (!body.has_value()) {
        object.find(signature_name);
        object.find(chain_name);
        return std::optional<SignedObject>{};
    }
    SignedObject out;
    out.body = to_bytes(*body);
    std::string signature = EOS_TRY(object.text(signature_name, 2 + 2 * out.signature.size()));
    Result<ByteArray<64>> raw = array_from_hex<64>(without_hex_mark(signature));
    if (!raw.has_value()) return fail(std::move(raw).error().within(signature_name));
    out.signature = *raw;
    out.issuer_chain_pem =
        EOS_TRY(parse_chain_text(EOS_TRY(object.text(chain_name, kMaxChainBytes))));
    return std::optional(std::move(out));
}

std::optional<SignedObject> signed_piece(const Piece* piece) {
    if (piece == nullptr) return {};
    return SignedObject{piece->content, piece->signature, piece->issuer_chain_pem};
}

Piece piece_of(PieceKind kind, const SignedObject& object) {
    return {.kind = kind,
            .content = object.body,
            .signature = object.signature,
            .issuer_chain_pem = object.issuer_chain_pem};
}

bool looks_like_certificates(ByteView in) {
    constexpr std::byte kSequence{0x30};
    return as_chars(in).starts_with("-----BEGIN CERTIFICATE-----") ||
           (!in.empty() && in[0] == kSequence);
}

/// A VCEK, a VLEK or the CAs above them, as AMD's service gives them.
Result<Endorsements> parse_amd_certificates(ByteView in) {
    if (in.size() > kMaxCollateralBytes) return fail(bad_container, "too large");
    Endorsements out;
    out.amd.certificates.push_back(to_bytes(in));
    EOS_TRY(amd_pieces(out.amd));  // of AMD's, all of them
    return out;
}

}  // namespace

Result<Endorsements> parse_endorsements(ByteView in) {
    if (looks_like_bundle(in)) {
        Endorsements out;
        out.pieces = EOS_TRY(parse_bundle(in)).pieces;
        return out;
    }
    switch (container_of(in)) {
        case Container::oe_endorsements:
            return parse_oe_endorsements(in);
        case Container::quote_library:
            return parse_quote_library_collateral(in);
        case Container::none:
            break;
    }
    if (looks_like_certificates(in)) return parse_amd_certificates(in);
    json::Value root =
        EOS_TRY(json::parse(in, {.size_bytes = 4 * kMaxCollateralBytes, .depth = 10}));
    if (is_statement_file(root)) return parse_statement_file(root);
    if (is_saved_answer(root)) return parse_saved_answer(root);
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    Endorsements out;
    out.root_ca_crl = EOS_TRY(crl_or_none(object, "root_ca_crl"));
    out.pck_crl = EOS_TRY(crl_or_none(object, "pck_crl"));
    out.tcb_info = EOS_TRY(signed_object(object, "tcb_info"));
    out.qe_identity = EOS_TRY(signed_object(object, "qe_identity"));
    std::optional<std::string> certificates = EOS_TRY(text_or_none(object, "amd_certificates"));
    if (certificates.has_value()) out.amd.certificates.push_back(to_bytes(*certificates));
    out.amd.ark_crl = EOS_TRY(crl_or_none(object, "amd_ark_crl"));
    out.amd.ask_crl = EOS_TRY(crl_or_none(object, "amd_ask_crl"));
    out.pck_crl_issuer_chain_pem =
        EOS_TRY(text_or_none(object, "pck_crl_issuer_chain")).value_or("");
    EOS_TRY(text_or_none(object, "pck_certificate_chain"));
    for (const char* unused : {"version", "tee_type"}) object.find(unused);
    EOS_TRY(object.finish());
    return out;
}

Endorsements select(const Endorsements& all, const IntelPlatform& platform) {
    Endorsements out{.root_ca_crl = all.root_ca_crl,
                     .pck_crl = all.pck_crl,
                     .pck_crl_issuer_chain_pem = all.pck_crl_issuer_chain_pem,
                     .tcb_info = all.tcb_info,
                     .qe_identity = all.qe_identity,
                     .seen_evaluation_data_number = all.seen_evaluation_data_number};
    const std::vector<Piece>& pieces = all.pieces;
    if (const Piece* crl = find_piece(pieces, PieceKind::intel_root_crl, "");
        crl != nullptr && !out.root_ca_crl) {
        out.root_ca_crl = crl->content;
    }
    for (const Piece& piece : pieces) {
        if (piece.kind != PieceKind::intel_pck_crl || out.pck_crl.has_value()) continue;
        // The key is the maker's word; whose list it is stands in the list. Pieces may be of
        // several makers: the first comes first.
        Result<x509::Crl> crl = x509::Crl::parse(piece.content);
        if (crl && equal(crl->issuer().der(), platform.pck_issuer)) out.pck_crl = piece.content;
    }
    if (!out.tcb_info)
        out.tcb_info = signed_piece(find_piece(pieces, platform.tcb_info, hex(platform.fmspc)));
    if (!out.qe_identity)
        out.qe_identity = signed_piece(find_piece(pieces, platform.qe_identity, ""));
    return out;
}

Result<std::vector<Piece>> to_pieces(const Endorsements& single, UnixTime time,
                                     const std::string& source) {
    std::vector<Piece> out = single.pieces;
    if (single.root_ca_crl)
        out.push_back({.kind = PieceKind::intel_root_crl, .content = *single.root_ca_crl});
    if (single.pck_crl) {
        x509::Crl crl = EOS_TRY(x509::Crl::parse(*single.pck_crl));
        bool processor = crl.issuer().display().find("Processor") != std::string::npos;
        out.push_back({.kind = PieceKind::intel_pck_crl,
                       .key = processor ? "processor" : "platform",
                       .content = *single.pck_crl,
                       .issuer_chain_pem = single.pck_crl_issuer_chain_pem});
    }
    if (single.tcb_info) {
        TcbInfo info = EOS_TRY(parse_tcb_info(single.tcb_info->body));
        PieceKind kind =
            info.tee == IntelTee::tdx ? PieceKind::tdx_tcb_info : PieceKind::sgx_tcb_info;
        out.push_back(piece_of(kind, *single.tcb_info));
        out.back().key = hex(info.fmspc);
    }
    if (single.qe_identity) {
        QeIdentity identity = EOS_TRY(parse_qe_identity(single.qe_identity->body));
        PieceKind kind =
            identity.tee == IntelTee::tdx ? PieceKind::tdx_qe_identity : PieceKind::sgx_qe_identity;
        out.push_back(piece_of(kind, *single.qe_identity));
    }
    for (Piece& piece : EOS_TRY(amd_pieces(single.amd))) out.push_back(std::move(piece));
    for (std::size_t i = single.pieces.size(); i < out.size(); ++i) {
        out[i].fetched = time;
        out[i].source = source;
    }
    return out;
}

}  // namespace eos::attestation::endorsements
