// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <concepts>
#include <utility>

#include "common/base/result.h"

namespace eos::boundary {

/// A value that the host chose, already copied into trusted memory. It gives the value up only
/// through a check against what the trusted side knows, so that "used it unchecked" does not
/// compile.
template <typename T>
class FromHost {
  public:
    explicit FromHost(T value) : value_(std::move(value)) {}

    /// The value, if `accept(value)` holds.
    /// errors: `refusal`.
    template <std::predicate<const T&> Accept>
    [[nodiscard]] Result<T> check(Accept&& accept, const Code& refusal) && {
        if (!accept(std::as_const(value_))) return fail(refusal);
        return std::move(value_);
    }

    /// The value, if it is at most `limit`.
    /// errors: `refusal`.
    [[nodiscard]] Result<T> check_at_most(T limit, const Code& refusal) &&
        requires std::unsigned_integral<T>
    {
        if (value_ > limit) return fail(refusal);
        return value_;
    }

    /// The outcome of a check that has more than one way to fail, or that yields another type:
    /// `verify(const T&)` returns a Result.
    template <typename Verify>
    [[nodiscard]] auto verify_with(Verify&& verify) && {
        return std::forward<Verify>(verify)(std::as_const(value_));
    }

    /// The value as it came, for content whose form was checked by the decoder and which carries
    /// no claim that this side can check: bytes of a client's connection, a sealed blob that
    /// authenticates itself. The reason is written at each call.
    T take_unverifiable(const char* reason) && {
        static_cast<void>(reason);
        return std::move(value_);
    }

  private:
    T value_;
};

}  // namespace eos::boundary
