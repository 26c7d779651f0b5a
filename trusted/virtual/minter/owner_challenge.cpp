// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/owner_challenge.h"

namespace eos::cvm {

const ByteArray<32>& OwnerChallenge::open(std::uint64_t now_ms) {
    if (!newest_ || now_ms - newest_->since_ms > kLifeMs / 2) {
        before_ = newest_;
        newest_.emplace(Open{{}, now_ms});
        random_.fill(newest_->challenge);
    }
    return newest_->challenge;
}

Result<json::Value> OwnerChallenge::verify(std::string_view statement, owner::Audience audience,
                                           const crypto::P256PublicKey& owner,
                                           std::uint64_t now_ms) const {
    Result<json::Value> asked = fail(owner::stale_statement);
    for (const std::optional<Open>* one : {&newest_, &before_}) {
        if (!*one || now_ms - (*one)->since_ms > kLifeMs) continue;
        audience.challenge = (*one)->challenge;
        asked = owner::verify(statement, audience, owner);
        if (asked || asked.error().code() != owner::stale_statement) break;
    }
    return asked;
}

}  // namespace eos::cvm
