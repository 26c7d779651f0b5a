// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace eos {

/// A kind of failure. Each library declares its own as `inline constexpr Code`; two codes are the
/// same failure exactly if library and name are equal.
struct Code {
    std::string_view library;  ///< the folder that owns the code, e.g. "common/x509"
    std::string_view name;     ///< stable, snake_case, e.g. "trailing_bytes"
    std::string_view text;     ///< what happened, one clause without a full stop

    friend constexpr bool operator==(const Code& a, const Code& b) {
        return a.library == b.library && a.name == b.name;
    }
};

/// Why an operation failed: a code, and what a person needs to act on it (which file, field,
/// limit). The detail never holds a secret and never holds peer bytes printed raw.
class Error {
  public:
    explicit Error(const Code& code, std::string detail = {})
        : code_(code), detail_(std::move(detail)) {}

    const Code& code() const { return code_; }
    const std::string& detail() const { return detail_; }

    /// "text: detail", for a person.
    std::string message() const;

    /// The same error with `context` put before its detail: "state/root: truncated input".
    Error within(std::string_view context) &&;

  private:
    Code code_;
    std::string detail_;
};

/// The outcome of everything that can fail. Functions that return one are [[nodiscard]].
template <typename T>
using Result = std::expected<T, Error>;

/// Makes the failing outcome: `return fail(truncated, "quote header");`
[[nodiscard]] inline std::unexpected<Error> fail(const Code& code, std::string detail = {}) {
    return std::unexpected<Error>(Error(code, std::move(detail)));
}

/// Hands an Error on unchanged: `return fail(std::move(result).error());`
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

namespace detail {
template <typename T>
T take(Result<T>&& result) {
    return *std::move(result);
}
inline void take(Result<void>&&) {}
}  // namespace detail

}  // namespace eos

#define EOS_DETAIL_TRY(name, expression)                         \
    ({                                                           \
        auto name = (expression);                                \
        if (!name.has_value()) [[unlikely]]                      \
            return ::std::unexpected(::std::move(name).error()); \
        ::eos::detail::take(::std::move(name));                  \
    })
#define EOS_DETAIL_JOIN_(a, b) a##b
#define EOS_DETAIL_JOIN(a, b) EOS_DETAIL_JOIN_(a, b)

/// The value of a Result, or return its Error from the enclosing function:
/// `auto quote = EOS_TRY(parse_quote(bytes));`
#define EOS_TRY(expression) EOS_DETAIL_TRY(EOS_DETAIL_JOIN(eos_try_, __COUNTER__), expression)
