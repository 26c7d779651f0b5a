// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/bundle.h"

#include <algorithm>
#include <array>

#include "common/attestation/endorsements/tcb.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::attestation::endorsements {
namespace {

constexpr std::string_view kFormat = "enclave-os-collateral-bundle";
constexpr std::size_t kVersion = 1;
constexpr std::size_t kMaxChainBytes = 32 * 1024;
constexpr std::size_t kMaxSourceBytes = 1024;
constexpr std::size_t kMaxKeyBytes = 64;
constexpr json::Limits kLimits{.size_bytes = kMaxBundleBytes, .depth = 4};

/// What tells pieces of one kind apart.
enum class KeyForm { none, pck_ca, fmspc, product, content_sha256 };

struct KindRow {
    PieceKind kind;
    std::string_view name;
    KeyForm key;
};
constexpr std::array<KindRow, 12> kKinds{{
    {PieceKind::intel_root_crl, "intel-root-crl", KeyForm::none},
    {PieceKind::intel_pck_crl, "intel-pck-crl", KeyForm::pck_ca},
    {PieceKind::sgx_tcb_info, "sgx-tcb-info", KeyForm::fmspc},
    {PieceKind::tdx_tcb_info, "tdx-tcb-info", KeyForm::fmspc},
    {PieceKind::sgx_qe_identity, "sgx-qe-identity", KeyForm::none},
    {PieceKind::tdx_qe_identity, "tdx-qe-identity", KeyForm::none},
    {PieceKind::intel_pck, "intel-pck", KeyForm::content_sha256},
    {PieceKind::amd_vcek, "amd-vcek", KeyForm::content_sha256},
    {PieceKind::amd_vlek, "amd-vlek", KeyForm::content_sha256},
    {PieceKind::amd_vcek_issuers, "amd-vcek-issuers", KeyForm::product},
    {PieceKind::amd_vlek_issuers, "amd-vlek-issuers", KeyForm::product},
    {PieceKind::amd_crl, "amd-crl", KeyForm::product},
}};

const KindRow& row(PieceKind kind) {
    return kKinds[static_cast<std::size_t>(kind)];
}

bool is_lower_hex(std::string_view text, std::size_t digits) {
    return text.size() == digits && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

bool is_key_of(const Piece& piece) {
    switch (row(piece.kind).key) {
        case KeyForm::none:
            return piece.key.empty();
        case KeyForm::pck_ca:
            return piece.key == "platform" || piece.key == "processor";
        case KeyForm::fmspc:
            return is_lower_hex(piece.key, 12);
        case KeyForm::product:
            return product_from_key(piece.key).has_value();
        case KeyForm::content_sha256:
            return piece.key == hex(crypto::sha256(piece.content));
    }
    return false;
}

bool comes_before(const Piece& a, const Piece& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.key < b.key;
}

/// What holds for every set of pieces, read or about to be written.
Result<void> check_pieces(const std::vector<Piece>& pieces) {
    if (pieces.size() > kMaxPieces) return fail(bad_bundle, "more than 128 pieces");
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const Piece& piece = pieces[i];
        std::string place = json::element_path("pieces", i);
        if (piece.content.empty() || piece.content.size() > kMaxCollateralBytes)
            return fail(bad_bundle, place + ".content: empty or too large");
        if (!is_key_of(piece))
            return fail(bad_bundle,
                        place + ".key: not one of " + std::string(row(piece.kind).name));
        if (i > 0 && !comes_before(pieces[i - 1], piece))
            return fail(bad_bundle, place + ": repeated, or not in order of kind and key");
    }
    return {};
}

template <typename T>
Result<T> at(Result<T> result, const std::string& place) {
    if (!result.has_value()) return fail(std::move(result).error().within(place));
    return result;
}

Result<UnixTime> time_member(json::Object& object, std::string_view name) {
    return at(parse_rfc3339(EOS_TRY(object.text(name, 20))), object.path(name));
}

Result<Piece> parse_piece(const json::Value& value, const std::string& place) {
    json::Object object = EOS_TRY(json::Object::of(value, place));
    Piece out;
    std::string name = EOS_TRY(object.text("kind", kMaxKeyBytes));
    std::optional<PieceKind> kind = piece_kind_from(name);
    if (!kind.has_value())
        return fail(bad_bundle, object.path("kind") + ": " + printable(as_bytes(name)));
    out.kind = *kind;
    if (row(out.kind).key != KeyForm::none) out.key = EOS_TRY(object.text("key", kMaxKeyBytes));
    std::string content = EOS_TRY(object.text("content", kMaxCollateralBytes / 3 * 4 + 4));
    out.content = EOS_TRY(at(from_base64(content), object.path("content")));
    if (is_signed_object(out.kind)) {
        std::string signature = EOS_TRY(object.text("signature", 2 * out.signature.size()));
        out.signature = EOS_TRY(at(array_from_hex<64>(signature), object.path("signature")));
    }
    if (const json::Value* chain = object.find("issuer_chain"); chain != nullptr)
        out.issuer_chain_pem =
            EOS_TRY(json::as_text(*chain, object.path("issuer_chain"), kMaxChainBytes));
    out.fetched = EOS_TRY(time_member(object, "fetched"));
    out.source = EOS_TRY(object.text("source", kMaxSourceBytes));
    EOS_TRY(object.finish());
    return out;
}

json::Value piece_to_json(const Piece& piece) {
    json::Value out{{"kind", row(piece.kind).name},
                    {"content", base64(piece.content)},
                    {"fetched", rfc3339(piece.fetched)},
                    {"source", piece.source}};
    if (!piece.key.empty()) out["key"] = piece.key;
    if (is_signed_object(piece.kind)) out["signature"] = hex(piece.signature);
    if (!piece.issuer_chain_pem.empty()) out["issuer_chain"] = piece.issuer_chain_pem;
    return out;
}

/// Reads and checks everything but the maker's signature, which is returned.
Result<ByteArray<64>> parse_frame(const json::Value& root, Bundle& out) {
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    if (EOS_TRY(object.text("format", kMaxKeyBytes)) != kFormat) return fail(bad_bundle, "format");
    if (EOS_TRY(object.number("version", 0xffffffff)) != kVersion)
        return fail(bad_bundle, "version: this program reads version 1");
    out.made = EOS_TRY(time_member(object, "made"));
    const json::Value* pieces = EOS_TRY(object.array("pieces", kMaxPieces));
    if (pieces == nullptr) return fail(json::missing_member, "pieces");
    for (std::size_t i = 0; i < pieces->size(); ++i)
        out.pieces.push_back(EOS_TRY(parse_piece((*pieces)[i], json::element_path("pieces", i))));
    json::Object maker = EOS_TRY(json::Object::of(*EOS_TRY(object.require("maker")), "maker"));
    std::string spki = EOS_TRY(maker.text("key", 4 * kMaxKeyBytes));
    out.maker_spki = EOS_TRY(at(from_base64(spki), "maker.key"));
    std::string signature = EOS_TRY(maker.text("signature", 128));
    EOS_TRY(maker.finish());
    EOS_TRY(object.finish());
    EOS_TRY(check_pieces(out.pieces));
    return at(array_from_hex<64>(signature), "maker.signature");
}

/// What the maker signs: the whole file, compact, without the signature itself.
std::string signed_text(json::Value root) {
    root["maker"].erase("signature");
    return json::compact(root);
}

Result<PieceDates> certificate_dates(const Piece& piece) {
    x509::Certificate certificate = EOS_TRY(x509::Certificate::parse(piece.content));
    return PieceDates{certificate.validity().not_before, certificate.validity().not_after, {}};
}

/// Of several certificates: from when to when all of them hold.
Result<PieceDates> issuer_dates(const Piece& piece) {
    std::vector<x509::Certificate> all =
        EOS_TRY(x509::parse_pem_certificates(to_string(piece.content)));
    PieceDates out{all.front().validity().not_before, all.front().validity().not_after, {}};
    for (const x509::Certificate& certificate : all) {
        out.issued = std::max(out.issued, certificate.validity().not_before);
        out.next_update = std::min(out.next_update, certificate.validity().not_after);
    }
    return out;
}

template <typename Statement>
PieceDates statement_dates(const Statement& statement) {
    return {statement.issue_date, statement.next_update, statement.evaluation_data_number};
}

}  // namespace

