// SPDX-License-Identifier: AGPL-3.0-only
#include "client/collateral_source.h"

#include <algorithm>
#include <chrono>

#include "common/attestation/endorsements/collateral_containers.h"
#include "common/attestation/endorsements/vek.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

using attestation::endorsements::Piece;
using attestation::endorsements::PieceDates;
using attestation::endorsements::PieceKind;
using attestation::endorsements::SignedObject;

constexpr std::string_view kSgx = "/sgx/certification/v4";
constexpr std::string_view kTdx = "/tdx/certification/v4";

/// "Milan": as KDS spells it.
std::string product_in_url(const Wanted& wanted) {
    auto product = attestation::endorsements::product_from_key(wanted.key);
    return product ? std::string(product_name(*product)) : wanted.key;
}

std::string two_digits(unsigned number) {
    return (number < 10 ? "0" : "") + std::to_string(number);
}

// Turin's chips have ids of 8 bytes and an FMC.
std::string vcek_path(const ChipTcb& chip) {
    constexpr std::size_t kTurinIdBytes = 8;
    const bool turin = chip.product == snp_arch::Product::turin;
    const ByteView id = ByteView(chip.chip_id).first(turin ? kTurinIdBytes : chip.chip_id.size());
    std::string out = "/vcek/v1/" + std::string(product_name(chip.product)) + "/" + hex(id) + "?";
    if (turin) out += "fmcSPL=" + two_digits(chip.tcb.fmc) + "&";
    return out + "blSPL=" + two_digits(chip.tcb.boot_loader) +
           "&teeSPL=" + two_digits(chip.tcb.tee) + "&snpSPL=" + two_digits(chip.tcb.snp) +
           "&ucodeSPL=" + two_digits(chip.tcb.microcode);
}

/// The chip and TCB that a VCEK is for.
Result<ChipTcb> chip_of(const Piece& piece) {
    x509::Certificate certificate = EOS_TRY(x509::Certificate::parse(piece.content));
    auto vek = EOS_TRY(attestation::endorsements::parse_vek_extension(certificate));
    if (!vek.chip_id) return fail(bad_answer, "the certificate names no chip");
    return ChipTcb{vek.product, *vek.chip_id, vek.tcb};
}

std::string without_slash(std::string base) {
    while (base.ends_with('/')) base.pop_back();
    return base;
}

// The end of the address, after the base; empty where whole addresses are configured.
std::string path_of(const Wanted& wanted) {
    switch (wanted.kind) {
        case PieceKind::intel_root_crl:
            return std::string(kSgx) + "/rootcacrl";
        case PieceKind::intel_pck_crl:
            return std::string(kSgx) + "/pckcrl?ca=" + wanted.key + "&encoding=der";
        case PieceKind::sgx_tcb_info:
            return std::string(kSgx) + "/tcb?fmspc=" + wanted.key;
        case PieceKind::tdx_tcb_info:
            return std::string(kTdx) + "/tcb?fmspc=" + wanted.key;
        case PieceKind::sgx_qe_identity:
            return std::string(kSgx) + "/qe/identity";
        case PieceKind::tdx_qe_identity:
            return std::string(kTdx) + "/qe/identity";
        case PieceKind::amd_vcek_issuers:
            return "/vcek/v1/" + product_in_url(wanted) + "/cert_chain";
        case PieceKind::amd_vlek_issuers:
            return "/vlek/v1/" + product_in_url(wanted) + "/cert_chain";
        case PieceKind::amd_crl:
            return "/vcek/v1/" + product_in_url(wanted) + "/crl";
        case PieceKind::amd_vcek:
            return wanted.chip ? vcek_path(*wanted.chip) : std::string();
        case PieceKind::intel_pck:
        case PieceKind::amd_vlek:
            break;  // evidence brings it, or it is imported
    }
    return {};
}

std::vector<std::string> urls_of(const Wanted& wanted, const Sources& sources) {
    std::string path = path_of(wanted);
    if (path.empty()) return {};
    std::vector<std::string> out;
    if (wanted.kind == PieceKind::intel_root_crl) out = sources.root_crl;
    bool amd = wanted.kind >= PieceKind::amd_vcek;
    for (const std::string& base : amd ? sources.kds : sources.pcs)
        out.push_back(without_slash(base) + path);
    return out;
}

// Chains come in a header field, percent-encoded.
Result<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        Result<Bytes> byte = from_hex(text.substr(i + 1, 2));
        if (!byte || byte->size() != 1) return fail(bad_answer, "a percent sign in the chain");
        out += static_cast<char>(byte->front());
        i += 2;
    }
    return out;
}

Result<std::string> issuer_chain(const Response& response,
                                 std::initializer_list<std::string_view> names) {
    for (std::string_view name : names) {
        std::optional<std::string_view> value = EOS_TRY(response.headers.single(name));
        if (!value) continue;
        std::string chain = EOS_TRY(percent_decoded(*value));
        auto certificates = x509::parse_pem_chain(as_bytes(chain));
        if (!certificates) return fail(std::move(certificates).error().within(name));
        return chain;
    }
    return fail(bad_answer, "no field " + std::string(*names.begin()));
}

Result<void> read_statement(const Response& response, std::string chain, Piece& out) {
    SignedObject object =
        EOS_TRY(attestation::endorsements::parse_signed_answer(response.body, std::move(chain)));
    out.content = std::move(object.body);
    out.signature = object.signature;
    out.issuer_chain_pem = std::move(object.issuer_chain_pem);
    return {};
}

