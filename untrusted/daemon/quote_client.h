// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "untrusted/aesm/aesm.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon {

inline constexpr Code quote_source_unreachable{"untrusted/daemon", "quote_source_unreachable",
                                               "the quote source cannot be reached"};
inline constexpr Code quote_timed_out{"untrusted/daemon", "quote_timed_out",
                                      "the quote source did not answer in time"};
inline constexpr Code quote_source_protocol{"untrusted/daemon", "quote_source_protocol",
                                            "the quote source does not speak aesmd's protocol"};
inline constexpr Code quote_refused{"untrusted/daemon", "quote_refused",
                                    "the quote source refused the request"};
inline constexpr Code quote_cancelled{"untrusted/daemon", "quote_cancelled",
                                      "the daemon is ending"};

using Deadline = std::chrono::steady_clock::time_point;

/// Asks aesmd, or what stands in for it, for ECDSA quotes. One connection a request, so a restarted
/// source is found again by itself. Calls wait, up to their deadline: not for the network thread.
/// The answers are checked for form and size only; whether a quote is the right one is for the
/// enclave to see.
/// threads: one at a time; cancel() from any.
/// source:  aesm.h.
class QuoteClient {
  public:
    static constexpr std::size_t kMaxQuoteBytes = 16 * 1024;

    /// in: `socket_path`: a file system path, or "@name" for an abstract socket.
    explicit QuoteClient(std::string socket_path);

    /// The quoting enclave's TARGETINFO.
    /// errors:  quote_source_unreachable, quote_timed_out, quote_source_protocol, quote_refused,
    ///          quote_cancelled.
    [[nodiscard]] Result<ByteArray<aesm::kTargetInfoBytes>> target_info(Deadline deadline);

    /// A quote of this report. Initialises the attestation key if the source asks for it.
    /// errors:  as target_info().
    [[nodiscard]] Result<Bytes> quote(const ByteArray<aesm::kReportBytes>& report,
                                      Deadline deadline);

    /// Makes the call under way, if any, and every later one fail with quote_cancelled.
    void cancel();

  private:
    Result<aesm::Response> exchange(const aesm::Request& request, Deadline deadline) const;
    template <typename Response>
    Result<Response> call(const aesm::Request& request, Deadline deadline) const;
    Result<std::uint32_t> quote_size(Deadline deadline);

    std::string socket_path_;
    UniqueFd cancelled_;                       // an eventfd, readable for ever after cancel()
    std::optional<std::uint32_t> quote_size_;  // asked for once, and again after a refusal
};

}  // namespace eos::daemon