std::string_view piece_kind_name(PieceKind kind) {
    return row(kind).name;
}

std::optional<PieceKind> piece_kind_from(std::string_view name) {
    for (const KindRow& candidate : kKinds)
        if (candidate.name == name) return candidate.kind;
    return {};
}

bool is_signed_object(PieceKind kind) {
    return kind == PieceKind::sgx_tcb_info || kind == PieceKind::tdx_tcb_info ||
           kind == PieceKind::sgx_qe_identity || kind == PieceKind::tdx_qe_identity;
}

bool is_certificate(PieceKind kind) {
    return kind == PieceKind::intel_pck || kind == PieceKind::amd_vcek ||
           kind == PieceKind::amd_vlek || kind == PieceKind::amd_vcek_issuers ||
           kind == PieceKind::amd_vlek_issuers;
}

std::string piece_key(snp_arch::Product product) {
    std::string out(product_name(product));
    out[0] = static_cast<char>(out[0] - 'A' + 'a');
    return out;
}

std::optional<snp_arch::Product> product_from_key(std::string_view key) {
    using snp_arch::Product;
    for (Product product : {Product::milan, Product::genoa, Product::turin})
        if (piece_key(product) == key) return product;
    return {};
}

bool looks_like_bundle(ByteView in) {
    std::string_view text(reinterpret_cast<const char*>(in.data()), in.size());
    return text.find(kFormat) != text.npos;
}

