// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/message_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/base/encoding.h"

namespace eos::http {
namespace {

constexpr std::size_t kMaxHeaderLineBytes = kMaxHeaderNameBytes + kMaxHeaderValueBytes + 64;
constexpr std::size_t kMaxHeaderSectionBytes = kMaxHeaderBytes + 4 * kMaxHeaderCount + 2;
constexpr std::size_t kLineEndBytes = 2;
// What a chunk may cost without being suspicious (the rule of Go's net/http against bodies that are
// almost all extension).
constexpr std::uint64_t kFreeBytesPerChunk = 16;

bool is_line_byte(std::byte b) {
    const auto u = std::to_integer<unsigned char>(b);
    return u == '\t' || (u >= 0x20 && u != 0x7f);
}

bool is_status_digit(char c) {
    return c >= '0' && c <= '9';
}

/// RFC 9110 §8.6, one value only: "5, 5" and "+5" are refused.
std::optional<std::uint64_t> parse_length(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// "HTTP/1.1" or "HTTP/1.0".
Result<Version> parse_version(std::string_view text) {
    if (text == "HTTP/1.1") return Version::kHttp11;
    if (text == "HTTP/1.0") return Version::kHttp10;
    const bool well_formed = text.size() == 8 && text.starts_with("HTTP/") && text[6] == '.' &&
                             is_status_digit(text[5]) && is_status_digit(text[7]);
    if (well_formed) return fail(unsupported_version, std::string(text.substr(5)));
    return fail(bad_start_line, "the protocol version is malformed");
}

}  // namespace

/// llhttp's callbacks: they collect, and stop the parser by returning -1 after setting error_.
struct MessageReader::Callbacks {
    static MessageReader& self(llhttp_t* p) { return *static_cast<MessageReader*>(p->data); }

    static int on_header_field(llhttp_t* p, const char* at, std::size_t size) {
        self(p).name_.append(at, size);  // bounded by the line's limit
        return 0;
    }
    static int on_header_value(llhttp_t* p, const char* at, std::size_t size) {
        self(p).value_.append(at, size);
        return 0;
    }
    static int on_header_value_complete(llhttp_t* p) { return outcome(p, self(p).store_header()); }
    static int on_headers_complete(llhttp_t* p) {
        MessageReader& reader = self(p);
        reader.headers_complete_ = true;
        p->upgrade = 0;  // no protocol is ever switched to
        if (outcome(p, reader.decide_framing()) != 0) return -1;
        // llhttp would wait for the body that a response to HEAD, or a 304, only describes.
        return reader.kind_ == MessageKind::kResponse && reader.body_.kind == BodyKind::kNone;
    }
    static int on_chunk_header(llhttp_t* p) {
        self(p).chunk_header_ = true;
        return 0;
    }
    static int on_message_complete(llhttp_t* p) {
        self(p).message_complete_ = true;
        return 0;
    }

    static int outcome(llhttp_t* p, Result<void> result) {
        if (result) return 0;
        self(p).error_ = std::move(result).error();
        return -1;
    }

