// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/quote.h"

#include <string_view>
#include <utility>

#include "common/base/codec.h"

namespace eos::attestation::evidence {

namespace {

constexpr std::uint16_t kEcdsaP256 = 2;
constexpr std::uint32_t kTeeSgx = 0;
constexpr std::uint16_t kPckCertificateChain = 5;

std::unexpected<Error> cut_off(std::string_view where) {
    return fail(quote_truncated, std::string(where));
}

/// A run of bytes of the quote: `what` for the message of its absence.
Result<ByteView> take(Reader& in, std::size_t size, std::string_view what) {
    Result<ByteView> bytes = in.bytes(size);
    if (!bytes) return cut_off(what);
    return bytes;
}

/// The next `size` bytes as the last element of what `in` reads: exact nesting, because lengths are
/// not signed (evidence.md §12.1).
Result<Reader> take_to_end(Reader& in, std::size_t size, std::string_view what) {
    if (size > in.remaining()) {
        return cut_off(std::string(what) + ": " + std::to_string(size) + " bytes announced, " +
                       std::to_string(in.remaining()) + " left");
    }
    if (size < in.remaining()) {
        return fail(quote_trailing_bytes, std::to_string(in.remaining() - size) +
                                              " bytes after the " + std::string(what));
    }
    return Reader(in.rest());
}

std::string_view certification_type_name(std::uint16_t type) {
    switch (type) {
        case 1:
            return "PPID in clear";
        case 2:
            return "PPID encrypted with RSA-2048";
        case 3:
            return "PPID encrypted with RSA-3072";
        case 4:
            return "PCK leaf certificate alone";
        case 6:
            return "QE report certification data, which version 3 does not have";
        case 7:
            return "platform manifest";
        default:
            return "unknown";
    }
}

Result<void> parse_header(ByteView header, SgxQuote& out) {
    Reader in(header);
    EOS_TRY(in.u16le());  // the version, which decided that we are here
    const std::uint16_t key_type = EOS_TRY(in.u16le());
    const std::uint32_t tee_type = EOS_TRY(in.u32le());
    out.qe_svn = EOS_TRY(in.u16le());
    out.pce_svn = EOS_TRY(in.u16le());
    const ByteView vendor = EOS_TRY(in.bytes(kIntelQeVendorId.size()));
    out.user_data = EOS_TRY(in.array<20>());
    if (key_type != kEcdsaP256) {
        return fail(unsupported_attestation_key_type,
                    "type " + std::to_string(key_type) + ", expected 2 (ECDSA P-256)");
    }
    if (tee_type != kTeeSgx) {
        return fail(unsupported_tee_type,
                    "type " + std::to_string(tee_type) + " in version 3, expected 0 (SGX)");
    }
    if (!equal(vendor, kIntelQeVendorId)) return fail(unknown_qe_vendor);
    return {};
}

Result<void> parse_certification_data(Reader& in, SgxQuote& out) {
    const ByteView head = EOS_TRY(take(in, 6, "certification data header"));
    Reader header(head);
    const std::uint16_t type = EOS_TRY(header.u16le());
    const std::uint32_t size = EOS_TRY(header.u32le());
    Reader data = EOS_TRY(take_to_end(in, size, "certification data"));
    if (type != kPckCertificateChain) {
        return fail(certification_data_unsupported, "type " + std::to_string(type) + " (" +
                                                        std::string(certification_type_name(type)) +
                                                        "), expected 5 (PCK certificate chain)");
    }
    ByteView chain = data.rest();
    // Most quoting libraries count the NUL of their C string in.
    if (!chain.empty() && chain.back() == std::byte{0}) chain = chain.first(chain.size() - 1);
    out.pck_chain_pem = to_string(chain);
    return {};
}

Result<void> parse_auth_data(Reader& in, SgxQuote& out) {
    out.signature = to_array<64>(EOS_TRY(take(in, 64, "signature")));
    out.attestation_key = to_array<64>(EOS_TRY(take(in, 64, "attestation key")));
    out.qe_report_bytes = to_array<384>(EOS_TRY(take(in, 384, "QE report")));
    out.qe_report = EOS_TRY(sgx_arch::parse_report_body(out.qe_report_bytes));
    out.qe_report_signature = to_array<64>(EOS_TRY(take(in, 64, "QE report signature")));
    Reader size(EOS_TRY(take(in, 2, "QE authentication data size")));
    const std::uint16_t auth_size = EOS_TRY(size.u16le());
    out.qe_auth_data = to_bytes(EOS_TRY(take(in, auth_size, "QE authentication data")));
    return parse_certification_data(in, out);
}

Result<SgxQuote> parse_v3(ByteView bytes) {
    SgxQuote out;
    Reader in(bytes);
    out.signed_bytes =
        to_array<48 + sgx_arch::kReportBodyBytes>(EOS_TRY(take(in, 432, "header and report body")));
    EOS_TRY(parse_header(ByteView(out.signed_bytes).first(48), out));
    out.report = EOS_TRY(sgx_arch::parse_report_body(out.report_bytes()));
    Reader size(EOS_TRY(take(in, 4, "authentication data size")));
    const std::uint32_t auth_size = EOS_TRY(size.u32le());
    Reader auth = EOS_TRY(take_to_end(in, auth_size, "authentication data"));
    EOS_TRY(parse_auth_data(auth, out));
    return out;
}

}  // namespace

Result<Evidence> parse_quote(ByteView in) {
    if (in.size() > kMaxQuoteBytes) {
        return fail(quote_too_large, std::to_string(in.size()) + " bytes, at most " +
                                         std::to_string(kMaxQuoteBytes) + " are read");
    }
    Reader reader(in);
    Reader head(EOS_TRY(take(reader, 2, "version")));
    const std::uint16_t version = EOS_TRY(head.u16le());
    switch (version) {
        case 3:
            return Evidence(EOS_TRY(parse_v3(in)), to_bytes(in));
        default:
            return fail(unsupported_version,
                        "version " + std::to_string(version) + ", supported: 3");
    }
}

}  // namespace eos::attestation::evidence
