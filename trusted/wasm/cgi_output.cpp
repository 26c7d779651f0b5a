// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <charconv>
#include <optional>

#include "common/base/assert.h"
#include "common/http/serialize.h"
#include "trusted/wasm/cgi.h"

namespace eos::wasm {

namespace {

// All decimal digits, at least one.
std::optional<std::uint64_t> parse_decimal(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
    return value;
}

// What the header section says.
struct Section {
    http::ResponseHead head;
    std::optional<int> status;
    std::optional<std::uint64_t> content_length;
};

Result<int> parse_status(std::string_view value) {
    // source: RFC 3875 §6.3.3: status-code SP reason-phrase; the reason is the server's affair.
    const std::string_view digits = value.substr(0, 3);
    const auto code = parse_decimal(digits);
    const bool ended = value.size() == 3 || (value.size() > 3 && value[3] == ' ');
    if (!code || digits.size() != 3 || !ended || *code < 200 || *code > 599) {
        return fail(app_answer, "Status is not 200 to 599 with a reason");
    }
    return static_cast<int>(*code);
}

Result<void> add_line(std::string_view line, Section& section) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || !http::is_token(name)) {
        return fail(app_answer, "a header line is not \"name: value\"");
    }
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    value = value.substr(0, value.find_last_not_of(" \t") + 1);
    if (http::equal_ignoring_case(name, "status")) {
        if (section.status) return fail(app_answer, "Status is given twice");
        section.status = EOS_TRY(parse_status(value));
        return {};
    }
    if (http::equal_ignoring_case(name, "content-length")) {
        if (section.content_length) return fail(app_answer, "Content-Length is given twice");
        section.content_length = parse_decimal(value);
        if (!section.content_length) return fail(app_answer, "Content-Length is not a number");
        return {};
    }
    auto added = section.head.headers.add(name, value);
    if (!added) return fail(app_answer, std::move(added).error().message());
    return {};
}

// Cuts one line off; nothing if there is no whole line left.
std::optional<std::string_view> next_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// What only the platform may say. An app that dates its answer or signs for the server would speak
// for the one whose evidence the client has checked. Names are in lower case already.
bool is_the_platforms(std::string_view name) {
    return http::is_connection_specific(name) || name == "date" || name == "server" ||
           name == "via" || name.starts_with("x-privasys-");
}

http::Headers without_platform_fields(const http::Headers& headers) {
    http::Headers out;
    for (std::size_t i = 0; i < headers.count(); ++i) {
        const http::HeaderView field = headers[i];
        if (is_the_platforms(field.name)) continue;
        // It fitted into the section it comes from, which was no shorter.
        const bool added = out.add(field.name, field.value).has_value();
        EOS_ASSERT(added);
    }
    return out;
}

Result<void> check(const Section& section, std::size_t body_size, http::Method method) {
    const bool head_only = method == http::Method::kHead;
    if (section.content_length && *section.content_length != body_size && !head_only) {
        return fail(app_answer, "Content-Length says " + std::to_string(*section.content_length) +
                                    ", the body has " + std::to_string(body_size) + " bytes");
    }
    const http::Headers& headers = section.head.headers;
    for (std::string_view name : {"content-type", "location"}) {
        if (!headers.single(name)) return fail(app_answer, std::string(name) + " is given twice");
    }
    const bool has_type = headers.first("content-type").has_value();
    if (!has_type && !section.status && !headers.first("location")) {
        return fail(app_answer, "none of Content-Type, Status and Location is given");
    }
    if (body_size == 0) return {};
    if (!has_type) return fail(app_answer, "a body without a Content-Type");
    if (!http::status_allows_body(section.head.status)) {
        return fail(app_answer,
                    "status " + std::to_string(section.head.status) + " cannot have a body");
    }
    return {};
}

}  // namespace

Result<CgiOutput> parse_cgi_output(Bytes output, http::Method method) {
    std::string_view rest = as_chars(output);
    Section section;
    for (;;) {
        const auto line = next_line(rest);
        if (!line) return fail(app_answer, "the header section does not end with a blank line");
        if (line->empty()) break;
        EOS_TRY(add_line(*line, section));
    }
    const bool redirect = section.head.headers.first("location").has_value();
    section.head.status = section.status.value_or(redirect ? 302 : 200);
    EOS_TRY(check(section, rest.size(), method));

    CgiOutput out;
    out.head.status = section.head.status;
    out.head.headers = without_platform_fields(section.head.headers);
    if (method == http::Method::kHead) return out;
    const std::size_t header_bytes = output.size() - rest.size();
    output.erase(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(header_bytes));
    out.body = std::move(output);
    return out;
}

}  // namespace eos::wasm
