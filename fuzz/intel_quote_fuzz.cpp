// SPDX-License-Identifier: AGPL-3.0-only
// Whatever parse_quote accepts can be put together again from its fields: nothing was skipped.
#include <cstdint>
#include <variant>

#include "common/attestation/evidence/quote.h"
#include "common/base/assert.h"
#include "common/base/codec.h"

namespace {

using namespace eos;
namespace evidence = eos::attestation::evidence;

/// QE report to certification data of type 5, with `nul` bytes after the chain.
Bytes qe_part(const evidence::IntelQuote& quote, std::size_t nul) {
    Writer out;
    out.bytes(quote.qe_report_bytes).bytes(quote.qe_report_signature);
    out.u16le(static_cast<std::uint16_t>(quote.qe_auth_data.size())).bytes(quote.qe_auth_data);
    out.u16le(5).u32le(static_cast<std::uint32_t>(quote.pck_chain_pem.size() + nul));
    out.text(quote.pck_chain_pem).zeros(nul);
    return std::move(out).take();
}

Bytes whole(const evidence::IntelQuote& quote, std::size_t nul) {
    const Bytes inner = qe_part(quote, nul);
    Writer auth;
    auth.bytes(quote.signature).bytes(quote.attestation_key);
    if (quote.version > 3) auth.u16le(6).u32le(static_cast<std::uint32_t>(inner.size()));
    auth.bytes(inner);
    Writer out;
    out.bytes(quote.signed_bytes).u32le(static_cast<std::uint32_t>(auth.size()));
    out.bytes(auth.view());
    return std::move(out).take();
}

void check_body(const evidence::Quote& quote) {
    if (const auto* tdx = std::get_if<evidence::TdxQuote>(&quote)) {
        const std::size_t head = tdx->version == 5 ? 54 : 48;
        EOS_ASSERT(equal(evidence::encode(tdx->report), ByteView(tdx->signed_bytes).subspan(head)));
        return;
    }
    const auto& sgx = std::get<evidence::SgxQuote>(quote);
    EOS_ASSERT(sgx.report == sgx_arch::parse_report_body(sgx.report_bytes()).value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in = std::as_bytes(std::span(data, size));
    const ByteView front = evidence::without_padding(in);
    EOS_ASSERT(front.size() <= size && all_zero(in.subspan(front.size())));
    EOS_ASSERT(evidence::without_padding(front).size() == front.size());
    const Result<evidence::Evidence> parsed = evidence::parse_quote(in);
    if (!parsed) return 0;
    const evidence::IntelQuote* quote = std::visit(
        []<typename Kind>(const Kind& kind) -> const evidence::IntelQuote* {
            if constexpr (std::is_base_of_v<evidence::IntelQuote, Kind>) return &kind;
            return nullptr;
        },
        parsed->quote());
    EOS_ASSERT(quote != nullptr);
    const std::size_t nul = size - whole(*quote, 0).size();
    EOS_ASSERT(nul <= 1);
    EOS_ASSERT(equal(whole(*quote, nul), in));
    check_body(parsed->quote());
    return 0;
}