Result<void> check_age(const Piece& piece, const FetchPlan& plan, const Piece* older) {
    PieceDates dates = EOS_TRY(attestation::endorsements::dates_of(piece));
    if (plan.now > dates.next_update)
        return fail(stale_answer, "it ended " + rfc3339(dates.next_update));
    const bool has_limit =
        plan.max_age_s > 0 && !attestation::endorsements::is_certificate(piece.kind);
    if (has_limit && plan.now - dates.issued > plan.max_age_s)
        return fail(stale_answer, "it was issued " + rfc3339(dates.issued));
    if (older == nullptr) return {};
    Result<PieceDates> before = attestation::endorsements::dates_of(*older);
    if (!before) return {};
    if (dates.issued < before->issued ||
        dates.evaluation_data_number < before->evaluation_data_number) {
        return fail(stale_answer,
                    "it is older than what is in the bundle: issued " + rfc3339(dates.issued));
    }
    return {};
}

Result<Piece> fetch_from(const std::string& url, const Wanted& wanted, const FetchPlan& plan,
                         const std::vector<Piece>& have, const Piece* older) {
    Deadline deadline = std::chrono::steady_clock::now() + plan.attempt_limit;
    Response response = EOS_TRY(fetch(url, plan.web, deadline));
    Piece piece = EOS_TRY(read_answer(wanted, response));
    EOS_TRY(check_age(piece, plan, older));
    EOS_TRY(check_genuine(piece, plan, have));
    piece.fetched = plan.now;
    piece.source = url;
    return piece;
}

}  // namespace

Result<Piece> read_answer(const Wanted& wanted, const Response& response) {
    using attestation::endorsements::parse_crl_text;
    Piece out{.kind = wanted.kind, .key = wanted.key};
    std::string chain;
    switch (wanted.kind) {
        case PieceKind::sgx_tcb_info:
        case PieceKind::tdx_tcb_info:
            chain = EOS_TRY(
                issuer_chain(response, {"tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"}));
            EOS_TRY(read_statement(response, std::move(chain), out));
            break;
        case PieceKind::sgx_qe_identity:
        case PieceKind::tdx_qe_identity:
            chain = EOS_TRY(issuer_chain(
                response, {"sgx-enclave-identity-issuer-chain", "enclave-identity-issuer-chain"}));
            EOS_TRY(read_statement(response, std::move(chain), out));
            break;
        case PieceKind::intel_pck_crl:
            out.content = EOS_TRY(parse_crl_text(response.body));
            out.issuer_chain_pem = EOS_TRY(issuer_chain(response, {"sgx-pck-crl-issuer-chain"}));
            break;
        case PieceKind::intel_root_crl:
        case PieceKind::amd_crl:
            out.content = EOS_TRY(parse_crl_text(response.body));
            break;
        case PieceKind::amd_vcek:
            out.content = response.body;
            out.key = hex(crypto::sha256(out.content));
            if (EOS_TRY(chip_of(out)) != wanted.chip)
                return fail(bad_answer, "the VCEK of another chip or TCB");
            break;
        default:
            out.content = response.body;
            break;
    }
    return out;
}

Wanted wanted_like(const Piece& piece) {
    Wanted out{piece.kind, piece.key, {}};
    if (piece.kind != PieceKind::amd_vcek) return out;
    if (Result<ChipTcb> chip = chip_of(piece)) out.chip = *chip;
    return out;
}

const Piece* find_wanted(const std::vector<Piece>& pieces, const Wanted& wanted) {
    if (!wanted.chip) return find_piece(pieces, wanted.kind, wanted.key);
    auto hit = std::ranges::find_if(pieces, [&](const Piece& piece) {
        return piece.kind == wanted.kind && wanted_like(piece).chip == wanted.chip;
    });
    return hit == pieces.end() ? nullptr : &*hit;
}

Result<void> check_genuine(const Piece& piece, const FetchPlan& plan,
                           const std::vector<Piece>& have) {
    using attestation::verify::Check;
    std::vector<Piece> all{piece};
    for (const Piece& other : have)
        if (other.kind != piece.kind || other.key != piece.key) all.push_back(other);
    Check tree = attestation::verify::check_pieces(all, plan.roots, {plan.now});
    for (const Check& check : tree.children.front().children) {
        if (check.verdict != attestation::verify::Verdict::fail) continue;
        std::string why = check.notes.empty() ? "" : ": " + check.notes.front();
        return fail(bad_answer, check.id + why);
    }
    return {};
}

Result<Piece> fetch_piece(const Wanted& wanted, const FetchPlan& plan,
                          const std::vector<Piece>& have, const Piece* older) {
    std::string name(attestation::endorsements::piece_kind_name(wanted.kind));
    if (wanted.chip) {
        name += " of " + std::string(product_name(wanted.chip->product)) + " chip " +
                hex(ByteView(wanted.chip->chip_id).first(8));
    } else if (!wanted.key.empty()) {
        name += " " + wanted.key;
    }
    std::string failures;
    for (const std::string& url : urls_of(wanted, plan.sources)) {
        plan.progress(name + " from " + url);
        Result<Piece> piece = fetch_from(url, wanted, plan, have, older);
        if (piece) return piece;
        plan.progress("  " + piece.error().message());
        failures += (failures.empty() ? "" : "; ") + url + ": " + piece.error().message();
    }
    if (failures.empty()) failures = "no source is configured for it";
    return fail(no_source, name + ": " + failures);
}

}  // namespace eos::client
