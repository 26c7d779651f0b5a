// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/response_parser.h"

#include <utility>

#include "common/http/message_reader.h"

namespace eos::http {

ResponseParser::ResponseParser()
    : reader_(std::make_unique<MessageReader>(MessageKind::kResponse)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

void ResponseParser::expect(Method request_method, Switching switching) {
    expecting_ = true;
    switching_ = switching;
    interim_count_ = 0;
    reader_->set_skip_body(request_method == Method::kHead ? SkipBody::kYes : SkipBody::kNo);
}

Result<Step> ResponseParser::feed(ByteView input) {
    std::size_t consumed = 0;
    for (;;) {
        if (!expecting_ && consumed < input.size()) {
            return reader_->fail_with(Error(unexpected_response, "nothing was asked for"));
        }
        Step step = EOS_TRY(reader_->feed(input.subspan(consumed)));
        consumed += step.consumed;
        step.consumed = consumed;
        if (step.event == Event::kHead) {
            const bool switches = reader_->status() == 101;
            skipping_ = reader_->status() < 200 && !switches;
            if (switches && switching_ == Switching::kRefused) {
                return reader_->fail_with(Error(unexpected_response, "an upgrade"));
            }
            if (skipping_ && ++interim_count_ > kMaxInterimResponses) {
                return reader_->fail_with(Error(unexpected_response, "too many interim ones"));
            }
            reader_->set_body_limit(0);
            head_ = {{reader_->status(), reader_->take_headers()},
                     reader_->version(),
                     reader_->body(),
                     reader_->described()};
        } else if (step.event == Event::kComplete) {
            expecting_ = skipping_;
        }
        if (!skipping_ || step.event == Event::kNeedInput) return step;
        if (step.event == Event::kComplete) skipping_ = false;
    }
}

Result<Step> ResponseParser::finish() {
    Step step = EOS_TRY(reader_->finish());
    if (step.event == Event::kComplete) expecting_ = false;
    return step;
}

ReceivedResponse ResponseParser::take_head() {
    return std::exchange(head_, {});
}

Headers ResponseParser::take_trailers() {
    return reader_->take_trailers();
}

void ResponseParser::set_body_limit(std::uint64_t bytes) {
    reader_->set_body_limit(bytes);
}

}  // namespace eos::http
