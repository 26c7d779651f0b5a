// SPDX-License-Identifier: AGPL-3.0-only
// Which alert ends a handshake that this server will not finish, so that a client knows whether to
// ask again, ask otherwise, or tell its operator.
#pragma once

#include <cstdint>

namespace eos::ratls {

/// Alerts that somebody here decides by; a peer may send any number.
///
/// | the server ends the handshake because        | alert             | by                    |
/// |----------------------------------------------|-------------------|-----------------------|
/// | it has no such name                          | unrecognized_name | RFC 6066 §3           |
/// | challenges are limited, for the peer or all  | access_denied     | see below             |
/// | there is no quote, no state yet, no leaf     | internal_error    | RFC 8446 §6.2         |
/// | the nonce of 0xFFBB has a forbidden length,  | decode_error      | RFC 8446 §6.2         |
/// | or libssl cannot read an extension           |                   |                       |
/// | an extension comes twice, or contradicts     | illegal_parameter | RFC 8446 §4.2         |
/// | another                                      |                   |                       |
/// | no suite, group or signature is in common    | handshake_failure | RFC 8446 §4.1.1       |
///
/// No alert says "too often, come back later". Of those there are, internal_error is for what has
/// nothing to do with the peer, and handshake_failure means that nothing was in common, so that
/// asking again is in vain. access_denied is what a sender says that "decided not to proceed" when
/// access control was applied; a limit per address is that, though the RFC has a certificate in
/// mind. libssl never sends it of its own accord, so that it means one thing here. RFC 9325 leaves
/// the choice free.
/// source: RFC 8446 §6.2, RFC 6066 §3.
enum class Alert : std::uint8_t {
    kHandshakeFailure = 40,
    kIllegalParameter = 47,
    kAccessDenied = 49,
    kDecodeError = 50,
    kInternalError = 80,
    kUnrecognizedName = 112,
};

/// Why a handshake gets no leaf.
enum class LeafRefusal {
    kUnknownName,  ///< no name of ours
    kOverLimit,    ///< a limit on challenges; asking again later may help
    kUnavailable,  ///< this side cannot make one now
};

/// The alert that tells the peer.
constexpr Alert alert_of(LeafRefusal refusal) {
    switch (refusal) {
        case LeafRefusal::kUnknownName:
            return Alert::kUnrecognizedName;
        case LeafRefusal::kOverLimit:
            return Alert::kAccessDenied;
        case LeafRefusal::kUnavailable:
            break;
    }
    return Alert::kInternalError;
}

}  // namespace eos::ratls
