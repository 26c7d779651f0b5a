// SPDX-License-Identifier: AGPL-3.0-only
// What the program says of itself, beside what its loops count, to whoever watches it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trusted/virtual/mint_protocol/mint_client.h"

namespace eos::cvm::proxy {

/// Why requests cannot be served with what is served, if they cannot: one text for each reason.
std::vector<std::string> unready_reasons(const MintedState& minted, UnixTime now);

/// When the evidence ends that is shown to clients without a challenge, of any name the first.
UnixTime end_of_evidence(const MintedState& minted);

/// What is counted of the program as a whole.
struct ProgramNumbers {
    std::uint64_t dropped_log_lines = 0;
    const MinterStatistics* minter = nullptr;  ///< null: there is none
};

/// These numbers, and when evidence and CA certificate end, in Prometheus' text form.
std::string program_metrics(const ProgramNumbers& numbers, const MintedState& minted);

}  // namespace eos::cvm::proxy
