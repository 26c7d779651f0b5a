// SPDX-License-Identifier: AGPL-3.0-only
// The runtime's interfaces over the platform and the rings.
#pragma once

#include "common/base/secret.h"
#include "trusted/mini/host_services/host_calls.h"
#include "trusted/platform/platform.h"
#include "trusted/platform/trusted_clock.h"
#include "trusted/runtime/interfaces.h"

namespace eos::mini {

/// The host's time, clamped to be monotonic.
class HostClock : public runtime::Clock {
  public:
    /// `clock` must outlive this.
    explicit HostClock(const platform::TrustedClock& clock) : clock_(clock) {}
    UnixTime now() const override;
    std::uint64_t monotonic_ms() const override;

  private:
    const platform::TrustedClock& clock_;
};

/// libcrypto's DRBG, which the platform seeds.
class EnclaveRandom : public runtime::Random {
  public:
    void fill(MutableByteView out) override;
};

/// Blobs in the daemon's database.
class HostBlobStore : public runtime::BlobStore {
  public:
    /// `calls` must outlive this.
    explicit HostBlobStore(HostCalls& calls) : calls_(calls) {}

    /// errors: runtime::storage_unavailable (no answer, or one that says why not),
    ///         runtime::storage_misbehaved (an answer to another question).
    void get(std::string key, runtime::Done<std::optional<Bytes>> done) override;
    void list(runtime::BlobListRequest request,
              runtime::Done<std::vector<std::string>> done) override;
    void write(std::vector<runtime::BlobWrite> batch, runtime::Durability durability,
               runtime::Done<void> done) override;

  private:
    HostCalls& calls_;
};

/// SGX quotes: a report aimed at the quoting enclave that the host names, turned into a quote by
/// it.
class SgxEvidenceSource : public runtime::EvidenceSource {
  public:
    /// Both must outlive this.
    SgxEvidenceSource(HostCalls& calls, const platform::Platform& platform)
        : calls_(calls), platform_(platform) {}

    /// errors: those of HostCalls::call; host_misbehaved (not a quote, or a quote of another
    /// report).
    void request(const ratls::ReportData& report_data, runtime::Done<Bytes> done) override;

  private:
    void quote(const ratls::ReportData& report_data, runtime::Done<Bytes> done);

    HostCalls& calls_;
    const platform::Platform& platform_;
    std::optional<platform::TargetInfo> target_;  // forgotten when a quote fails: the QE may be new
};

}  // namespace eos::mini
