// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/quote.h"

#include <optional>
#include <string_view>
#include <utility>

#include "common/base/codec.h"

namespace eos::attestation::evidence {

namespace {

constexpr std::uint16_t kEcdsaP256 = 2;
constexpr std::uint16_t kEcdsaP384 = 3;
constexpr std::uint32_t kTeeSgx = 0;
constexpr std::uint32_t kTeeTdx = 0x81;
constexpr std::uint16_t kPckCertificateChain = 5;
constexpr std::uint16_t kQeReportCertificationData = 6;
constexpr std::uint16_t kSgxBody = 1;  ///< the body type of version 5; TDX: TdReportKind
constexpr std::size_t kHeaderBytes = 48;
constexpr std::size_t kDescriptorBytes = 6;

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
/// not signed.
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
            return "QE report certification data";
        case 7:
            return "platform manifest";
        default:
            return "unknown";
    }
}

std::string key_type_name(std::uint16_t type) {
    std::string out = "type " + std::to_string(type);
    if (type == kEcdsaP384) out += " (ECDSA P-384)";
    return out + ", expected 2 (ECDSA P-256)";
}

/// What of the header decides how to go on.
struct Header {
    std::uint16_t version = 0;
    std::uint32_t tee_type = 0;
};

Result<Header> parse_header(ByteView header, IntelQuote& out) {
    Reader in(header);
    out.version = EOS_TRY(in.u16le());
    const std::uint16_t key_type = EOS_TRY(in.u16le());
    const std::uint32_t tee_type = EOS_TRY(in.u32le());
    out.qe_svn = EOS_TRY(in.u16le());
    out.pce_svn = EOS_TRY(in.u16le());
    const ByteView vendor = EOS_TRY(in.bytes(kIntelQeVendorId.size()));
    out.user_data = EOS_TRY(in.array<20>());
    if (key_type != kEcdsaP256) {
        return fail(unsupported_attestation_key_type, key_type_name(key_type));
    }
    const bool is_tdx = tee_type == kTeeTdx && out.version != 3;
    if (tee_type != kTeeSgx && !is_tdx) {
        return fail(unsupported_tee_type, "type " + std::to_string(tee_type) + " in version " +
                                              std::to_string(out.version) + ", expected 0 (SGX)" +
                                              (out.version == 3 ? "" : " or 129 (TDX)"));
    }
    if (!equal(vendor, kIntelQeVendorId)) return fail(unknown_qe_vendor);
    return Header{out.version, tee_type};
}

/// One { type, size, data } that reaches to the end of what `in` reads.
struct CertificationData {
    std::uint16_t type = 0;
    Reader data{ByteView()};
};

Result<CertificationData> take_certification_data(Reader& in, std::string_view what) {
    Reader header(EOS_TRY(take(in, 6, std::string(what) + " header")));
    const std::uint16_t type = EOS_TRY(header.u16le());
    const std::uint32_t size = EOS_TRY(header.u32le());
    return CertificationData{type, EOS_TRY(take_to_end(in, size, what))};
}

std::unexpected<Error> unexpected_certification_data(std::uint16_t found,
                                                     std::string_view expected) {
    return fail(certification_data_unsupported, "type " + std::to_string(found) + " (" +
                                                    std::string(certification_type_name(found)) +
                                                    "), expected " + std::string(expected));
}

Result<void> parse_pck_chain(Reader& in, IntelQuote& out) {
    CertificationData certification = EOS_TRY(take_certification_data(in, "certification data"));
    if (certification.type != kPckCertificateChain) {
        return unexpected_certification_data(certification.type, "5 (PCK certificate chain)");
    }
    ByteView chain = certification.data.rest();
    // Most quoting libraries count the NUL of their C string in.
    if (!chain.empty() && chain.back() == std::byte{0}) chain = chain.first(chain.size() - 1);
    out.pck_chain_pem = to_string(chain);
    return {};
}

/// The QE report and what certifies it: in version 3 it follows the attestation key, later it is
/// certification data of type 6.
Result<void> parse_qe_report(Reader& in, IntelQuote& out) {
    out.qe_report_bytes = to_array<384>(EOS_TRY(take(in, 384, "QE report")));
    out.qe_report = EOS_TRY(sgx_arch::parse_report_body(out.qe_report_bytes));
    out.qe_report_signature = to_array<64>(EOS_TRY(take(in, 64, "QE report signature")));
    Reader size(EOS_TRY(take(in, 2, "QE authentication data size")));
    const std::uint16_t auth_size = EOS_TRY(size.u16le());
    out.qe_auth_data = to_bytes(EOS_TRY(take(in, auth_size, "QE authentication data")));
    return parse_pck_chain(in, out);
}

