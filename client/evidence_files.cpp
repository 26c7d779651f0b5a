// SPDX-License-Identifier: AGPL-3.0-only
#include "client/evidence_files.h"

#include <algorithm>
#include <optional>

#include "client/files.h"
#include "client/foreign_evidence.h"
#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::client {
namespace {

void note(EvidenceFile& file, const std::string& what) {
    if (!file.taken_off.empty()) file.taken_off += ", ";
    file.taken_off += what;
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

/// What stands behind Open Enclave's header: version 1, a kind of report, a size of 64 bits, and as
/// many bytes (then perhaps zeros). An SNP report of version 1 is none: its policy stands where the
/// size would be and is too large for one.
std::optional<Bytes> report_of_open_enclave(ByteView file) {
    constexpr std::size_t kHeaderBytes = 16;
    if (file.size() <= kHeaderBytes) return {};
    Reader in(file);
    const std::uint32_t version = in.u32le().value();
    const std::uint32_t kind = in.u32le().value();
    const std::uint64_t size = in.u64le().value();
    if (version != 1 || (kind != 1 && kind != 2) || size == 0 || size > in.remaining()) return {};
    const ByteView report = in.rest();
    if (!all_zero(report.subspan(size))) return {};
    return to_bytes(report.first(size));
}

}  // namespace

EvidenceFile unwrap_evidence(Bytes file) {
    EvidenceFile out{.bytes = std::move(file), .taken_off = {}};
    take_off_text(out);
    if (std::optional<Bytes> report = report_of_open_enclave(out.bytes)) {
        out.bytes = *std::move(report);
        note(out, "Open Enclave's header");
    }
    const std::size_t whole = out.bytes.size();
    out.bytes.resize(attestation::evidence::without_padding(out.bytes).size());
    if (out.bytes.size() < whole) {
        note(out, std::to_string(whole - out.bytes.size()) + " bytes of zero padding");
    }
    return out;
}

Result<EvidenceFile> read_evidence(const std::filesystem::path& path) {
    return unwrap_evidence(EOS_TRY(read_file(path)));
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

Result<std::vector<x509::Certificate>> read_shown_certificates(const std::filesystem::path& path,
                                                               const std::string& remedy) {
    std::vector<x509::Certificate> out = EOS_TRY(read_carrying_certificates(path, remedy));
    if (!out.empty() && is_foreign(out.front())) {
        return fail(foreign_certificate,
                    path.string() + ": `enclavectl verify` takes it (docs/evidence.md)");
    }
    return out;
}

}  // namespace eos::client
