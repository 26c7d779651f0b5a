// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string_view>

#include "common/owner/statement.h"
#include "trusted/runtime/interfaces.h"

namespace eos::cvm {

/// The challenge that the owner's next statement answers: random, of this start, soon over, and
/// closed by the statement that answered it. threads: one at a time.
class OwnerChallenge {
  public:
    static constexpr std::uint64_t kLifeMs = 60'000;

    /// `random` outlives this.
    explicit OwnerChallenge(runtime::Random& random) : random_(random) {}

    /// The newest, for whoever asks. Asking takes none from anybody: whoever was given one has half
    /// its life at least, and no other is answered in its place.
    const ByteArray<32>& open(std::uint64_t now_ms);

    /// What is asked in a statement that answers one whose life is not over; it stays open.
    /// in:     audience: without its challenge.
    /// errors: those of owner::verify().
    [[nodiscard]] Result<json::Value> verify(std::string_view statement, owner::Audience audience,
                                             const crypto::P256PublicKey& owner,
                                             std::uint64_t now_ms) const;

    /// Whoever was answered is believed: nobody answers it again.
    void close() { newest_ = before_ = std::nullopt; }

  private:
    struct Open {
        ByteArray<32> challenge{};
        std::uint64_t since_ms = 0;
    };
    runtime::Random& random_;
    std::optional<Open> newest_;
    std::optional<Open> before_;  ///< what is older than this is over
};

}  // namespace eos::cvm
