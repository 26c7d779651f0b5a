// SPDX-License-Identifier: AGPL-3.0-only
#include "client/evidence_files.h"

#include <algorithm>
#include <optional>

#include "client/files.h"
#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/json/json.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

constexpr std::size_t kMaxJsonBytes = 4 * 1024 * 1024;

void note(EvidenceFile& file, const std::string& what) {
    if (!file.taken_off.empty()) file.taken_off += ", ";
    file.taken_off += what;
}

/// Lines of a licence in front.
void take_off_comment(EvidenceFile& file) {
    std::string_view text = as_chars(file.bytes);
    while (text.starts_with("# ") && text.find('\n') != text.npos) {
        text.remove_prefix(text.find('\n') + 1);
    }
    if (text.size() == file.bytes.size()) return;
    file.bytes = to_bytes(text);
    note(file, "a comment");
}

void take_off_text(EvidenceFile& file) {
    std::string text(as_chars(file.bytes));
    std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
    // PEM is text too, and begins with a character of base64url's.
    if (text.empty() || text.starts_with('-')) return;
    std::string_view digits = text;
    if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
    if (Result<Bytes> bytes = from_hex(digits)) {
        file.bytes = *std::move(bytes);
        return note(file, "hexadecimal text");
    }
    if (Result<Bytes> bytes = from_base64(text)) {
        file.bytes = *std::move(bytes);
        return note(file, "base64 text");
    }
    while (text.ends_with('=')) text.pop_back();
    if (Result<Bytes> bytes = from_base64url(text)) {
        file.bytes = *std::move(bytes);
        note(file, "base64url text");
    }
}

/// Open Enclave's claims: version 1, a count, and as many names with values, to the end.
/// source: openenclave, include/openenclave/attestation/custom_claims.h.
bool are_claims(ByteView tail) {
    constexpr std::uint64_t kMaxClaims = 256;
    Reader in(tail);
    const Result<std::uint64_t> version = in.u64le();
    const Result<std::uint64_t> count = in.u64le();
    if (!version || *version != 1 || !count || *count > kMaxClaims) return false;
    for (std::uint64_t i = 0; i < *count; ++i) {
        const std::uint64_t name_size = in.u64le().value_or(tail.size());
        const std::uint64_t value_size = in.u64le().value_or(tail.size());
        if (!in.bytes(std::min<std::uint64_t>(name_size, tail.size())) ||
            !in.bytes(std::min<std::uint64_t>(value_size, tail.size()))) {
            return false;
        }
    }
    return in.remaining() == 0;
}

/// What stands behind Open Enclave's header: version 1, a kind of report, a size of 64 bits, and as
/// many bytes (then perhaps zeros, or claims, which are left). An SNP report of version 1 is none:
/// its policy stands where the size would be and is too large for one.
std::optional<Bytes> report_of_open_enclave(ByteView file) {
    constexpr std::size_t kHeaderBytes = 16;
    if (file.size() <= kHeaderBytes) return {};
    Reader in(file);
    const std::uint32_t version = in.u32le().value();
    const std::uint32_t kind = in.u32le().value();
    const std::uint64_t size = in.u64le().value();
    if (version != 1 || (kind != 1 && kind != 2) || size == 0 || size > in.remaining()) return {};
    const ByteView report = in.rest();
    if (are_claims(report.subspan(size))) return to_bytes(report);
    if (!all_zero(report.subspan(size))) return {};
    return to_bytes(report.first(size));
}

/// The report data of a quote.
std::optional<ByteArray<64>> report_data_of(ByteView quote) {
    const auto parsed = attestation::evidence::parse_quote(quote);
    if (!parsed) return {};
    if (const auto* sgx = std::get_if<attestation::evidence::SgxQuote>(&parsed->quote())) {
        return sgx->report.report_data;
    }
    return std::get<attestation::evidence::TdxQuote>(parsed->quote()).report.report_data;
}

/// Claims behind the end that a quote states: only those that the quote itself binds.
void take_off_claims(EvidenceFile& file) {
    const Result<std::size_t> size = attestation::evidence::stated_quote_size(file.bytes);
    if (!size || *size >= file.bytes.size()) return;
    const ByteView tail = ByteView(file.bytes).subspan(*size);
    const auto bound = report_data_of(ByteView(file.bytes).first(*size));
    if (!bound || !are_claims(tail)) return;
    const crypto::Digest32 digest = crypto::sha256(tail);
    if (!equal(ByteView(*bound).first(digest.size()), digest) ||
        !all_zero(ByteView(*bound).subspan(digest.size()))) {
        return;
    }
    note(file, std::to_string(tail.size()) + " bytes of claims, which its report data binds");
    file.bytes.resize(*size);
}

