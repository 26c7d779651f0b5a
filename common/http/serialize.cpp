// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/serialize.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "common/http/authority.h"
#include "common/http/uri.h"

namespace eos::http {
namespace {

constexpr std::int64_t kFirstSecond = -62167219200;  // of year 0
constexpr std::int64_t kLastSecond = 253402300799;   // of year 9999

void text(Bytes& out, std::string_view value) {
    append(out, as_bytes(value));
}

void number(Bytes& out, std::uint64_t value, int base = 10) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
    text(out, {digits.data(), end.ptr});
}

void field(Bytes& out, std::string_view name, std::string_view value) {
    text(out, name);
    text(out, ": ");
    text(out, value);
    text(out, "\r\n");
}

Result<void> check_no_reserved(const Headers& headers) {
    for (std::size_t i = 0; i < headers.count(); ++i) {
        const std::string_view name = headers[i].name;
        if (is_connection_specific(name)) return fail(reserved_header, std::string(name));
    }
    return {};
}

void append_fields(Bytes& out, const Headers& headers) {
    for (std::size_t i = 0; i < headers.count(); ++i) {
        field(out, headers[i].name, headers[i].value);
    }
}

/// `Connection` and what it names, in one field as some readers want it.
void append_connection(Bytes& out, const RequestHead& head, Persistence persistence) {
    std::string options;
    const auto add = [&options](std::string_view option) {
        if (!options.empty()) options += ", ";
        options += option;
    };
    if (!head.protocol.empty()) {
        add("upgrade");
        field(out, "upgrade", head.protocol);
    }
    if (head.accepts_trailers) {
        add("te");
        field(out, "te", "trailers");
    }
    if (persistence == Persistence::kClose) add("close");
    if (!options.empty()) field(out, "connection", options);
}

void two_digits(std::string& out, int value) {
    out.push_back(static_cast<char>('0' + value / 10));
    out.push_back(static_cast<char>('0' + value % 10));
}

}  // namespace

bool status_allows_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

std::string http_date(UnixTime time) {
    static constexpr std::array<std::string_view, 7> kDays = {"Thu", "Fri", "Sat", "Sun",
                                                              "Mon", "Tue", "Wed"};
    static constexpr std::array<std::string_view, 12> kMonths = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    // The time is the host's claim in the end: one that no calendar has must not stop the program.
    time.seconds = std::clamp(time.seconds, kFirstSecond, kLastSecond);
    const CivilTime civil = to_civil(time);
    std::int64_t day = time.seconds / kSecondsPerDay;
    if (time.seconds % kSecondsPerDay < 0) --day;
    const auto week_day = static_cast<std::size_t>(((day % 7) + 7) % 7);  // 1970-01-01: Thursday

    std::string out(kDays[week_day]);
    out += ", ";
    two_digits(out, civil.day);
    out += ' ';
    out += kMonths[static_cast<std::size_t>(civil.month - 1)];
    out += ' ';
    two_digits(out, civil.year / 100);
    two_digits(out, civil.year % 100);
    out += ' ';
    two_digits(out, civil.hour);
    out += ':';
    two_digits(out, civil.minute);
    out += ':';
    two_digits(out, civil.second);
    out += " GMT";
    return out;
}

Result<void> check_response_head(const ResponseHead& head, BodySize body) {
    if (head.status < 200 || head.status > 599) return fail(bad_status);
    EOS_TRY(check_no_reserved(head.headers));
    const bool has_body = body.kind == BodyKind::kUnknown || body.bytes > 0;
    if (has_body && !status_allows_body(head.status)) return fail(body_not_allowed);
    return {};
}

Result<void> append_response_head(Bytes& out, const ResponseHead& head, BodySize body,
                                  const ResponseOptions& options) {
    EOS_TRY(check_response_head(head, body));
    text(out, "HTTP/1.1 ");
    number(out, static_cast<std::uint64_t>(head.status));
    text(out, " ");
    text(out, reason_phrase(head.status));
    text(out, "\r\n");
    append_fields(out, head.headers);
    if (!head.headers.first("date")) field(out, "date", http_date(options.date));
    if (body.kind == BodyKind::kUnknown) {
        if (options.version == Version::kHttp11) field(out, "transfer-encoding", "chunked");
    } else if (status_allows_body(head.status)) {
        text(out, "content-length: ");
        number(out, body.bytes);
        text(out, "\r\n");
    }
    if (options.persistence == Persistence::kClose) field(out, "connection", "close");
    text(out, "\r\n");
    return {};
}

Result<void> append_switching_head(Bytes& out, const ResponseHead& head, std::string_view protocol,
                                   UnixTime date) {
    EOS_TRY(check_no_reserved(head.headers));
    text(out, "HTTP/1.1 101 Switching Protocols\r\n");
    append_fields(out, head.headers);
    if (!head.headers.first("date")) field(out, "date", http_date(date));
    field(out, "connection", "upgrade");
    field(out, "upgrade", protocol);
    text(out, "\r\n");
    return {};
}

Result<void> append_request_head(Bytes& out, const RequestHead& head, Persistence persistence) {
    const Scheme scheme = head.scheme.value_or(Scheme::kHttps);
    const std::string authority = to_string(head.authority);
    const auto parsed = parse_authority(authority, scheme);
    if (!parsed || *parsed != head.authority) return fail(bad_request_head, "authority");

    std::string target = head.path;
    if (head.query) target += "?" + *head.query;
    const auto reparsed = parse_target(head.method, target);
    if (!reparsed || reparsed->path != head.path || reparsed->query != head.query) {
        return fail(bad_request_head, "target");
    }
    if (head.method == Method::kConnect) return fail(bad_request_head, "CONNECT");
    const bool upgradable = head.method == Method::kGet && head.body.kind == BodyKind::kNone;
    if (!head.protocol.empty() && (head.protocol != kWebSocket || !upgradable)) {
        return fail(bad_request_head, "upgrade");
    }
    EOS_TRY(check_no_reserved(head.headers));
    if (head.headers.first("host")) return fail(reserved_header, "host");

    text(out, to_string(head.method));
    text(out, " ");
    text(out, target);
    text(out, " HTTP/1.1\r\n");
    field(out, "host", authority);
    append_fields(out, head.headers);
    if (head.body.kind == BodyKind::kUnknown) {
        field(out, "transfer-encoding", "chunked");
    } else if (head.body.kind == BodyKind::kKnown) {
        text(out, "content-length: ");
        number(out, head.body.bytes);
        text(out, "\r\n");
    }
    append_connection(out, head, persistence);
    text(out, "\r\n");
    return {};
}

void append_chunk(Bytes& out, ByteView data) {
    if (data.empty()) return;
    number(out, data.size(), 16);
    text(out, "\r\n");
    append(out, data);
    text(out, "\r\n");
}

void append_last_chunk(Bytes& out) {
    text(out, "0\r\n\r\n");
}

Result<void> check_trailers(const Headers& trailers) {
    for (std::size_t i = 0; i < trailers.count(); ++i) {
        const std::string_view name = trailers[i].name;
        if (is_forbidden_trailer(name)) return fail(forbidden_trailer, std::string(name));
    }
    return {};
}

Result<void> append_last_chunk(Bytes& out, const Headers& trailers) {
    EOS_TRY(check_trailers(trailers));
    text(out, "0\r\n");
    append_fields(out, trailers);
    text(out, "\r\n");
    return {};
}

}  // namespace eos::http
