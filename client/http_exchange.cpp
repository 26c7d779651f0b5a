// SPDX-License-Identifier: AGPL-3.0-only
#include "client/http_exchange.h"

#include <limits>

#include "common/http/serialize.h"

namespace eos::client {
namespace {

constexpr std::size_t kSendBytes = 64 * 1024;

}  // namespace

Result<Response> HttpExchange::run(Request request, std::size_t max_body_bytes, Deadline deadline) {
    // What came unasked is no answer to this request.
    if (!unparsed_.empty()) return fail(bad_response, "the server sent more than was asked for");
    parser_.expect(request.head.method);
    Result<void> sent = send(request, deadline);
    if (!sent && sent.error().code() != connection_lost) return fail(std::move(sent).error());
    Result<Response> response = read(request, max_body_bytes, deadline);
    // A server that refuses a body need not read it: its answer may lie here when the rest of the
    // request can no longer be sent. Only a refusal can, though.
    if (!sent && (!response || response->status < 400)) return fail(std::move(sent).error());
    return response;
}

Result<void> HttpExchange::send(Request& request, Deadline deadline) {
    bool has_body = request.head.method == http::Method::kPost ||
                    request.head.method == http::Method::kPut || !request.body.empty();
    request.head.body =
        has_body ? http::BodySize::known(request.body.size()) : http::BodySize::none();
    Bytes head;
    EOS_TRY(http::append_request_head(head, request.head, http::Persistence::kKeepAlive));
    EOS_TRY(channel_.send(head, deadline));
    for (std::size_t sent = 0; sent < request.body.size();) {
        ByteView part =
            request.body.subspan(sent, std::min(kSendBytes, request.body.size() - sent));
        EOS_TRY(channel_.send(part, deadline));
        sent += part.size();
        if (request.progress) request.progress(sent);
    }
    return {};
}

Result<Response> HttpExchange::read(const Request& request, std::size_t max_body_bytes,
                                    Deadline deadline) {
    Response response;
    bool is_stream = false;
    for (;;) {
        http::Step step = EOS_TRY(parser_.feed(unparsed_));
        if (is_stream) {
            if (!step.body.empty()) request.on_body(step.body);
        } else {
            append(response.body, step.body);
        }
        unparsed_.erase(unparsed_.begin(),
                        unparsed_.begin() + static_cast<std::ptrdiff_t>(step.consumed));
        switch (step.event) {
            case http::Event::kHead: {
                http::ReceivedResponse received = parser_.take_head();
                response.status = received.head.status;
                response.headers = std::move(received.head.headers);
                is_stream = request.on_body && response.status / 100 == 2;
                if (is_stream) deadline = Deadline::max();
                parser_.set_body_limit(is_stream ? std::numeric_limits<std::uint64_t>::max()
                                                 : max_body_bytes);
                break;
            }
            case http::Event::kBody:
                break;
            case http::Event::kComplete:
                return response;
            case http::Event::kNeedInput: {
                Bytes input = EOS_TRY(channel_.receive(deadline));
                if (input.empty())
                    return fail(bad_response,
                                "the server closed the connection before it answered");
                append(unparsed_, input);
                break;
            }
        }
    }
}

}  // namespace eos::client