/// Turns a chain of certificates round whose root stands first: no signature covers their order.
void turn_chain_round(EvidenceFile& file) {
    constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
    constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
    const std::string_view all = as_chars(file.bytes);
    const std::size_t from = all.find(kBegin);
    const std::size_t last = all.rfind(kEnd);
    if (from == all.npos || last == all.npos || last < from) return;
    if (!attestation::evidence::parse_quote(file.bytes)) return;
    const std::string_view text = all.substr(from, last + kEnd.size() - from);
    const auto certificates = x509::parse_pem_certificates(text);
    if (!certificates || certificates->size() != 3 || !certificates->front().is_self_issued() ||
        (*certificates)[1].is_self_issued() || certificates->back().is_self_issued()) {
        return;
    }
    std::vector<std::string_view> blocks, between;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = rest.find(kEnd) + kEnd.size();
        const std::size_t next = std::min(rest.find(kBegin, end), rest.size());
        blocks.push_back(rest.substr(0, end));
        between.push_back(rest.substr(end, next - end));
        rest.remove_prefix(next);
    }
    std::string turned;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        turned += blocks[blocks.size() - 1 - i];
        turned += between[i];
    }
    std::ranges::copy(as_bytes(turned), file.bytes.begin() + static_cast<std::ptrdiff_t>(from));
    note(file, "a certificate chain with the root first, turned round");
}

/// The bytes of a JSON value: text, or a list of numbers.
std::optional<Bytes> bytes_of(const json::Value& value) {
    if (value.is_string()) return to_bytes(value.get_ref<const std::string&>());
    if (!value.is_array()) return {};
    Bytes out;
    for (const json::Value& one : value) {
        const Result<std::uint64_t> byte = json::as_number(one, "", 0xff);
        if (!byte) return {};
        out.push_back(static_cast<std::byte>(*byte));
    }
    return out;
}

/// The evidence among a JSON object's members, if it is under a name that says so and alone.
void take_out_of_json(EvidenceFile& file) {
    constexpr auto kNames = std::to_array<std::string_view>(
        {"quote", "Quote", "td_quote", "tdx_quote", "sgx_quote", "raw_quote", "rawQuote",
         "RawQuote", "evidence", "report", "attestation_report", "AttestationReport"});
    const Result<json::Value> root = json::parse(file.bytes, {.size_bytes = kMaxJsonBytes});
    if (!root || !root->is_object()) return;
    std::optional<EvidenceFile> found;
    for (std::string_view name : kNames) {
        const auto member = root->find(name);
        std::optional<Bytes> bytes = member == root->end() ? std::nullopt : bytes_of(*member);
        if (!bytes) continue;
        EvidenceFile inside{.bytes = *std::move(bytes), .taken_off = {}};
        note(inside, "the other members of a JSON object than \"" + std::string(name) + "\"");
        if (member->is_string()) take_off_text(inside);
        if (!is_evidence(inside.bytes)) continue;
        if (found) return;  // which of them it is, nobody says
        found = std::move(inside);
    }
    if (found) file = *std::move(found);
}

}  // namespace

EvidenceFile unwrap_evidence(Bytes file) {
    EvidenceFile out{.bytes = std::move(file), .taken_off = {}};
    take_off_comment(out);
    take_off_text(out);
    take_out_of_json(out);
    if (std::optional<Bytes> report = report_of_open_enclave(out.bytes)) {
        out.bytes = *std::move(report);
        note(out, "Open Enclave's header");
    }
    const std::size_t whole = out.bytes.size();
    out.bytes.resize(attestation::evidence::without_padding(out.bytes).size());
    if (out.bytes.size() < whole) {
        note(out, std::to_string(whole - out.bytes.size()) + " bytes of zero padding");
    }
    take_off_claims(out);
    turn_chain_round(out);
    return out;
}

Result<EvidenceFile> read_evidence(const std::filesystem::path& path) {
    return unwrap_evidence(EOS_TRY(read_file(path)));
}

bool is_json_text(ByteView bytes) {
    const std::string_view text = as_chars(bytes);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != text.npos && (text[first] == '{' || text[first] == '[') &&
           json::parse(bytes, {.size_bytes = kMaxJsonBytes}).has_value();
}

bool is_evidence(ByteView bytes) {
    namespace evidence = attestation::evidence;
    constexpr std::size_t kVendorAt = 12;
    const bool has_vendor = bytes.size() > kVendorAt + evidence::kIntelQeVendorId.size() &&
                            equal(bytes.subspan(kVendorAt, evidence::kIntelQeVendorId.size()),
                                  evidence::kIntelQeVendorId);
    return has_vendor || evidence::parse_evidence(bytes).has_value();
}

bool holds_certificate(std::string_view file) {
    if (file.starts_with("0\x82")) return true;  // DER: a SEQUENCE of some size
    // As PEM they also stand within JSON, and within quotes.
    const std::size_t first = file.find_first_not_of(" \t\r\n");
    return first != file.npos && file.substr(first).starts_with("-----BEGIN CERTIFICATE");
}

Result<std::vector<x509::Certificate>> read_carrying_certificates(const std::filesystem::path& path,
                                                                  const std::string& remedy) {
    if (is_evidence(EOS_TRY(read_evidence(path)).bytes)) {
        return fail(evidence_alone, path.string() + ": " + remedy);
    }
    return read_certificates(path);
}

}  // namespace eos::client
