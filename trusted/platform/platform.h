// SPDX-License-Identifier: AGPL-3.0-only
// The only operating system the enclave knows. Implemented by trusted/sgx on hardware and under the
// emulator, and by emulation/process. Enclave code includes this, the C++ library and the libraries
// of the TCB, and nothing else that reaches outside.
//
// The log is not here: it leaves as boundary::Log on a worker's rpc ring, like every other effect.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "boundary/endpoint.h"
#include "boundary/exit_codes.h"
#include "boundary/messages.h"
#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace eos::platform {

inline constexpr Code target_refused{"trusted/platform", "target_refused",
                                     "the processor refused the target of a report"};
inline constexpr Code key_refused{"trusted/platform", "key_refused",
                                  "the processor refused the key request"};

// SGX structures as the processor takes them; common/sgx_arch knows their fields.
using TargetInfo = ByteArray<512>;  ///< SDM 3D, "TARGETINFO"
using ReportData = ByteArray<64>;
using Report = ByteArray<432>;      ///< SDM 3D, "REPORT"
using KeyRequest = ByteArray<512>;  ///< SDM 3D, "KEYREQUEST"
using Key = Secret<ByteArray<16>>;

/// What a peer may conclude from this program's evidence; extension .4 of its certificates.
enum class Assurance { kProduction, kDebug, kProcess };

/// "production", "debug", "process": the extension's value.
std::string_view to_string(Assurance assurance);

using boundary::AbortReason;

/// Calls of the C library that would have left the enclave and were answered inside. In a correct
/// program both stay 0; tests demand it.
struct RefusedCalls {
    std::uint64_t file_opens = 0;
    std::uint64_t others = 0;
};

/// threads: any, except where noted. wait() and notify() come from boundary::TrustedSignals.
class Platform : public boundary::TrustedSignals {
  public:
    /// The block shared with the host, given once and never changed. All of it is hostile.
    virtual MutableByteView shared_block() const = 0;

    /// Wakes another worker of this enclave from its wait(), or keeps it from starting one. Comes
    /// after the work it is woken for has been put where its `has_other_work` sees it.
    virtual void wake(unsigned worker) = 0;

    /// EREPORT: a statement about this enclave that the enclave of `target` can check.
    /// errors:  target_refused (the target came from the host).
    /// source:  SDM 3D, "EREPORT".
    [[nodiscard]] virtual Result<Report> report(const TargetInfo& target,
                                                const ReportData& report_data) const = 0;

    /// EGETKEY: a key that only this CPU gives, and only to an enclave the request describes.
    /// errors:  key_refused.
    /// source:  SDM 3D, "EGETKEY".
    [[nodiscard]] virtual Result<Key> get_key(const KeyRequest& request) const = 0;

    /// Unpredictable bytes from the processor, for seeding; aborts when there are none.
    virtual void random(MutableByteView out) const = 0;

    virtual Assurance assurance() const = 0;

    virtual RefusedCalls refused_calls() const = 0;

    /// Ends the whole enclave at once: no destructor, no flush.
    [[noreturn]] virtual void abort(AbortReason reason) = 0;
};

/// Runs `body(worker)` for each worker below `count` on a thread of its own, worker 0 on the
/// calling thread, and returns when all have returned.
void run_workers(unsigned count, const std::function<void(unsigned worker)>& body);

}  // namespace eos::platform

namespace eos {

/// The enclave's program, defined by trusted/mini (and by tests). Called once, by platform::start
/// (trusted/platform/libc/start.h); the enclave ends with what it returns.
boundary::Exit::Why enclave_main(platform::Platform& platform);

}  // namespace eos
