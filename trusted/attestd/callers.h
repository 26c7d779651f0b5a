// SPDX-License-Identifier: AGPL-3.0-only
// Who calls, whether they may, and how much: bearer tokens of several issuers, and limits for each
// caller.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/message.h"
#include "common/jose/jwt.h"
#include "trusted/attestd/config.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/leaf_mint.h"

namespace eos::attestd {

inline constexpr Code no_caller{"trusted/attestd", "no_caller",
                                "a bearer token of a known issuer is needed"};
inline constexpr Code keys_unknown{"trusted/attestd", "keys_unknown",
                                   "the issuer's keys are being fetched: try again"};
inline constexpr Code role_missing{"trusted/attestd", "role_missing",
                                   "the token does not have the role for this"};
inline constexpr Code too_many_calls{"trusted/attestd", "too_many_calls",
                                     "more calls than this caller may make"};

/// What a token is needed for.
enum class Role { client, monitoring };

/// Names a caller without saying who it is: 16 bytes of SHA-256(issuer, subject), or an address.
using CallerId = ByteArray<16>;

/// Who calls.
struct Caller {
    CallerId id{};
    std::size_t issuer = 0;  ///< that vouches for it
};

using KeySetPtr = std::shared_ptr<const std::vector<jose::IssuerKey>>;

/// Asked for new keys of an issuer, when a token names one that is not known. May do nothing.
class KeySource {
  public:
    virtual ~KeySource() = default;
    /// returns: whether keys are on their way.
    virtual bool ask(std::size_t issuer) = 0;
};

/// The tokens of all issuers. threads: one.
class TokenVerifier {
  public:
    /// `source` outlives this; null: keys come from files only.
    TokenVerifier(std::vector<IssuerConfig> issuers, std::int64_t leeway_s, KeySource* source)
        : issuers_(std::move(issuers)),
          keys_(issuers_.size()),
          leeway_s_(leeway_s),
          source_(source) {}

    void set_source(KeySource* source) { source_ = source; }
    /// Null: there are none.
    /// in: ends_ms: when the keys are not believed any more, on the clock of forget_old_keys().
    void set_keys(std::size_t issuer, KeySetPtr keys,
                  std::optional<std::uint64_t> ends_ms = std::nullopt) {
        keys_.at(issuer) = {std::move(keys), ends_ms};
    }
    /// Drops what has ended, so that age does not depend on anybody who fetches.
    /// returns: the issuers that have lost their keys by that.
    std::vector<std::size_t> forget_old_keys(std::uint64_t now_ms);

    std::size_t issuer_count() const { return issuers_.size(); }
    /// How many keys of an issuer there are.
    std::size_t key_count(std::size_t issuer) const;
    bool has_any_keys() const;

    /// Who sent the request.
    /// errors:  no_caller (no token, or of an unknown issuer), those of verify_jwt(), keys_unknown,
    ///          role_missing.
    [[nodiscard]] Result<Caller> identify(const http::RequestHead& head, Role role, UnixTime now);

  private:
    struct Keys {
        KeySetPtr set;
        std::optional<std::uint64_t> ends_ms;
    };
    Result<std::size_t> find_issuer(std::string_view token) const;

    std::vector<IssuerConfig> issuers_;
    std::vector<Keys> keys_;
    std::int64_t leeway_s_;
    KeySource* source_;
};

/// Whether a token's claims carry the role: in "roles" (a list, or the names of a map's members),
/// in realm_access.roles, or in the claim of that name.
bool has_role(const json::Value& claims, std::string_view role, const std::string& claim);

/// How many calls each may make, how many at once, and how much memory they may hold, alone and
/// together with the other callers of their issuer. threads: one.
class CallLimiter {
    /// What one caller has under way.
    struct Underway {
        std::size_t calls = 0;
        runtime::MemoryBudget share;
    };
    struct Callers {
        std::deque<runtime::MemoryBudget> issuers;  ///< what all callers of each may hold
        std::map<CallerId, Underway> rows;
    };
    using Row = std::map<CallerId, Underway>::iterator;

  public:
    struct Rules {
        runtime::PeerRateLimiter::Limits rate;
        std::size_t in_flight = 8;
        std::size_t share_bytes = 0;  ///< of `memory`, for each
        std::size_t issuers = 1;
        std::size_t issuer_share_bytes = 0;  ///< of `memory`, for all callers of one issuer
    };
    /// `memory` outlives the limiter and its slots.
    CallLimiter(const Rules& rules, runtime::MemoryBudget& memory);

    /// Held while a call is under way, and longer than what its memory() lends.
    class Slot {
      public:
        Slot(Slot&&) noexcept = default;
        Slot& operator=(Slot&&) = delete;
        ~Slot();

        runtime::MemoryBudget& memory() const { return row_->second.share; }

      private:
        friend class CallLimiter;
        Slot(std::shared_ptr<Callers> callers, Row row) : callers_(std::move(callers)), row_(row) {}
        std::shared_ptr<Callers> callers_;
        Row row_;
    };

    /// errors: too_many_calls.
    [[nodiscard]] Result<Slot> admit(const Caller& caller, std::uint64_t now_ms);

  private:
    const Rules rules_;
    runtime::PeerRateLimiter rate_;
    std::shared_ptr<Callers> callers_;
};

}  // namespace eos::attestd
