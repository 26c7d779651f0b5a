// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/pem.h"

#include "common/base/encoding.h"

namespace eos::x509 {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";
constexpr std::size_t kWrittenLine = 64;
constexpr std::size_t kMaxLine = 76;  // MIME's; RFC 7468 §2 lets parsers take it
constexpr std::size_t kMaxChain = 8;

// The next line without its end, CRLF or LF or the end of the text.
std::string_view take_line(std::string_view& text) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t") == std::string_view::npos;
}

// "CERTIFICATE" of "-----BEGIN CERTIFICATE-----", or nothing.
std::string_view begin_label(std::string_view line) {
    if (!line.starts_with(kBegin) || !line.ends_with(kDashes)) return {};
    if (line.size() <= kBegin.size() + kDashes.size()) return {};
    return line.substr(kBegin.size(), line.size() - kBegin.size() - kDashes.size());
}

// Takes the END line of `label` off `text`, but not what follows on the same line if that is the
// next BEGIN: some quotes have no line feed between two blocks.
Result<void> take_end(std::string_view& text, std::string_view label) {
    std::string end = std::string(kEnd).append(label).append(kDashes);
    if (!text.starts_with(end)) return fail(bad_pem, "expected the END line of the same label");
    text.remove_prefix(end.size());
    if (text.starts_with(kBegin)) return {};
    if (!is_blank(take_line(text))) return fail(bad_pem, "text after an END line");
    return {};
}

// The base64 of a block, up to and including its END line.
Result<void> read_body(std::string_view& text, std::string_view label, std::string& base64) {
    while (!text.empty()) {
        if (text.starts_with(kDashes)) return take_end(text, label);
        std::string_view line = take_line(text);
        if (line.empty() || line.size() > kMaxLine)
            return fail(bad_pem, "a line of 0 or more than 76 characters inside a block");
        base64 += line;
    }
    return fail(bad_pem, "no END line");
}

Result<Bytes> read_block(std::string_view& text, std::string_view label) {
    std::string base64;
    base64.reserve(text.size());  // once, so that no copy of a key is left behind by growing
    Result<void> body = read_body(text, label, base64);
    Result<Bytes> out = body ? from_base64(base64) : fail(std::move(body).error());
    secure_wipe(std::as_writable_bytes(std::span(base64)));
    return out;
}

Result<std::vector<Certificate>> parse_certificates(std::string_view text,
                                                    const PemOptions& options) {
    std::vector<PemBlock> blocks = EOS_TRY(parse_pem(text, options));
    std::vector<Certificate> out;
    for (const PemBlock& block : blocks) {
        Result<Certificate> certificate = Certificate::parse(block.der);
        if (!certificate) {
            return fail(std::move(certificate)
                            .error()
                            .within("certificate " + std::to_string(out.size() + 1)));
        }
        out.push_back(*std::move(certificate));
    }
    return out;
}

}  // namespace

std::string encode_pem(std::string_view label, ByteView der) {
    std::string body = base64(der);
    std::string out;
    out.reserve(body.size() + body.size() / kWrittenLine + 2 * label.size() + 40);
    out.append(kBegin).append(label).append(kDashes).append("\n");
    for (std::size_t at = 0; at < body.size(); at += kWrittenLine)
        out.append(body, at, kWrittenLine).append("\n");
    out.append(kEnd).append(label).append(kDashes).append("\n");
    secure_wipe(std::as_writable_bytes(std::span(body)));
    return out;
}

Result<std::vector<PemBlock>> parse_pem(std::string_view text, const PemOptions& options) {
    if (text.size() > kMaxPemBytes) return fail(too_large, "PEM text");
    std::vector<PemBlock> out;
    while (!text.empty()) {
        std::string_view line = take_line(text);
        std::string_view label = begin_label(line);
        if (label.empty()) {
            if (options.outside == PemOutside::kAnyText || is_blank(line)) continue;
            return fail(bad_pem, "text outside of a block");
        }
        if (!options.label.empty() && label != options.label) {
            return fail(bad_pem, "expected " + std::string(options.label) + ", found " +
                                     printable(as_bytes(label)));
        }
        if (out.size() == options.max_blocks) return fail(too_many, "PEM blocks");
        Bytes der = EOS_TRY(read_block(text, label));
        out.push_back({std::string(label), std::move(der)});
    }
    if (out.empty()) return fail(bad_pem, "no block");
    return out;
}

Result<std::vector<Certificate>> parse_pem_certificates(std::string_view text) {
    return parse_certificates(text, {.label = "CERTIFICATE", .outside = PemOutside::kAnyText});
}

Result<std::vector<Certificate>> parse_pem_chain(ByteView text) {
    if (!text.empty() && text.back() == std::byte{0}) text = text.first(text.size() - 1);
    return parse_certificates(as_chars(text), {.label = "CERTIFICATE", .max_blocks = kMaxChain});
}

}  // namespace eos::x509
