// SPDX-License-Identifier: AGPL-3.0-only
// What aesmd answers. No sockets here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "emulation/quoting/quoting_enclave.h"
#include "untrusted/aesm/aesm.h"

namespace eos::emulation::quoting {

/// Faults for the campaigns that check how Mini bears them. None is on by default.
struct Faults {
    /// Every nth getQuoteEx is answered with kServiceUnavailable; 0: none.
    std::uint32_t fail_every = 0;
    /// Whose REPORT is quoted. kAnother: a genuine quote, but of other report data than was sent.
    enum class Report { kAsSent, kAnother } report = Report::kAsSent;
};

/// Takes one line for the operator.
using Log = std::function<void(const std::string& line)>;

/// Answers requests one at a time.
class AesmService {
  public:
    /// in: enclave: outlives this object; log: told, one line each, why a request was refused.
    AesmService(const QuotingEnclave& enclave, Faults faults, Log log)
        : enclave_(enclave), faults_(faults), log_(std::move(log)) {}
    AesmService(const AesmService&) = delete;
    AesmService& operator=(const AesmService&) = delete;

    /// returns: a response of the request's kind; its status says what went wrong:
    ///          kParameterError (another attestation key id, a REPORT that is not for this quoting
    ///          enclave, too little room, a QE report asked for, which is not emulated),
    ///          kAttKeyNotInitialised (no initQuoteEx since the start), kServiceUnavailable.
    aesm::Response answer(const aesm::Request& request);

    /// Quotes that were asked for.
    std::uint64_t quote_count() const { return quote_count_; }

  private:
    enum class KeyState { kUnused, kInitialised };

    aesm::InitQuoteResponse init_quote(const aesm::InitQuoteRequest& request);
    aesm::QuoteSizeResponse quote_size(const aesm::QuoteSizeRequest& request) const;
    aesm::QuoteResponse quote(const aesm::QuoteRequest& request);
    aesm::Status check_key(ByteView att_key_id, KeyState needed) const;
    aesm::Status refuse(aesm::Status status, std::string_view why) const;
    Result<Bytes> quote_of(ByteView report) const;

    const QuotingEnclave& enclave_;
    const Faults faults_;
    const Log log_;
    KeyState key_state_ = KeyState::kUnused;
    std::uint64_t quote_count_ = 0;
};

}  // namespace eos::emulation::quoting
