// SPDX-License-Identifier: AGPL-3.0-only
// How a machine gets its CA: the key is born here, evidence says so, the owner sends a certificate.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/ratls/report_data.h"
#include "trusted/runtime/authority.h"
#include "trusted/runtime/ownership.h"

namespace eos::runtime {

inline constexpr Code wrong_stage{"trusted/runtime", "wrong_stage", "not in the present stage"};
inline constexpr Code wrong_token{"trusted/runtime", "wrong_token",
                                  "the one-time token is not the one in the log"};
inline constexpr Code not_the_owner{"trusted/runtime", "not_the_owner",
                                    "this machine has another owner"};
inline constexpr Code no_pending_request{
    "trusted/runtime", "no_pending_request",
    "ask for a certification request first, with the same owner key"};

/// Whom a CA key is made for.
struct CaRequester {
    std::string platform_name;
    ByteArray<32> nonce{};
    crypto::Digest32 owner_key_hash{};
};

/// A certification request, and what evidence about it is bound to.
struct CaKeyRequest {
    Bytes csr;
    ratls::ReportData report_data;
};

/// A CA key that waits for its certificate; at most one.
class PendingAuthority {
  public:
    /// Makes a key; it takes the place of an earlier one.
    /// errors: bad_ca (no DNS name in lower case).
    [[nodiscard]] Result<CaKeyRequest> begin(const CaRequester& requester);

    /// The key with its certificate. It is still pending: forget() once it is stored.
    /// errors: no_pending_request, those of check_ca_chain().
    [[nodiscard]] Result<Authority> complete(const crypto::Digest32& owner_key_hash,
                                             std::string_view chain_pem, UnixTime now) const;

    /// Of the last begin().
    const std::string& platform_name() const { return pending_->requester.platform_name; }

    void forget() { pending_.reset(); }

  private:
    struct Pending {
        crypto::P256PrivateKey key;
        CaRequester requester;
    };
    std::optional<Pending> pending_;
};

/// Whether `given` is the token, in hexadecimal digits.
/// errors: wrong_token.
[[nodiscard]] Result<void> check_token(std::string_view given, ByteView token);

}  // namespace eos::runtime
