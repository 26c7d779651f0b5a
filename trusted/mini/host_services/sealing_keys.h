// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/sgx_arch/key_request.h"
#include "common/sgx_arch/report.h"
#include "trusted/platform/platform.h"
#include "trusted/runtime/sealed_store.h"

namespace eos::mini {

/// Sealing keys bound to this enclave's measurement on this CPU (EGETKEY, policy MRENCLAVE).
class SgxSealingKeys : public runtime::SealingKeySource {
  public:
    /// `platform` must outlive this.
    /// errors: platform::key_refused (no report of ourselves).
    [[nodiscard]] static Result<std::unique_ptr<SgxSealingKeys>> make_source(
        const platform::Platform& platform);

    /// errors: platform::key_refused.
    [[nodiscard]] Result<runtime::SealingKey> make() override;
    /// errors: platform::key_refused; those of sgx_arch::parse_key_request.
    [[nodiscard]] Result<runtime::SealingKeyBytes> derive(ByteView request) override;
    runtime::Measurement measurement() const override { return self_.mr_enclave; }

  private:
    SgxSealingKeys(const platform::Platform& platform, const sgx_arch::ReportBody& self)
        : platform_(platform), self_(self) {}
    sgx_arch::KeyRequest request(const sgx_arch::KeyId& key_id) const;

    const platform::Platform& platform_;
    sgx_arch::ReportBody self_;
};

}  // namespace eos::mini
