// SPDX-License-Identifier: AGPL-3.0-only
// What an app writes as its answer. The first byte chooses the method.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "common/http/serialize.h"
#include "trusted/wasm/cgi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto method = data[0] == 'H' ? eos::http::Method::kHead : eos::http::Method::kGet;
    const auto written = std::as_bytes(std::span(data, size).subspan(1));
    const auto output = eos::wasm::parse_cgi_output(eos::to_bytes(written), method);
    if (!output) return 0;
    // Whatever is accepted can be sent as it is.
    eos::Bytes wire;
    const auto body = output->body.empty() ? eos::http::BodySize::none()
                                           : eos::http::BodySize::known(output->body.size());
    if (!eos::http::append_response_head(wire, output->head, body, {}).has_value()) std::abort();
    return 0;
}
