// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/responses.h"

#include "common/base/assert.h"

namespace eos::runtime {
namespace {

void add(http::ResponseHead& head, std::string_view name, std::string_view value) {
    EOS_ASSERT(head.headers.add(name, value).has_value());  // constants only
}

// The only failure left to these helpers is that the exchange was answered before.
void respond(Exchange& exchange, const http::ResponseHead& head, Bytes body) {
    const auto result = exchange.respond(head, std::move(body));
    EOS_ASSERT(result.has_value() || result.error().code() == already_answered);
}

void respond_for_now(Exchange& exchange, int status, std::string_view text,
                     unsigned retry_after_s) {
    http::ResponseHead head = make_head(status, kJsonType);
    add(head, "retry-after", std::to_string(retry_after_s));
    respond(exchange, head, error_body(text));
}

}  // namespace

http::ResponseHead make_head(int status, std::string_view content_type) {
    http::ResponseHead head;
    head.status = status;
    add(head, "content-type", content_type);
    add(head, "cache-control", "no-store");
    return head;
}

Bytes error_body(std::string_view text) {
    json::Value object = json::Value::object();
    object["error"] = text;
    return to_bytes(json::compact(object));
}

void respond_error(Exchange& exchange, int status, std::string_view text) {
    respond(exchange, make_head(status, kJsonType), error_body(text));
}

void respond_busy(Exchange& exchange, std::string_view text, unsigned retry_after_s) {
    respond_for_now(exchange, 503, text, retry_after_s);
}

void respond_too_many(Exchange& exchange, std::string_view text, unsigned retry_after_s) {
    respond_for_now(exchange, 429, text, retry_after_s);
}

void respond_json(Exchange& exchange, int status, const json::Value& value) {
    respond(exchange, make_head(status, kJsonType), to_bytes(json::compact(value)));
}

void respond_text(Exchange& exchange, std::string_view content_type, std::string_view text) {
    respond(exchange, make_head(200, content_type), to_bytes(text));
}

}  // namespace eos::runtime