    static const llhttp_settings_t* settings() {
        static constexpr llhttp_settings_t kSettings = {
            .on_header_field = on_header_field,
            .on_header_value = on_header_value,
            .on_headers_complete = on_headers_complete,
            .on_message_complete = on_message_complete,
            .on_header_value_complete = on_header_value_complete,
            .on_chunk_header = on_chunk_header,
        };
        return &kSettings;
    }
};

MessageReader::MessageReader(MessageKind kind) : kind_(kind) {}

void MessageReader::begin_message() {
    // A fresh llhttp for every message: no flag of one message reaches the next. No lenient flag is
    // ever set.
    llhttp_init(&llhttp_, kind_ == MessageKind::kRequest ? HTTP_REQUEST : HTTP_RESPONSE,
                Callbacks::settings());
    llhttp_.data = this;
    start_line_.clear();
    name_.clear();
    value_.clear();
    headers_.clear();
    trailers_.clear();
    body_ = {};
    described_ = {};
    until_end_ = false;
    line_size_ = 0;
    after_cr_ = false;
    section_size_ = 0;
    remaining_ = 0;
    received_ = 0;
    chunk_overhead_ = 0;
    head_reported_ = false;
    headers_complete_ = false;
    chunk_header_ = false;
    message_complete_ = false;
    mode_ = Mode::kStartLine;
}

Result<Step> MessageReader::feed(ByteView input) {
    if (mode_ == Mode::kFailed) return fail(*error_);
    auto step = advance(input);
    if (!step) return fail_with(std::move(step).error());
    return step;
}

std::unexpected<Error> MessageReader::fail_with(Error error) {
    mode_ = Mode::kFailed;
    error_ = error;
    return fail(std::move(error));
}

Result<Step> MessageReader::advance(ByteView input) {
    std::size_t consumed = 0;
    for (;;) {
        if (headers_complete_ && !head_reported_ && mode_ != Mode::kHeader) {
            head_reported_ = true;
            return Step{Event::kHead, consumed, {}};
        }
        if (mode_ == Mode::kDone) {
            mode_ = Mode::kBlank;
            blank_lines_ = 0;
            headers_complete_ = false;
            return Step{Event::kComplete, consumed, {}};
        }
        const ByteView rest = input.subspan(consumed);
        if (rest.empty()) return Step{Event::kNeedInput, consumed, {}};
        if (mode_ == Mode::kBlank) {
            consumed += EOS_TRY(skip_blank_lines(rest));
        } else if (mode_ == Mode::kData || mode_ == Mode::kUntilEnd) {
            const ByteView data = EOS_TRY(take_data(rest));
            return Step{Event::kBody, consumed + data.size(), data};
        } else {
            consumed += EOS_TRY(take_line(rest));
        }
    }
}

Result<Step> MessageReader::finish() {
    if (mode_ == Mode::kFailed) return fail(*error_);
    if (mode_ == Mode::kUntilEnd) {
        if (llhttp_finish(&llhttp_) != HPE_OK || !message_complete_) return fail(truncated_message);
        mode_ = Mode::kDone;
    }
    if (mode_ == Mode::kDone) return feed({});
    if (in_message()) return fail(truncated_message);
    return Step{};
}

Result<std::size_t> MessageReader::skip_blank_lines(ByteView input) {
    std::size_t consumed = 0;
    for (std::byte b : input) {
        if (blank_cr_) {
            if (b != std::byte{'\n'}) return fail(bad_line_end);
            blank_cr_ = false;
        } else if (b == std::byte{'\r'}) {
            if (++blank_lines_ > kMaxLeadingBlankLines) {
                return fail(bad_start_line, "too many blank lines before it");
            }
            blank_cr_ = true;
        } else {
            begin_message();
            return consumed;
        }
        ++consumed;
    }
    return consumed;
}

std::size_t MessageReader::line_limit() const {
    switch (mode_) {
        case Mode::kStartLine:
            return kMaxStartLineBytes;
        case Mode::kChunkLine:
            return kMaxChunkLineBytes;
        case Mode::kChunkEnd:
            return kLineEndBytes;
        default:
            return kMaxHeaderLineBytes;
    }
}

Result<void> MessageReader::check_line_size() const {
    if (line_size_ > line_limit()) {
        switch (mode_) {
            case Mode::kStartLine:
                return fail(target_too_long);
            case Mode::kChunkLine:
                return fail(bad_chunk, "a chunk's first line is too long");
            case Mode::kChunkEnd:
                return fail(bad_chunk, "a chunk is longer than it says");
            default:
                return fail(headers_too_large, "one field");
        }
    }
    if (mode_ == Mode::kHeader && section_size_ > kMaxHeaderSectionBytes) {
        return fail(headers_too_large);
    }
    if (mode_ == Mode::kTrailer && section_size_ > kMaxTrailerBytes) {
        return fail(headers_too_large, "trailers");
    }
    return {};
}

Result<std::size_t> MessageReader::take_line(ByteView input) {
    const void* feed_end = std::memchr(input.data(), '\n', input.size());
    std::size_t size = input.size();
    if (feed_end != nullptr) {
        size = static_cast<std::size_t>(static_cast<const std::byte*>(feed_end) - input.data()) + 1;
    }
    // One byte over the limit is enough to see that it is exceeded.
    const ByteView slice = input.first(std::min(size, line_limit() - line_size_ + 1));
    const bool ends_line = feed_end != nullptr && slice.size() == size;
    EOS_TRY(check_line_bytes(slice));
    line_size_ += slice.size();
    section_size_ += slice.size();
    EOS_TRY(check_line_size());
    if (mode_ == Mode::kStartLine) {
        start_line_.append(as_chars(slice));
    } else {
        EOS_TRY(execute(slice));
    }
    if (ends_line) EOS_TRY(end_line());
    return slice.size();
}

/// Every line ends in CR LF, and neither appears elsewhere; no NUL or other control character.
Result<void> MessageReader::check_line_bytes(ByteView slice) {
    const bool fields = mode_ == Mode::kHeader || mode_ == Mode::kTrailer;
    if (fields && line_size_ == 0 && (slice[0] == std::byte{' '} || slice[0] == std::byte{'\t'})) {
        return fail(folded_line);  // RFC 9112 §5.2: refused, not unfolded
    }
    for (std::byte b : slice) {
        if (b == std::byte{'\n'}) {
            if (!after_cr_) return fail(bad_line_end);
            after_cr_ = false;
        } else if (after_cr_) {
            return fail(bad_line_end);
        } else if (b == std::byte{'\r'}) {
            after_cr_ = true;
        } else if (mode_ == Mode::kChunkEnd) {
            return fail(bad_chunk, "a chunk is longer than it says");
        } else if (!is_line_byte(b)) {
            return fail(control_character);
        }
    }
    return {};
}

Result<void> MessageReader::execute(ByteView slice) {
    const llhttp_errno_t code = llhttp_execute(&llhttp_, as_chars(slice).data(), slice.size());
    if (code == HPE_OK) return {};
    if (error_) return fail(*std::move(error_));
    const char* reason = llhttp_get_error_reason(&llhttp_);
    std::string detail = reason == nullptr ? "" : reason;
    switch (code) {
        case HPE_UNEXPECTED_CONTENT_LENGTH:
            if (llhttp_.flags & F_TRANSFER_ENCODING) return fail(conflicting_framing);
            return fail(bad_content_length, std::move(detail));
        case HPE_INVALID_CONTENT_LENGTH:
            return fail(bad_content_length, std::move(detail));
        case HPE_INVALID_TRANSFER_ENCODING:
            return fail(bad_transfer_encoding, std::move(detail));
        case HPE_INVALID_CHUNK_SIZE:
            return fail(bad_chunk, std::move(detail));
        default:
            break;
    }
    if (mode_ == Mode::kStartLine) return fail(bad_start_line, std::move(detail));
    if (mode_ == Mode::kHeader || mode_ == Mode::kTrailer) {
        return fail(bad_header_line, std::move(detail));
    }
    return fail(bad_chunk, std::move(detail));
}

Result<void> MessageReader::end_line() {
    const std::size_t size = std::exchange(line_size_, 0);
    switch (mode_) {
        case Mode::kStartLine:
            return end_start_line();
        case Mode::kHeader:
            return size == kLineEndBytes ? end_head() : Result<void>{};
        case Mode::kChunkLine:
            chunk_overhead_ += size + kLineEndBytes;
            return end_chunk_line();
        case Mode::kChunkEnd:
            mode_ = Mode::kChunkLine;
            return {};
        case Mode::kTrailer:
            return size == kLineEndBytes ? end_message() : Result<void>{};
        default:
            return fail(framing_disagreement);
    }
}

Result<void> MessageReader::end_start_line() {
    const std::string_view line =
        std::string_view(start_line_).substr(0, start_line_.size() - kLineEndBytes);
    if (kind_ == MessageKind::kRequest) {
        EOS_TRY(parse_request_line(line));
    } else {
        EOS_TRY(parse_status_line(line));
    }
    EOS_TRY(execute(as_bytes(start_line_)));
    mode_ = Mode::kHeader;
    section_size_ = 0;
    return {};
}

/// RFC 9112 §3: exactly method SP target SP version.
Result<void> MessageReader::parse_request_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return fail(bad_start_line);
    const std::string_view name = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(name) || target.empty() || target.contains(' ')) return fail(bad_start_line);
    version_ = EOS_TRY(parse_version(line.substr(last + 1)));
    const auto method = find_method(name);
    if (!method) return fail(unknown_method, printable(as_bytes(name), 16));
    method_ = *method;
    target_.assign(target);
    return {};
}