Result<Bundle> parse_bundle(ByteView in) {
    json::Value root = EOS_TRY(json::parse(in, kLimits));
    Bundle out;
    ByteArray<64> signature = EOS_TRY(parse_frame(root, out));
    crypto::P256PublicKey maker = EOS_TRY(crypto::P256PublicKey::from_spki(out.maker_spki));
    if (!maker.verify_raw(as_bytes(signed_text(std::move(root))), signature).has_value())
        return fail(altered_bundle);
    return out;
}

Result<std::string> write_bundle(std::vector<Piece> pieces, UnixTime made,
                                 const crypto::P256PrivateKey& maker) {
    std::ranges::sort(pieces, comes_before);
    EOS_TRY(check_pieces(pieces));
    json::Value root{{"format", kFormat},
                     {"version", kVersion},
                     {"made", rfc3339(made)},
                     {"pieces", json::Value::array()},
                     {"maker", {{"key", base64(maker.public_key().spki())}}}};
    for (const Piece& piece : pieces) root["pieces"].push_back(piece_to_json(piece));
    root["maker"]["signature"] = hex(maker.sign_raw(as_bytes(json::compact(root))));
    std::string out = json::pretty(root) + "\n";
    // Whatever this program writes it can read.
    EOS_TRY(parse_bundle(as_bytes(out)));
    return out;
}

const Piece* find_piece(const std::vector<Piece>& pieces, PieceKind kind, std::string_view key) {
    auto hit = std::ranges::find_if(
        pieces, [&](const Piece& piece) { return piece.kind == kind && piece.key == key; });
    return hit == pieces.end() ? nullptr : &*hit;
}

Result<PieceDates> dates_of(const Piece& piece) {
    switch (piece.kind) {
        case PieceKind::intel_root_crl:
        case PieceKind::intel_pck_crl:
        case PieceKind::amd_crl: {
            x509::Crl crl = EOS_TRY(x509::Crl::parse(piece.content));
            return PieceDates{crl.this_update(), crl.next_update(), {}};
        }
        case PieceKind::sgx_tcb_info:
        case PieceKind::tdx_tcb_info:
            return statement_dates(EOS_TRY(parse_tcb_info(piece.content)));
        case PieceKind::sgx_qe_identity:
        case PieceKind::tdx_qe_identity:
            return statement_dates(EOS_TRY(parse_qe_identity(piece.content)));
        case PieceKind::intel_pck:
        case PieceKind::amd_vcek:
        case PieceKind::amd_vlek:
            return certificate_dates(piece);
        case PieceKind::amd_vcek_issuers:
        case PieceKind::amd_vlek_issuers:
            return issuer_dates(piece);
    }
    return fail(bad_bundle, "kind");
}

}  // namespace eos::attestation::endorsements
