// SPDX-License-Identifier: AGPL-3.0-only
// Issuers' keys by discovery: fetched again now and then, and when a token names a key that is not
// known, but never more often than once in kMinPause.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trusted/attestd/callers.h"
#include "trusted/attestd/fetch.h"

namespace eos::attestd {

inline constexpr Code bad_discovery{"trusted/attestd", "bad_discovery",
                                    "the issuer's discovery document is not usable"};

/// The keys that an issuer publishes now.
/// errors:  those of fetch(), json::parse, jose::parse_key_set(); bad_discovery (another issuer, or
///          no jwks_uri).
/// source:  OpenID Connect Discovery 1.0, 4.
[[nodiscard]] Result<std::vector<jose::IssuerKey>> discover_keys(const IssuerConfig& issuer,
                                                                 Reach reach);

/// One thread that fetches for all issuers without a file of keys.
class KeyFetcher final : public KeySource {
  public:
    static constexpr std::chrono::seconds kMinPause{5};

    /// Called on the fetcher's thread with what came of each attempt.
    using Fetched =
        std::function<void(std::size_t issuer, Result<std::vector<jose::IssuerKey>> keys)>;

    /// Begins at once.
    KeyFetcher(std::vector<IssuerConfig> issuers, Reach reach, Fetched fetched);
    /// Waits for the fetch under way, which has a time limit.
    ~KeyFetcher() override;

    /// threads: any.
    bool ask(std::size_t issuer) override;

  private:
    using Time = std::chrono::steady_clock::time_point;
    struct Row {
        std::size_t index;
        IssuerConfig issuer;
        Time due;
        Time last;
    };
    void run();

    Reach reach_;
    Fetched fetched_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Row> rows_;
    bool stopping_ = false;
    std::jthread thread_;
};

}  // namespace eos::attestd
