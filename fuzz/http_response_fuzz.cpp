// SPDX-License-Identifier: AGPL-3.0-only
// The response parser, whole and byte by byte, until the connection ends. The first byte chooses
// the request's method.
#include <string>

#include "common/base/assert.h"
#include "common/http/response_parser.h"

namespace {

using namespace eos;
using namespace eos::http;

struct Outcome {
    int status = 0;
    std::string body;
    std::string_view error;
    bool complete = false;
};

Outcome parse(ByteView input, Method method, std::size_t piece) {
    Outcome out;
    ResponseParser parser;
    parser.expect(method);
    std::size_t begin = 0;
    std::size_t end = std::min(piece, input.size());
    bool finishing = false;
    for (;;) {
        const auto step =
            finishing ? parser.finish() : parser.feed(input.subspan(begin, end - begin));
        if (!step) {
            out.error = step.error().code().name;
            return out;
        }
        begin += step->consumed;
        EOS_ASSERT(begin <= end);
        if (step->event == Event::kHead) {
            out.status = parser.take_head().head.status;
            parser.set_body_limit(4096);
        }
        if (step->event == Event::kBody) out.body += as_chars(step->body);
        if (step->event == Event::kComplete) {
            out.complete = true;
            return out;
        }
        if (step->event != Event::kNeedInput) continue;
        if (finishing) return out;
        finishing = end == input.size();
        end = std::min(end + piece, input.size());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Method method = (data[0] & 1) != 0 ? Method::kHead : Method::kGet;
    const ByteView input{reinterpret_cast<const std::byte*>(data + 1), size - 1};
    const Outcome whole = parse(input, method, size + 1);
    const Outcome bytewise = parse(input, method, 1);
    EOS_ASSERT(whole.error.empty() == bytewise.error.empty() && whole.status == bytewise.status);
    EOS_ASSERT(whole.complete == bytewise.complete);
    EOS_ASSERT(whole.body == bytewise.body || !whole.error.empty());
    EOS_ASSERT(whole.body.size() <= 4096);
    return 0;
}
