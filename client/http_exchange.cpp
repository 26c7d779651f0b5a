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
    if (was_cut_short_) return fail(connection_lost, "it ended with the refusal before");
    parser_.expect(request.head.method);
    Answer answer{.response = {}, .max_body_bytes = max_body_bytes};
    Result<void> sent = send(request, answer, deadline);
    was_cut_short_ = !sent || answer.is_refusal();
    if (!sent && sent.error().code() != connection_lost) return fail(std::move(sent).error());
    Result<void> read_whole = read(request, answer, deadline);
    // A server that refuses a body need not read it: its answer may lie here when the rest of the
    // request can no longer be sent. Only a refusal can, though.
    if (!sent && (!read_whole || !answer.is_refusal())) return fail(std::move(sent).error());
    EOS_TRY(std::move(read_whole));
    return std::move(answer.response);
}

Result<void> HttpExchange::send(Request& request, Answer& answer, Deadline deadline) {
    bool has_body = request.head.method == http::Method::kPost ||
                    request.head.method == http::Method::kPut || !request.body.empty();
    request.head.body =
        has_body ? http::BodySize::known(request.body.size()) : http::BodySize::none();
    Bytes head;
    EOS_TRY(http::append_request_head(head, request.head, http::Persistence::kKeepAlive));
    EOS_TRY(channel_.send(head, deadline));
    for (std::size_t sent = 0; sent < request.body.size();) {
        EOS_TRY(take_early_input(request, answer));
        if (answer.is_refusal()) return {};
        ByteView part =
            request.body.subspan(sent, std::min(kSendBytes, request.body.size() - sent));
        EOS_TRY(channel_.send(part, deadline));
        sent += part.size();
        if (request.progress) request.progress(sent);
    }
    return {};
}

// Looks, without waiting, whether the server answers before it has the whole request.
Result<void> HttpExchange::take_early_input(const Request& request, Answer& answer) {
    Result<Bytes> input = channel_.receive(Deadline{});
    if (!input) {
        if (input.error().code() == timed_out) return {};
        return fail(std::move(input).error());
    }
    if (input->empty()) return fail(connection_lost, "the server ended it");
    append(unparsed_, *input);
    return parse(request, answer);
}

Result<void> HttpExchange::read(const Request& request, Answer& answer, Deadline deadline) {
    EOS_TRY(parse(request, answer));
    while (!answer.is_complete) {
        Bytes input = EOS_TRY(channel_.receive(answer.is_stream ? Deadline::max() : deadline));
        if (input.empty())
            return fail(bad_response, "the server closed the connection before it answered");
        append(unparsed_, input);
        EOS_TRY(parse(request, answer));
    }
    return {};
}

// Takes what lies in unparsed_ until more is needed or the answer is complete.
Result<void> HttpExchange::parse(const Request& request, Answer& answer) {
    while (!answer.is_complete) {
        http::Step step = EOS_TRY(parser_.feed(unparsed_));
        if (answer.is_stream) {
            if (!step.body.empty()) request.on_body(step.body);
        } else {
            append(answer.response.body, step.body);
        }
        unparsed_.erase(unparsed_.begin(),
                        unparsed_.begin() + static_cast<std::ptrdiff_t>(step.consumed));
        if (step.event == http::Event::kNeedInput) return {};
        if (step.event == http::Event::kHead) {
            http::ReceivedResponse received = parser_.take_head();
            answer.has_head = true;
            answer.response.status = received.head.status;
            answer.response.headers = std::move(received.head.headers);
            answer.is_stream = request.on_body && answer.response.status / 100 == 2;
            parser_.set_body_limit(answer.is_stream ? std::numeric_limits<std::uint64_t>::max()
                                                    : answer.max_body_bytes);
        }
        answer.is_complete = step.event == http::Event::kComplete;
    }
    return {};
}

}  // namespace eos::client
