// SPDX-License-Identifier: AGPL-3.0-only
// What stands behind the opaque handles, and the border that no exception crosses. For this folder
// only.
#pragma once

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "client/bindings/c/enclaveos_verify.h"
#include "client/collateral_memory.h"
#include "client/stapled.h"
#include "client/verified_channel.h"
#include "common/base/time.h"

/// Policy and inputs. Of the target, address, name, mode and time are each call's own.
struct eos_verifier {
    eos::client::Target target;
    eos::attestation::verify::Collateral collateral;  ///< the target's, and what is known of it
    std::optional<eos::client::CollateralMemory> collateral_memory;
    eos::client::Stapling stapling = eos::client::Stapling::kNever;
};

/// Rendered once, so that accessors only read.
struct eos_verdict {
    explicit eos_verdict(const eos::attestation::appraise::AttestationResult& result);

    int status;
    std::string summary;
    std::string text;
    std::string json;
};

/// A channel, and what was received and not yet read.
struct eos_connection {
    std::unique_ptr<eos::client::VerifiedChannel> channel;
    eos::Bytes received;
    std::size_t taken = 0;  ///< of `received`
};

/// A failure, with advice.
struct eos_error {
    int status;
    std::string code;
    std::string message;
};

namespace eos::client::bindings::c {

inline constexpr Code bad_argument{"client/bindings/c", "bad_argument",
                                   "the function was called wrongly"};
inline constexpr Code internal{"client/bindings/c", "internal", "the library failed"};

/// The years that dates of the library can show.
inline constexpr std::int64_t kMaxTime = 253'402'300'799;
inline constexpr std::uint32_t kMaxTimeout_ms = 3'600'000;

/// A buffer of the caller's; absent if pointer and size are both zero.
struct Buffer {
    const void* data = nullptr;
    std::size_t size = 0;
    const char* name = "";

    bool is_absent() const { return data == nullptr && size == 0; }
    /// errors: bad_argument (one of both is zero; more than half of the address space).
    [[nodiscard]] Result<ByteView> view() const;
};

/// errors: bad_argument.
[[nodiscard]] Result<UnixTime> checked_time(std::int64_t seconds);
[[nodiscard]] Result<Deadline> checked_deadline(std::uint32_t timeout_ms);

/// The text of an optional argument, empty for NULL.
/// errors: bad_argument (longer than a host name can be).
[[nodiscard]] Result<std::string> checked_name(const char* text, const char* name);

/// The verifier's endorsements, with the evaluation data number that it remembers.
/// errors: those of CollateralMemory::seen.
[[nodiscard]] Result<attestation::endorsements::Endorsements> endorsements_of(
    const eos_verifier& verifier);

/// Keeps what a verdict teaches, if the verifier has a memory.
/// errors: those of CollateralMemory::learn.
[[nodiscard]] Result<void> learn(const eos_verifier& verifier,
                                 const attestation::appraise::AttestationResult& result);

/// Sets `*error`, if wanted, and returns its status.
int report(const Error& why, eos_error** error) noexcept;

/// Runs a function that returns Result<int>. Whatever goes wrong in it becomes a status.
template <typename Function>
int guarded(eos_error** error, Function&& function) noexcept {
    if (error != nullptr) *error = nullptr;
    try {
        Result<int> outcome = function();
        return outcome ? *outcome : report(outcome.error(), error);
    } catch (const std::bad_alloc&) {
        return report(Error(internal), error);
    } catch (...) {
        return report(Error(internal), error);
    }
}

}  // namespace eos::client::bindings::c
