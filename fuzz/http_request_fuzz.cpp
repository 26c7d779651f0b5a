// SPDX-License-Identifier: AGPL-3.0-only
// The request parser over whole input and over the same input cut into single bytes: both must give
// the same messages and the same verdict; what was accepted must survive being written and read
// again.
#include <string>
#include <vector>

#include "common/base/assert.h"
#include "common/http/authority.h"
#include "common/http/request_parser.h"
#include "common/http/serialize.h"
#include "common/http/uri.h"

namespace {

using namespace eos;
using namespace eos::http;

constexpr std::uint64_t kBodyLimit = 4096;

struct Message {
    RequestHead head;
    std::string body;
};

struct Outcome {
    std::vector<Message> messages;
    std::string_view error;
};

Outcome parse(ByteView input, std::size_t piece) {
    Outcome out;
    RequestParser parser;
    std::size_t begin = 0;
    std::size_t end = std::min(piece, input.size());
    for (;;) {
        const auto step = parser.feed(input.subspan(begin, end - begin));
        if (!step) {
            const int status = status_for(step.error());
            EOS_ASSERT(status >= 400 && status <= 505);
            out.error = step.error().code().name;
            return out;
        }
        begin += step->consumed;
        EOS_ASSERT(begin <= end);
        if (step->event == Event::kHead) {
            out.messages.push_back({parser.take_head(), {}});
            parser.set_body_limit(kBodyLimit);
        } else if (step->event == Event::kBody) {
            out.messages.back().body += as_chars(step->body);
        } else if (step->event == Event::kNeedInput) {
            EOS_ASSERT(begin == end);
            if (end == input.size()) return out;
            end = std::min(end + piece, input.size());
        }
    }
}

void check_round_trip(RequestHead head) {
    Headers kept;
    for (std::size_t i = 0; i < head.headers.count(); ++i) {
        const HeaderView field = head.headers[i];
        if (is_connection_specific(field.name) || field.name == "host") continue;
        EOS_ASSERT(kept.add(field.name, field.value).has_value());
    }
    head.headers = std::move(kept);
    head.scheme = std::nullopt;
    Bytes text;
    if (head.authority.port == 80 || head.authority.port == 443) return;  // the scheme was http
    EOS_ASSERT(append_request_head(text, head, Persistence::kKeepAlive).has_value());
    RequestParser parser;
    const auto step = parser.feed(text);
    EOS_ASSERT(step.has_value() || step.error().code() == headers_too_large);  // Host was added
    if (!step) return;
    EOS_ASSERT(step->event == Event::kHead && step->consumed == text.size());
    const RequestHead back = parser.take_head();
    EOS_ASSERT(back.method == head.method && back.authority == head.authority &&
               back.path == head.path && back.query == head.query && back.body == head.body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input{reinterpret_cast<const std::byte*>(data), size};
    const Outcome whole = parse(input, size + 1);
    const Outcome bytewise = parse(input, 1);
    // Which of several faults is named may depend on the cut; whether there is one may not.
    EOS_ASSERT(whole.error.empty() == bytewise.error.empty());
    EOS_ASSERT(whole.messages.size() == bytewise.messages.size());
    for (std::size_t i = 0; i < whole.messages.size(); ++i) {
        const Message& message = whole.messages[i];
        const bool last = i + 1 == whole.messages.size();
        EOS_ASSERT(message.body == bytewise.messages[i].body || (last && !whole.error.empty()));
        EOS_ASSERT(message.body.size() <= kBodyLimit);
        (void)split_path(message.head.path);
        check_round_trip(message.head);
    }
    return 0;
}
