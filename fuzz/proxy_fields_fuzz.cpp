// SPDX-License-Identifier: AGPL-3.0-only
// A request's fields on their way to an upstream: whatever came, the upstream reads one request
// with the same target, and what only the proxy says is said once.
#include <array>

#include "common/base/assert.h"
#include "common/http/request_parser.h"
#include "common/http/serialize.h"
#include "trusted/virtual/proxy/request_fields.h"

namespace {

using namespace eos;
using namespace eos::http;

Result<std::optional<RequestHead>> read(ByteView input) {
    RequestParser parser;
    const Step step = EOS_TRY(parser.feed(input));
    if (step.event != Event::kHead) return std::nullopt;
    return parser.take_head();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteArray<16> client{};
    if (size < client.size()) return 0;
    const ByteView input{reinterpret_cast<const std::byte*>(data), size};
    client = to_array<16>(input.first(16));
    Result<std::optional<RequestHead>> received = read(input.subspan(16));
    if (!received || !*received) return 0;
    std::optional<RequestHead>& head = *received;
    if (!cvm::proxy::rewrite_request(*head, client)) return 0;
    Bytes out;
    EOS_ASSERT(append_request_head(out, *head, Persistence::kKeepAlive).has_value());
    const Result<std::optional<RequestHead>> reread = read(out);
    // Host and framing are written behind the limit that the fields were held to, which is this
    // reader's as well.
    if (!reread && reread.error().code() == headers_too_large) return 0;
    EOS_ASSERT(reread.has_value());
    const std::optional<RequestHead>& seen = *reread;
    EOS_ASSERT(seen && seen->method == head->method && seen->path == head->path);
    EOS_ASSERT(seen->query == head->query && seen->body == head->body);
    EOS_ASSERT(seen->authority == head->authority);
    constexpr auto kOnce = std::to_array<std::string_view>(
        {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded"});
    for (std::string_view name : kOnce) EOS_ASSERT(seen->headers.all(name).size() == 1);
    EOS_ASSERT(seen->protocol == head->protocol);
    const bool upgrades = seen->headers.first("upgrade").has_value();
    EOS_ASSERT(upgrades == !head->protocol.empty());
    const bool says_connection = upgrades || head->accepts_trailers;
    EOS_ASSERT(says_connection == seen->headers.first("connection").has_value());
    for (std::size_t i = 0; i < seen->headers.count(); ++i) {
        const std::string_view name = seen->headers[i].name;
        EOS_ASSERT(name.find('_') == name.npos && !name.starts_with("x-privasys-"));
        EOS_ASSERT(name != "proxy" && name != "trailer" && name != "expect");
    }
    return 0;
}
