// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/request_parser.h"

#include <utility>

#include "common/http/authority.h"
#include "common/http/message_reader.h"
#include "common/http/uri.h"

namespace eos::http {

namespace {

/// What the client wants the connection to become, if it is what can be offered. An upgrade that is
/// not understood is ignored (RFC 9110 §7.8).
std::string_view requested_protocol(const RequestHead& head) {
    if (head.method != Method::kGet || head.version != Version::kHttp11 ||
        head.body.kind != BodyKind::kNone || !head.headers.list_contains("connection", "upgrade")) {
        return {};
    }
    const auto upgrade = head.headers.single("upgrade");
    const bool known = upgrade && *upgrade && equal_ignoring_case(**upgrade, kWebSocket);
    return known ? kWebSocket : std::string_view();
}

}  // namespace

RequestParser::RequestParser() : reader_(std::make_unique<MessageReader>(MessageKind::kRequest)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

Result<Step> RequestParser::feed(ByteView input) {
    Step step = EOS_TRY(reader_->feed(input));
    if (step.event == Event::kHead) {
        reader_->set_body_limit(0);
        if (auto assembled = assemble_head(); !assembled) {
            return reader_->fail_with(std::move(assembled).error());
        }
    }
    return step;
}

Result<void> RequestParser::assemble_head() {
    Target target = EOS_TRY(parse_target(reader_->method(), reader_->target()));
    head_.method = reader_->method();
    head_.version = reader_->version();
    head_.scheme = target.scheme;
    head_.path = std::move(target.path);
    head_.query = std::move(target.query);
    head_.body = reader_->body();
    head_.headers = reader_->take_headers();
    head_.authority = EOS_TRY(effective_authority(target.authority, head_.headers,
                                                  target.scheme.value_or(Scheme::kHttps)));
    head_.protocol = requested_protocol(head_);
    head_.accepts_trailers = head_.headers.list_contains("te", "trailers");
    return {};
}

RequestHead RequestParser::take_head() {
    return std::exchange(head_, {});
}

Headers RequestParser::take_trailers() {
    return reader_->take_trailers();
}

void RequestParser::set_body_limit(std::uint64_t bytes) {
    reader_->set_body_limit(bytes);
}

bool RequestParser::in_message() const {
    return reader_->in_message();
}

Persistence requested_persistence(const RequestHead& head) {
    const bool persistent =
        head.version == Version::kHttp11 && !head.headers.list_contains("connection", "close");
    return persistent ? Persistence::kKeepAlive : Persistence::kClose;
}

}  // namespace eos::http
