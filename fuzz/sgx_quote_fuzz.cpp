// SPDX-License-Identifier: AGPL-3.0-only
// Whatever parse_quote accepts can be put together again from its fields: nothing was skipped.
#include <cstdint>
#include <variant>

#include "common/attestation/evidence/quote.h"
#include "common/base/assert.h"
#include "common/base/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace evidence = eos::attestation::evidence;
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    const eos::Result<evidence::Evidence> parsed = evidence::parse_quote(in);
    if (!parsed) return 0;
    const auto& quote = std::get<evidence::SgxQuote>(parsed->quote());

    eos::Writer auth;
    auth.bytes(quote.signature).bytes(quote.attestation_key).bytes(quote.qe_report_bytes);
    auth.bytes(quote.qe_report_signature);
    auth.u16le(static_cast<std::uint16_t>(quote.qe_auth_data.size())).bytes(quote.qe_auth_data);
    const std::size_t nul = size - 432 - 4 - auth.size() - 6 - quote.pck_chain_pem.size();
    EOS_ASSERT(nul <= 1);
    auth.u16le(5).u32le(static_cast<std::uint32_t>(quote.pck_chain_pem.size() + nul));
    auth.text(quote.pck_chain_pem).zeros(nul);

    eos::Writer out;
    out.bytes(quote.signed_bytes).u32le(static_cast<std::uint32_t>(auth.size()));
    out.bytes(auth.view());
    EOS_ASSERT(eos::equal(out.view(), in));
    return 0;
}
