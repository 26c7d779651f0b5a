// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/bundle_report.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::client::cli {
namespace {

using attestation::endorsements::Bundle;
using attestation::endorsements::Piece;
using attestation::endorsements::PieceDates;
using attestation::endorsements::PieceKind;

std::string_view word(PieceState state) {
    switch (state) {
        case PieceState::current:
            return "current";
        case PieceState::due:
            return "due";
        case PieceState::too_old:
            return "TOO OLD";
        case PieceState::expired:
            return "EXPIRED";
        case PieceState::not_yet:
            return "NOT YET VALID";
        case PieceState::unreadable:
            return "UNREADABLE";
    }
    return "";
}

std::string name_of(const Piece& piece) {
    std::string out(attestation::endorsements::piece_kind_name(piece.kind));
    return piece.key.empty() ? out : out + " " + piece.key.substr(0, 16);
}

std::string days(std::int64_t seconds) {
    return std::to_string(seconds / kSecondsPerDay) + " d";
}

std::string date_text(const Result<PieceDates>& dates, UnixTime now) {
    if (!dates) return printable(as_bytes(dates.error().message()), 200);
    std::string out = "issued " + rfc3339(dates->issued).substr(0, 10) + " (" +
                      days(now - dates->issued) + " ago), holds to " +
                      rfc3339(dates->next_update).substr(0, 10);
    if (dates->next_update >= now) out += " (" + days(dates->next_update - now) + " left)";
    if (dates->evaluation_data_number)
        out += ", evaluation data number " + std::to_string(*dates->evaluation_data_number);
    return out;
}

}  // namespace

PieceState state_of(const Piece& piece, const AgeLimits& limits) {
    Result<PieceDates> dates = attestation::endorsements::dates_of(piece);
    if (!dates) return PieceState::unreadable;
    if (limits.now < dates->issued) return PieceState::not_yet;
    if (limits.now > dates->next_update) return PieceState::expired;
    bool has_age_limit = limits.max_age_days > 0 && !is_certificate(piece.kind);
    if (has_age_limit && limits.now - dates->issued > limits.max_age_days * kSecondsPerDay)
        return PieceState::too_old;
    bool ends_soon = dates->next_update - limits.now <= limits.ahead_days * kSecondsPerDay;
    return ends_soon ? PieceState::due : PieceState::current;
}

bool has_stale_piece(const Bundle& bundle, const AgeLimits& limits) {
    return std::ranges::any_of(bundle.pieces, [&](const Piece& piece) {
        PieceState state = state_of(piece, limits);
        return state != PieceState::current && state != PieceState::due;
    });
}

std::string bundle_text(const Bundle& bundle, const AgeLimits& limits) {
    std::string out = "made " + rfc3339(bundle.made) +
                      " by the key sha256:" + hex(crypto::sha256(bundle.maker_spki)) + "\n";
    for (const Piece& piece : bundle.pieces) {
        std::string name = name_of(piece);
        std::string state(word(state_of(piece, limits)));
        name.resize(std::max<std::size_t>(name.size(), 32), ' ');
        state.resize(std::max<std::size_t>(state.size(), 13), ' ');
        out += name + "  " + state + "  " +
               date_text(attestation::endorsements::dates_of(piece), limits.now) + "\n";
        out += "    fetched " + rfc3339(piece.fetched) + " from " +
               printable(as_bytes(piece.source), 200) + "\n";
    }
    out.pop_back();
    return out;
}

json::Value bundle_json(const Bundle& bundle, const AgeLimits& limits) {
    json::Value pieces = json::Value::array();
    for (const Piece& piece : bundle.pieces) {
        json::Value row{{"kind", attestation::endorsements::piece_kind_name(piece.kind)},
                        {"key", piece.key},
                        {"fetched", rfc3339(piece.fetched)},
                        {"source", piece.source},
                        {"sha256", hex(crypto::sha256(piece.content))}};
        std::string state(word(state_of(piece, limits)));
        std::ranges::transform(state, state.begin(), [](char c) {
            return c == ' ' ? '_' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        });
        row["state"] = state;
        Result<PieceDates> dates = attestation::endorsements::dates_of(piece);
        if (dates) {
            row["issued"] = rfc3339(dates->issued);
            row["next_update"] = rfc3339(dates->next_update);
            if (dates->evaluation_data_number)
                row["evaluation_data_number"] = *dates->evaluation_data_number;
        }
        pieces.push_back(std::move(row));
    }
    return {{"made", rfc3339(bundle.made)},
            {"maker_key_sha256", hex(crypto::sha256(bundle.maker_spki))},
            {"stale", has_stale_piece(bundle, limits)},
            {"pieces", std::move(pieces)}};
}

}  // namespace eos::client::cli
