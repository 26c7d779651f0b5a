// SPDX-License-Identifier: AGPL-3.0-only
// Issuers' keys by discovery: fetched again now and then, and when a token names a key that is not
// known, but never more often than once in kMinPause.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "trusted/attestd/callers.h"
#include "trusted/attestd/fetch.h"

namespace eos::attestd {

inline constexpr Code bad_discovery{"trusted/attestd", "bad_discovery",
                                    "the issuer's discovery document is not usable"};

/// The keys that an issuer publishes now.
/// in:      stop: gives up.
/// errors:  those of fetch(), json::parse, jose::parse_key_set(); bad_discovery (another issuer, or
///          no jwks_uri).
/// source:  OpenID Connect Discovery 1.0, 4.
[[nodiscard]] Result<std::vector<jose::IssuerKey>> discover_keys(const IssuerConfig& issuer,
                                                                 Reach reach,
                                                                 const std::stop_token& stop = {});

/// A thread for each issuer without a file of keys, so that none waits for another: kMaxIssuers at
/// most.
class KeyFetcher final : public KeySource {
  public:
    static constexpr std::chrono::seconds kMinPause{5};
    static constexpr std::chrono::seconds kMaxStop{2};

    /// Called on the issuer's thread with what came of each attempt; must not wait.
    using Fetched =
        std::function<void(std::size_t issuer, Result<std::vector<jose::IssuerKey>> keys)>;

    /// Begins at once.
    KeyFetcher(std::vector<IssuerConfig> issuers, Reach reach, Fetched fetched);
    /// Gives up what is under way; nothing is called any more. A thread that the system's resolver
    /// does not let go of within kMaxStop is left behind: it ends by itself, or with the program.
    ~KeyFetcher() override;
    KeyFetcher(const KeyFetcher&) = delete;
    KeyFetcher& operator=(const KeyFetcher&) = delete;

    /// threads: any.
    bool ask(std::size_t issuer) override;

  private:
    using Time = std::chrono::steady_clock::time_point;
    struct Row {
        std::size_t index;
        IssuerConfig issuer;  ///< never changes
        Time due;
        Time last;
    };
    /// What outlives the fetcher with a thread that is left behind.
    struct Shared {
        Reach reach;
        Fetched fetched;
        std::stop_source stop;
        std::mutex mutex;
        std::condition_variable changed;
        std::vector<Row> rows;
        std::size_t running = 0;
    };
    static void run(Shared& shared, Row& row);

    std::shared_ptr<Shared> shared_;
};

}  // namespace eos::attestd