Result<void> parse_auth_data(Reader& in, IntelQuote& out) {
    out.signature = to_array<64>(EOS_TRY(take(in, 64, "signature")));
    out.attestation_key = to_array<64>(EOS_TRY(take(in, 64, "attestation key")));
    if (out.version == 3) return parse_qe_report(in, out);
    CertificationData outer = EOS_TRY(take_certification_data(in, "QE report certification data"));
    if (outer.type != kQeReportCertificationData) {
        return unexpected_certification_data(outer.type, "6 (QE report certification data)");
    }
    return parse_qe_report(outer.data, out);
}

/// Which body follows the header, and how many bytes it has.
struct BodyKind {
    std::optional<TdReportKind> td;  ///< absent: an SGX report body
    std::size_t size = sgx_arch::kReportBodyBytes;
};

BodyKind td_body(TdReportKind kind) {
    return {kind, td_report_size_bytes(kind)};
}

std::optional<BodyKind> body_of_type(std::uint16_t type) {
    switch (type) {
        case kSgxBody:
            return BodyKind{};
        case static_cast<std::uint16_t>(TdReportKind::tdx10):
        case static_cast<std::uint16_t>(TdReportKind::tdx15):
        case static_cast<std::uint16_t>(TdReportKind::tdx15_extended):
            return td_body(static_cast<TdReportKind>(type));
        default:
            return {};
    }
}

/// Version 5: the descriptor { type, size } in front of the body, which must agree with the TEE.
Result<BodyKind> parse_descriptor(Reader& in, const Header& header) {
    Reader descriptor(EOS_TRY(take(in, kDescriptorBytes, "body descriptor")));
    const std::uint16_t type = EOS_TRY(descriptor.u16le());
    const std::uint32_t size = EOS_TRY(descriptor.u32le());
    std::optional<BodyKind> body = body_of_type(type);
    if (!body.has_value()) return fail(unsupported_body, "type " + std::to_string(type));
    if (size != body->size) {
        return fail(unsupported_body, "type " + std::to_string(type) + " with " +
                                          std::to_string(size) + " bytes, expected " +
                                          std::to_string(body->size));
    }
    if (body->td.has_value() != (header.tee_type == kTeeTdx)) {
        return fail(unsupported_tee_type, "type " + std::to_string(header.tee_type) +
                                              " with a body of type " + std::to_string(type));
    }
    return *body;
}

Result<BodyKind> take_body_kind(Reader& in, const Header& header) {
    if (header.version == 5) return parse_descriptor(in, header);
    return header.tee_type == kTeeTdx ? td_body(TdReportKind::tdx10) : BodyKind{};
}

Result<Quote> parse_whole(ByteView bytes) {
    IntelQuote frame;
    Reader in(bytes);
    const ByteView head = EOS_TRY(take(in, kHeaderBytes, "header"));
    const Header header = EOS_TRY(parse_header(head, frame));
    const BodyKind kind = EOS_TRY(take_body_kind(in, header));
    const ByteView body = EOS_TRY(take(in, kind.size, "body"));
    frame.signed_bytes = to_bytes(bytes.first(bytes.size() - in.remaining()));
    Reader size(EOS_TRY(take(in, 4, "authentication data size")));
    const std::uint32_t auth_size = EOS_TRY(size.u32le());
    Reader auth = EOS_TRY(take_to_end(in, auth_size, "authentication data"));
    EOS_TRY(parse_auth_data(auth, frame));
    if (kind.td.has_value()) {
        TdReport report = EOS_TRY(parse_td_report(body, *kind.td));
        return Quote(TdxQuote{std::move(frame), std::move(report)});
    }
    sgx_arch::ReportBody report = EOS_TRY(sgx_arch::parse_report_body(body));
    return Quote(SgxQuote{std::move(frame), report});
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
    if (version < 3 || version > 5) {
        return fail(unsupported_version,
                    "version " + std::to_string(version) + ", supported: 3, 4 and 5");
    }
    return Evidence(EOS_TRY(parse_whole(in)), to_bytes(in));
}

Result<std::size_t> stated_quote_size(ByteView bytes) {
    IntelQuote frame;
    Reader in(bytes);
    const Header header = EOS_TRY(parse_header(EOS_TRY(take(in, kHeaderBytes, "header")), frame));
    const BodyKind kind = EOS_TRY(take_body_kind(in, header));
    EOS_TRY(take(in, kind.size, "body"));
    Reader size(EOS_TRY(take(in, 4, "authentication data size")));
    EOS_TRY(take(in, EOS_TRY(size.u32le()), "authentication data"));
    return bytes.size() - in.remaining();
}

ByteView without_padding(ByteView quote) {
    const Result<std::size_t> size = stated_quote_size(quote);
    return size && all_zero(quote.subspan(*size)) ? quote.first(*size) : quote;
}

Result<Evidence> parse_evidence(ByteView in) {
    if (in.size() < 4 || !all_zero(in.subspan(1, 3))) return parse_quote(in);
    return Evidence(EOS_TRY(parse_snp_evidence(in)), to_bytes(in));
}

}  // namespace eos::attestation::evidence
