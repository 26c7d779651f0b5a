// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/vtpm.h"

#include <algorithm>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/x509/certificate.h"

namespace eos::attestation::evidence {
namespace {

constexpr std::size_t kHclHeaderBytes = 32;
constexpr std::size_t kRuntimeHeaderBytes = 20;
constexpr std::uint32_t kHclMagic = 0x414c4348;  // "HCLA"
constexpr std::uint32_t kHashSha256 = 1;
constexpr std::string_view kAttestationKeyId = "HCLAkPub";

constexpr std::uint32_t kTpmMagic = 0xff544347;
constexpr std::uint16_t kTpmQuote = 0x8018;
constexpr std::uint16_t kTpmSha256 = 0x000b;
constexpr std::uint16_t kTpmRsaSsa = 0x0014;
constexpr std::size_t kMaxTpmName = 68;
constexpr std::size_t kMaxTpmData = 66;  // TPM2B_DATA: a tagged digest of 64 bytes

/// What the header of the runtime data says.
struct RuntimeHeader {
    HclHardware hardware{};
    std::uint32_t json_bytes = 0;
};

Result<RuntimeHeader> read_runtime_header(Reader& in) {
    RuntimeHeader out;
    const std::uint32_t size = EOS_TRY(in.u32le());
    const std::uint32_t version = EOS_TRY(in.u32le());
    const std::uint32_t type = EOS_TRY(in.u32le());
    const std::uint32_t hash = EOS_TRY(in.u32le());
    out.json_bytes = EOS_TRY(in.u32le());
    if (out.json_bytes > kMaxHclReportBytes || size != kRuntimeHeaderBytes + out.json_bytes) {
        return fail(bad_hcl_report, "the sizes of the runtime data do not agree");
    }
    if (version != 1) return fail(bad_hcl_report, "runtime data of another version");
    if (type != 2 && type != 4) return fail(bad_hcl_report, "neither SNP nor TDX");
    if (hash != kHashSha256) return fail(bad_hcl_report, "bound by another hash than SHA-256");
    out.hardware = static_cast<HclHardware>(type);
    return out;
}

/// An RSA key in JWK form: kty, n, e; other members are for people.
Result<crypto::RsaPublicKey> read_jwk(const json::Value& value, const std::string& path) {
    constexpr std::size_t kMaxNumberText = 1024;
    json::Object key = EOS_TRY(json::Object::of(value, path));
    if (EOS_TRY(key.text("kty", 8)) != "RSA") return fail(bad_hcl_report, path + ": not RSA");
    const Bytes modulus = EOS_TRY(from_base64url(EOS_TRY(key.text("n", kMaxNumberText))));
    const Bytes exponent = EOS_TRY(from_base64url(EOS_TRY(key.text("e", 8))));
    std::uint64_t number = 0;
    for (std::byte digit : exponent) number = number << 8 | std::to_integer<std::uint64_t>(digit);
    return crypto::RsaPublicKey::from_numbers(modulus, number);
}

Result<crypto::RsaPublicKey> read_attestation_key(json::Object& root) {
    constexpr std::size_t kMaxKeys = 8;
    const json::Value* keys = EOS_TRY(root.array("keys", kMaxKeys));
    std::optional<crypto::RsaPublicKey> found;
    for (std::size_t i = 0; keys != nullptr && i < keys->size(); ++i) {
        const std::string path = json::element_path("keys", i);
        json::Object key = EOS_TRY(json::Object::of((*keys)[i], path));
        if (EOS_TRY(key.text("kid", 64)) != kAttestationKeyId) continue;
        if (found.has_value()) return fail(bad_hcl_report, "two attestation keys");
        found = EOS_TRY(read_jwk((*keys)[i], path));
    }
    if (!found.has_value()) return fail(bad_hcl_report, "no attestation key");
    return *std::move(found);
}

/// A TPM2B: a size of 16 bits and as many bytes.
Result<Bytes> sized(Reader& in, std::size_t max_bytes) {
    const std::uint16_t size = EOS_TRY(in.u16be());
    if (size > max_bytes) return fail(bad_tpm_quote, "a field is too large");
    return to_bytes(EOS_TRY(in.bytes(size)));
}

Result<std::uint32_t> read_selection(Reader& in) {
    if (EOS_TRY(in.u32be()) != 1) return fail(bad_tpm_quote, "expected one bank of PCRs");
    if (EOS_TRY(in.u16be()) != kTpmSha256) return fail(bad_tpm_quote, "another bank than SHA-256");
    if (EOS_TRY(in.u8()) != kPcrCount / 8) return fail(bad_tpm_quote, "expected 24 PCRs");
    std::uint32_t out = 0;
    for (unsigned i = 0; i < kPcrCount / 8; ++i)
        out |= static_cast<std::uint32_t>(EOS_TRY(in.u8())) << 8 * i;
    return out;
}

Result<TpmAttest> read_attest(Reader& in) {
    TpmAttest out;
    if (EOS_TRY(in.u32be()) != kTpmMagic) return fail(bad_tpm_quote, "magic");
    if (EOS_TRY(in.u16be()) != kTpmQuote) return fail(bad_tpm_quote, "another type than quote");
    out.qualified_signer = EOS_TRY(sized(in, kMaxTpmName));
    out.extra_data = EOS_TRY(sized(in, kMaxTpmData));
    out.clock_ms = EOS_TRY(in.u64be());
    out.reset_count = EOS_TRY(in.u32be());
    out.restart_count = EOS_TRY(in.u32be());
    if (EOS_TRY(in.u8()) > 1) return fail(bad_tpm_quote, "safe is neither YES nor NO");
    out.firmware_version = EOS_TRY(in.u64be());
    out.selected = EOS_TRY(read_selection(in));
    const Bytes digest = EOS_TRY(sized(in, 64));
    if (digest.size() != out.pcr_digest.size()) return fail(bad_tpm_quote, "PCR digest");
    out.pcr_digest = to_array<32>(digest);
    EOS_TRY(in.expect_end());
    return out;
}

/// Reads the bytes that one JSON value stands for.
using Decode = Result<Bytes> (*)(const json::Value&, const std::string& path);

template <Result<Bytes> (*kDecode)(std::string_view)>
Result<Bytes> from_text(const json::Value& value, const std::string& path) {
    Result<Bytes> out = kDecode(EOS_TRY(json::as_text(value, path, kMaxVtpmJsonBytes)));
    if (!out) return fail(std::move(out).error().within(path));
    return out;
}

/// base64url, which most encoders of this evidence pad and some do not.
Result<Bytes> unpadded(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    return from_base64url(text);
}

/// An array with one number for each byte.
Result<Bytes> from_numbers(const json::Value& value, const std::string& path) {
    if (!value.is_array()) return fail(json::wrong_type, path + ": expected an array of numbers");
    Bytes out;
    out.reserve(value.size());
    for (const json::Value& number : value) {
        out.push_back(static_cast<std::byte>(EOS_TRY(json::as_number(number, path, 0xff))));
    }
    return out;
}

Result<Bytes> bytes_member(json::Object& object, std::string_view name, Decode decode) {
    return decode(*EOS_TRY(object.require(name)), object.path(name));
}

/// How a quote is written.
struct QuoteForm {
    Decode binary;
    Decode pcr;
};
constexpr QuoteForm kHexQuote{from_text<from_hex>, from_text<from_hex>};
constexpr QuoteForm kBase64Quote{from_text<from_base64>, from_text<from_hex>};
constexpr QuoteForm kNumbersQuote{from_numbers, from_numbers};

Result<TpmQuote> read_quote(json::Object& object, const QuoteForm& form) {
    TpmQuote out;
    out.message = EOS_TRY(bytes_member(object, "message", form.binary));
    out.attest = EOS_TRY(parse_tpm_attest(out.message));
    out.signature = EOS_TRY(bytes_member(object, "signature", form.binary));
    const json::Value* pcrs = EOS_TRY(object.array("pcrs", kPcrCount));
    if (pcrs == nullptr || pcrs->size() != kPcrCount) {
        return fail(bad_vtpm_evidence, object.path("pcrs") + ": expected 24");
    }
    for (std::size_t i = 0; i < kPcrCount; ++i) {
        const std::string path = json::element_path(object.path("pcrs"), i);
        const Bytes value = EOS_TRY(form.pcr((*pcrs)[i], path));
        if (value.size() != 32) return fail(bad_vtpm_evidence, path + ": expected 32 bytes");
        out.pcrs.push_back(to_array<32>(value));
    }
    EOS_TRY(object.finish());
    return out;
}

Result<TpmQuote> read_quote_member(json::Object& root, const char* name, const QuoteForm& form) {
    json::Object object = EOS_TRY(json::Object::of(*EOS_TRY(root.require(name)), name));
    return read_quote(object, form);
}

/// Azure's service fills quotes of trust domains up with zeros.
Bytes trimmed(Bytes quote) {
    quote.resize(without_padding(quote).size());
    return quote;
}

/// Version 0, which does not say so: bytes as numbers, and other names for SNP.
Result<AzureVtpmEvidence> parse_unversioned(json::Object& root) {
    const bool is_tdx = root.find("td_quote") != nullptr;
    const Bytes hcl = EOS_TRY(bytes_member(root, is_tdx ? "hcl_report" : "report", from_numbers));
    AzureVtpmEvidence out{
        .hcl = EOS_TRY(parse_hcl_report(hcl)),
        .quote = EOS_TRY(read_quote_member(root, is_tdx ? "tpm_quote" : "quote", kNumbersQuote)),
        .certificates = {},
        .td_quote = {}};
    if ((out.hcl.hardware == HclHardware::td_report) != is_tdx) {
        return fail(bad_vtpm_evidence, "its HCL report is of another TEE");
    }
    if (is_tdx) {
        out.td_quote = trimmed(EOS_TRY(bytes_member(root, "td_quote", from_numbers)));
    } else {
        out.certificates.push_back(to_bytes(EOS_TRY(root.text("vcek", kMaxVtpmJsonBytes))));
    }
    EOS_TRY(root.finish());
    return out;
}

Result<json::Value> parse_json(ByteView in) {
    return json::parse(in, {.size_bytes = kMaxVtpmJsonBytes, .depth = 4});
}

/// TPMT_SIGNATURE: scheme, hash, then a TPM2B. Only RSASSA with SHA-256.
Result<Bytes> read_tpmt_signature(ByteView in) {
    Reader reader(in);
    const std::uint16_t scheme = EOS_TRY(reader.u16be());
    const std::uint16_t hash = EOS_TRY(reader.u16be());
    if (scheme != kTpmRsaSsa || hash != kTpmSha256) {
        return fail(bad_tpm_quote, "signed with another scheme than RSASSA with SHA-256");
    }
    Bytes out = EOS_TRY(sized(reader, crypto::kMaxRsaBits / 8));
    EOS_TRY(reader.expect_end());
    return out;
}

}  // namespace

ByteArray<64> HclReport::expected_report_data() const {
    ByteArray<64> out{};
    std::ranges::copy(crypto::sha256(runtime_data), out.begin());
    return out;
}

Result<HclReport> parse_hcl_report(ByteView in) {
    if (in.size() > kMaxHclReportBytes) return fail(bad_hcl_report, "it is too large");
    Reader reader(in);
    const std::uint32_t magic = EOS_TRY(reader.u32le());
    const std::uint32_t version = EOS_TRY(reader.u32le());
    const std::uint32_t used = EOS_TRY(reader.u32le());
    const std::uint32_t request = EOS_TRY(reader.u32le());
    const ByteView reserved = EOS_TRY(reader.bytes(16));
    if (magic != kHclMagic || (version != 1 && version != 2) || request != 2 ||
        !all_zero(reserved)) {
        return fail(bad_hcl_report, "its header is of another kind");
    }
    const ByteView hardware = EOS_TRY(reader.bytes(snp_arch::kReportBytes));
    const RuntimeHeader runtime = EOS_TRY(read_runtime_header(reader));
    if (used != kHclHeaderBytes + hardware.size() + kRuntimeHeaderBytes + runtime.json_bytes) {
        return fail(bad_hcl_report, "its header counts " + std::to_string(used) + " bytes");
    }
    const ByteView text = EOS_TRY(reader.bytes(runtime.json_bytes));
    if (!all_zero(reader.rest())) return fail(bad_hcl_report, "something follows the runtime data");
    json::Value value = EOS_TRY(json::parse(text, {.size_bytes = kMaxHclReportBytes, .depth = 6}));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    HclReport out{.hardware = runtime.hardware,
                  .hardware_report = to_array<snp_arch::kReportBytes>(hardware),
                  .runtime_data = to_bytes(text),
                  .attestation_key = EOS_TRY(read_attestation_key(root)),
                  .user_data = {}};
    if (root.find("user-data") != nullptr) {
        out.user_data = EOS_TRY(array_from_hex<64>(EOS_TRY(root.text("user-data", 128))));
    }
    return out;
}

Result<TpmAttest> parse_tpm_attest(ByteView in) {
    if (in.size() > kMaxTpmAttestBytes) return fail(bad_tpm_quote, "it is too large");
    Reader reader(in);
    Result<TpmAttest> out = read_attest(reader);
    if (!out && out.error().code() != bad_tpm_quote) {
        return fail(bad_tpm_quote, out.error().message());
    }
    return out;
}

Result<AzureVtpmEvidence> parse_azure_vtpm(ByteView in) {
    json::Value value = EOS_TRY(parse_json(in));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    if (root.find("version") == nullptr) return parse_unversioned(root);
    const std::uint64_t version = EOS_TRY(root.number("version", 0xffff));
    if (version != 1 && version != 2) return fail(bad_vtpm_evidence, "version");
    const Bytes hcl = EOS_TRY(bytes_member(root, "hcl_report", from_text<unpadded>));
    AzureVtpmEvidence out{.hcl = EOS_TRY(parse_hcl_report(hcl)),
                          .quote = EOS_TRY(read_quote_member(root, "tpm_quote", kHexQuote)),
                          .certificates = {},
                          .td_quote = {}};
    if (out.hcl.hardware == HclHardware::snp_report) {
        out.certificates.push_back(EOS_TRY(bytes_member(root, "vcek", from_text<unpadded>)));
    } else {
        out.td_quote = trimmed(EOS_TRY(bytes_member(root, "td_quote", from_text<unpadded>)));
    }
    EOS_TRY(root.finish());
    return out;
}

Result<TpmQuote> parse_azure_tpm_quote(ByteView in) {
    json::Value value = EOS_TRY(parse_json(in));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const json::Value* message = EOS_TRY(object.require("message"));
    return read_quote(object, message->is_array() ? kNumbersQuote : kHexQuote);
}

Result<PlainTpmEvidence> parse_plain_tpm(ByteView in) {
    json::Value value = EOS_TRY(parse_json(in));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    const Bytes key = EOS_TRY(bytes_member(root, "ak_public", from_text<from_base64>));
    TpmQuote quote = EOS_TRY(read_quote_member(root, "tpm_quote", kBase64Quote));
    quote.signature = EOS_TRY(read_tpmt_signature(quote.signature));
    EOS_TRY(root.finish());
    return PlainTpmEvidence{EOS_TRY(x509::decode_rsa_spki(key)), std::move(quote)};
}

}  // namespace eos::attestation::evidence