/// RFC 9112 §4: version SP three digits SP [reason]; the last space is often left out.
Result<void> MessageReader::parse_status_line(std::string_view line) {
    if (line.size() < 12 || line[8] != ' ') return fail(bad_start_line);
    version_ = EOS_TRY(parse_version(line.substr(0, 8)));
    const std::string_view digits = line.substr(9, 3);
    if (!std::ranges::all_of(digits, is_status_digit) || digits[0] == '0') {
        return fail(bad_start_line, "the status is not a number from 100 to 999");
    }
    if (line.size() > 12 && line[12] != ' ') return fail(bad_start_line);
    status_ = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    return {};
}

Result<void> MessageReader::store_header() {
    if (mode_ == Mode::kHeader) {
        EOS_TRY(headers_.add(name_, value_));
    } else {
        EOS_TRY(store_trailer());
    }
    name_.clear();
    value_.clear();
    return {};
}

/// What a trailer may not say is refused, not dropped: another reader might have taken it.
Result<void> MessageReader::store_trailer() {
    EOS_TRY(trailers_.add(name_, value_));
    const std::string_view name = trailers_[trailers_.count() - 1].name;
    if (is_forbidden_trailer(name)) return fail(forbidden_trailer, std::string(name));
    return {};
}

Result<void> MessageReader::decide_transfer_encoding(std::string_view value) {
    if (version_ == Version::kHttp10) {
        return fail(bad_transfer_encoding, "HTTP/1.0 has none");  // RFC 9112 §6.1
    }
    if (equal_ignoring_case(value, "chunked")) {
        body_ = BodySize::unknown();
        return {};
    }
    if (headers_.list_contains("transfer-encoding", "chunked") && value.size() > 7 &&
        equal_ignoring_case(value.substr(value.size() - 7), "chunked")) {
        return fail(unknown_transfer_coding);
    }
    return fail(bad_transfer_encoding);
}

/// RFC 9112 §6.3, with every ambiguity refused.
Result<void> MessageReader::decide_framing() {
    const auto transfer = headers_.single("transfer-encoding");
    const auto length = headers_.single("content-length");
    if (!transfer) return fail(bad_transfer_encoding, "the field is repeated");
    if (!length) return fail(bad_content_length, "the field is repeated");
    if (*transfer && *length) return fail(conflicting_framing);
    std::optional<std::uint64_t> bytes;
    if (*length) {
        bytes = parse_length(**length);
        if (!bytes) return fail(bad_content_length);
    }
    body_ = BodySize::none();
    if (kind_ == MessageKind::kResponse) {
        described_ = bytes ? BodySize::known(*bytes) : BodySize::unknown();
        const bool bodiless =
            skip_body_ == SkipBody::kYes || status_ < 200 || status_ == 204 || status_ == 304;
        if (bodiless) return {};
    }
    if (*transfer) return decide_transfer_encoding(**transfer);
    if (bytes) {
        body_ = BodySize::known(*bytes);
    } else if (kind_ == MessageKind::kResponse) {
        body_ = BodySize::unknown();
        until_end_ = true;
    }
    return {};
}

Result<void> MessageReader::end_head() {
    if (!headers_complete_) return fail(framing_disagreement);
    const bool chunked = (llhttp_.flags & F_CHUNKED) != 0;
    section_size_ = 0;
    if (body_.kind == BodyKind::kNone || body_ == BodySize::known(0)) return end_message();
    if (message_complete_) return fail(framing_disagreement);
    if (body_.kind == BodyKind::kKnown) {
        if (chunked || llhttp_.content_length != body_.bytes) return fail(framing_disagreement);
        remaining_ = body_.bytes;
        mode_ = Mode::kData;
    } else {
        if (chunked == until_end_) return fail(framing_disagreement);
        mode_ = until_end_ ? Mode::kUntilEnd : Mode::kChunkLine;
    }
    return {};
}

Result<void> MessageReader::end_chunk_line() {
    if (!std::exchange(chunk_header_, false)) return fail(framing_disagreement);
    remaining_ = llhttp_.content_length;
    if (remaining_ == 0) {
        mode_ = Mode::kTrailer;
        section_size_ = 0;
        return {};
    }
    if (remaining_ > body_limit_ || received_ > body_limit_ - remaining_) {
        return fail(body_too_large, "limit " + std::to_string(body_limit_) + " bytes");
    }
    const std::uint64_t allowance =
        kFreeBytesPerChunk + 2 * std::min<std::uint64_t>(remaining_, kMaxChunkOverheadBytes);
    chunk_overhead_ -= std::min(chunk_overhead_, allowance);
    if (chunk_overhead_ > kMaxChunkOverheadBytes) {
        return fail(bad_chunk, "the chunks are almost all framing");
    }
    mode_ = Mode::kData;
    return {};
}

/// Takes as much of the body as there is; the piece lies in one chunk.
Result<ByteView> MessageReader::take_data(ByteView input) {
    ByteView data = input;
    if (mode_ == Mode::kData) {
        data = input.first(
            static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), remaining_)));
    }
    const std::uint64_t total =
        body_.kind == BodyKind::kKnown ? body_.bytes : received_ + data.size();
    if (total > body_limit_) {
        return fail(body_too_large, "limit " + std::to_string(body_limit_) + " bytes");
    }
    EOS_TRY(execute(data));
    received_ += data.size();
    if (mode_ == Mode::kUntilEnd) return data;
    remaining_ -= data.size();
    if (remaining_ > 0) return data;
    if (body_.kind == BodyKind::kKnown) {
        EOS_TRY(end_message());
    } else {
        mode_ = Mode::kChunkEnd;
    }
    return data;
}

Result<void> MessageReader::end_message() {
    if (!message_complete_) return fail(framing_disagreement);
    mode_ = Mode::kDone;
    return {};
}

int status_for(const Error& error) {
    const Code& code = error.code();
    if (code == body_too_large) return 413;
    if (code == target_too_long) return 414;
    if (code == headers_too_large) return 431;
    if (code == unknown_method || code == unknown_transfer_coding) return 501;
    if (code == unsupported_version) return 505;
    return 400;
}

}  // namespace eos::http
