// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/collateral_containers.h"

#include <algorithm>
#include <array>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"
#include "common/x509/pem.h"

namespace eos::attestation::endorsements {
namespace {

constexpr json::Limits kLimits{.size_bytes = kMaxCollateralBytes, .depth = 10};
constexpr std::array<std::string_view, 2> kStatementMembers{"tcbInfo", "enclaveIdentity"};

/// The end of the JSON object that begins at text[0], which is known to be well-formed.
std::size_t object_end(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{') {
            ++depth;
        } else if (c == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return text.size();
}

/// The bytes of the object that stands under `member`, which has the value `inner`.
Result<Bytes> object_bytes(std::string_view text, std::string_view member,
                           const json::Value& inner) {
    const std::string quoted = "\"" + std::string(member) + "\"";
    const std::size_t name = text.find(quoted);
    const std::size_t begin = name == text.npos ? name : text.find('{', name + quoted.size());
    if (!inner.is_object() || begin == text.npos) return fail(bad_container, std::string(member));
    text.remove_prefix(begin);
    text = text.substr(0, object_end(text));
    // It was found by its place: it must be what the parser found by its name.
    Result<json::Value> again = json::parse(as_bytes(text), kLimits);
    if (!again.has_value() || *again != inner) return fail(bad_container, std::string(member));
    return to_bytes(text);
}

ByteView without_nul(ByteView bytes) {
    if (!bytes.empty() && bytes.back() == std::byte{0}) return bytes.first(bytes.size() - 1);
    return bytes;
}

/// The size that the DER element at the front announces; 0 if it is not of the size of a list.
std::size_t der_size(ByteView bytes) {
    auto at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
    if (bytes.size() >= 3 && at(1) == 0x81) return 3 + at(2);
    if (bytes.size() >= 4 && at(1) == 0x82) return 4 + (at(2) << 8) + at(3);
    return 0;
}

/// One layer of what parse_crl_text() takes.
Result<Bytes> decode_crl(ByteView in) {
    constexpr std::byte kSequence{0x30};
    // Text of it begins with '3', 'M', '-' or "0x", and no list is as short as 'x' would say.
    if (!in.empty() && in[0] == kSequence && !as_chars(in).starts_with("0x")) {
        const bool has_nul = in.size() == der_size(in) + 1 && in.back() == std::byte{0};
        return to_bytes(has_nul ? without_nul(in) : in);
    }
    std::string text = to_string(without_nul(in));
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    if (text.starts_with("-----BEGIN")) {
        std::vector<x509::PemBlock> blocks =
            EOS_TRY(x509::parse_pem(text, {.label = "X509 CRL", .max_blocks = 1}));
        return std::move(blocks.front().der);
    }
    if (text.starts_with('M')) return from_base64(text);
    Bytes der = EOS_TRY(from_hex(without_hex_mark(text)));
    if (der.empty()) return fail(bad_encoding, "an empty revocation list");
    return der;
}

/// What both containers have, each in an order of its own.
struct Parts {
    ByteView root_ca_crl;
    ByteView pck_crl;
    ByteView pck_crl_issuer_chain;
    ByteView tcb_info;
    ByteView tcb_info_issuer_chain;
    ByteView qe_identity;
    ByteView qe_identity_issuer_chain;
};

Result<Endorsements> endorsements_of(const Parts& parts) {
    auto text = [](ByteView bytes) { return to_string(without_nul(bytes)); };
    Endorsements out;
    out.root_ca_crl = EOS_TRY(parse_crl_text(parts.root_ca_crl));
    out.pck_crl = EOS_TRY(parse_crl_text(parts.pck_crl));
    out.pck_crl_issuer_chain_pem = text(parts.pck_crl_issuer_chain);
    out.tcb_info = EOS_TRY(
        parse_signed_answer(without_nul(parts.tcb_info), text(parts.tcb_info_issuer_chain)));
    out.qe_identity = EOS_TRY(
        parse_signed_answer(without_nul(parts.qe_identity), text(parts.qe_identity_issuer_chain)));
    return out;
}

// --- statement files ---

constexpr std::size_t kMaxSignatureBytes = 80;
constexpr std::size_t kMaxChainCertificates = 4;
constexpr std::size_t kMaxCertificateChars = 8 * 1024;

Result<Bytes> byte_list(json::Object& object, std::string_view name) {
    const json::Value* list = EOS_TRY(object.array(name, kMaxSignatureBytes));
    if (list == nullptr) return fail(bad_container, std::string(name));
    Bytes out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const std::string place = json::element_path(name, i);
        out.push_back(static_cast<std::byte>(EOS_TRY(json::as_number((*list)[i], place, 0xff))));
    }
    return out;
}

// --- answers of the provisioning service ---

constexpr std::array<std::string_view, 4> kAnswerMembers{"tcb_info_json", "enclave_identity_json",
                                                         "crl_data", "crl_data_base64"};
constexpr std::size_t kMaxAnswerChainChars = 16 * 1024;

std::unexpected<Error> missing_chain(std::string_view member, std::string_view header) {
    return fail(bad_container, "the answer lacks its issuer chain, which is sent in the header " +
                                   std::string(header) + ": write {\"" + std::string(member) +
                                   "\": the answer as a string, \"issuer_chain\": that header}");
}

// --- Open Enclave ---

constexpr std::uint32_t kOeVersion = 1;
constexpr std::uint32_t kOeTypeSgx = 2;
constexpr std::size_t kOeElements = 9;
constexpr std::size_t kOeHeaderBytes = 16;

/// The elements lie one after the other: where each begins, the one before it ends.
Result<std::array<ByteView, kOeElements>> oe_elements(Reader& in) {
    std::array<std::size_t, kOeElements + 1> at{};
    for (std::size_t i = 0; i < kOeElements; ++i) at[i] = EOS_TRY(in.u32le());
    const ByteView data = in.rest();
    at[kOeElements] = data.size();
    if (at[0] != 0) return fail(bad_container, "bytes before the first element");
    std::array<ByteView, kOeElements> out;
    for (std::size_t i = 0; i < kOeElements; ++i) {
        if (at[i] > at[i + 1] || at[i + 1] > data.size()) {
            return fail(bad_container, "element " + std::to_string(i) + " is out of place");
        }
        out[i] = data.subspan(at[i], at[i + 1] - at[i]);
    }
    return out;
}

// --- the quote library's structure ---

constexpr std::size_t kQuoteLibraryBuffers = 7;
constexpr std::size_t kQuoteLibraryHeaderBytes = 8 + kQuoteLibraryBuffers * 16;

bool is_quote_library_version(std::uint32_t version) {
    return version == 1 || version == 3 || version == 4 || version == 0x00010003;  // 3.1
}

}  // namespace

Result<SignedObject> parse_signed_answer(ByteView answer, std::string issuer_chain_pem) {
    json::Value root = EOS_TRY(json::parse(answer, kLimits));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    const json::Value* inner = nullptr;
    std::string_view member;
    for (std::string_view name : kStatementMembers) {
        const json::Value* found = object.find(name);
        if (found == nullptr) continue;
        if (inner != nullptr) return fail(bad_container, "two statements in one answer");
        inner = found;
        member = name;
    }
    if (inner == nullptr) return fail(bad_container, "neither tcbInfo nor enclaveIdentity");
    const std::string signature = EOS_TRY(object.text("signature", 128));
    EOS_TRY(object.finish());
    SignedObject out;
    out.signature = EOS_TRY(array_from_hex<64>(signature));
    out.body = EOS_TRY(object_bytes(as_chars(answer), member, *inner));
    out.issuer_chain_pem = std::move(issuer_chain_pem);
    return out;
}

Result<Bytes> parse_crl_text(ByteView in) {
    Bytes once = EOS_TRY(decode_crl(in));
    // Some serialise the text of the list, or the list as a C string, as if it were DER.
    return decode_crl(once);
}

Result<std::string> parse_chain_text(std::string text) {
    if (!text.starts_with("-----BEGIN%20")) return text;
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        out += to_string(EOS_TRY(array_from_hex<1>(std::string_view(text).substr(i + 1, 2))));
        i += 2;
    }
    return out;
}

std::string_view without_hex_mark(std::string_view text) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    return text;
}

Result<Endorsements> parse_oe_endorsements(ByteView bytes) {
    if (bytes.size() > 4 * kMaxCollateralBytes) return fail(bad_container, "too large");
    Reader in(bytes);
    const std::uint32_t version = EOS_TRY(in.u32le());
    const std::uint32_t type = EOS_TRY(in.u32le());
    const std::uint32_t size = EOS_TRY(in.u32le());
    const std::uint32_t count = EOS_TRY(in.u32le());
    if (version != kOeVersion || type != kOeTypeSgx || count != kOeElements) {
        return fail(bad_container, "not version 1 for SGX with 9 elements");
    }
    if (size != bytes.size() - kOeHeaderBytes) return fail(bad_container, "its size is another");
    const auto elements = EOS_TRY(oe_elements(in));
    // Element 0 is the version of the list, 8 the time at which somebody fetched it.
    return endorsements_of({.root_ca_crl = elements[4],
                            .pck_crl = elements[3],
                            .pck_crl_issuer_chain = elements[5],
                            .tcb_info = elements[1],
                            .tcb_info_issuer_chain = elements[2],
                            .qe_identity = elements[6],
                            .qe_identity_issuer_chain = elements[7]});
}

Result<Endorsements> parse_quote_library_collateral(ByteView bytes) {
    if (bytes.size() > 4 * kMaxCollateralBytes) return fail(bad_container, "too large");
    Reader in(bytes);
    const std::uint32_t version = EOS_TRY(in.u32le());
    if (!is_quote_library_version(version)) {
        return fail(bad_container, "version " + std::to_string(version));
    }
    EOS_TRY(in.u32le());  // the kind of TEE, which the statements say themselves
    Reader header(EOS_TRY(in.bytes(kQuoteLibraryHeaderBytes - 8)));
    std::array<ByteView, kQuoteLibraryBuffers> buffers;
    for (ByteView& buffer : buffers) {
        EOS_TRY(header.u64le());  // a pointer
        const std::uint32_t size = EOS_TRY(header.u32le());
        EOS_TRY(header.u32le());  // padding
        buffer = EOS_TRY(in.bytes(size));
    }
    EOS_TRY(in.expect_end());
    return endorsements_of({.root_ca_crl = buffers[1],
                            .pck_crl = buffers[2],
                            .pck_crl_issuer_chain = buffers[0],
                            .tcb_info = buffers[4],
                            .tcb_info_issuer_chain = buffers[3],
                            .qe_identity = buffers[6],
                            .qe_identity_issuer_chain = buffers[5]});
}

bool is_statement_file(const json::Value& value) {
    return value.is_object() &&
           (value.contains("raw_tcb_info") || value.contains("raw_enclave_identity"));
}

Result<Endorsements> parse_statement_file(const json::Value& value) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const bool is_tcb_info = object.find("raw_tcb_info") != nullptr;
    SignedObject out;
    out.body = to_bytes(EOS_TRY(
        object.text(is_tcb_info ? "raw_tcb_info" : "raw_enclave_identity", kMaxCollateralBytes)));
    out.signature = EOS_TRY(crypto::der_signature_to_raw(EOS_TRY(byte_list(object, "signature"))));
    const json::Value* chain = EOS_TRY(object.array("ca_chain", kMaxChainCertificates));
    EOS_TRY(object.finish());
    if (chain == nullptr || chain->empty()) return fail(bad_container, "ca_chain");
    for (std::size_t i = 0; i < chain->size(); ++i) {
        const std::string place = json::element_path("ca_chain", i);
        out.issuer_chain_pem += EOS_TRY(json::as_text((*chain)[i], place, kMaxCertificateChars));
    }
    Endorsements all;
    (is_tcb_info ? all.tcb_info : all.qe_identity) = std::move(out);
    return all;
}

bool is_saved_answer(const json::Value& value) {
    if (!value.is_object()) return false;
    for (std::string_view name : kStatementMembers) {
        if (value.contains(name)) return true;
    }
    return std::ranges::any_of(kAnswerMembers,
                               [&](std::string_view name) { return value.contains(name); });
}

Result<Endorsements> parse_saved_answer(const json::Value& value) {
    if (value.contains(kStatementMembers[0])) {
        return missing_chain(kAnswerMembers[0], "TCB-Info-Issuer-Chain");
    }
    if (value.contains(kStatementMembers[1])) {
        return missing_chain(kAnswerMembers[1], "SGX-Enclave-Identity-Issuer-Chain");
    }
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const auto name = std::ranges::find_if(
        kAnswerMembers, [&](std::string_view one) { return object.find(one) != nullptr; });
    const std::string answer = EOS_TRY(object.text(*name, kMaxCollateralBytes));
    std::string chain =
        EOS_TRY(parse_chain_text(EOS_TRY(object.text("issuer_chain", kMaxAnswerChainChars))));
    EOS_TRY(object.finish());
    Endorsements out;
    if (*name == kAnswerMembers[0]) {
        out.tcb_info = EOS_TRY(parse_signed_answer(as_bytes(answer), std::move(chain)));
    } else if (*name == kAnswerMembers[1]) {
        out.qe_identity = EOS_TRY(parse_signed_answer(as_bytes(answer), std::move(chain)));
    } else {
        out.pck_crl = EOS_TRY(parse_crl_text(as_bytes(answer)));
        out.pck_crl_issuer_chain_pem = std::move(chain);
    }
    return out;
}

Container container_of(ByteView bytes) {
    Reader in(bytes);
    const std::uint32_t first = in.u32le().value_or(0);
    const std::uint32_t second = in.u32le().value_or(0xffffffff);
    if (first == kOeVersion && second == kOeTypeSgx) return Container::oe_endorsements;
    const bool is_tee = second == 0 || second == 0x81;
    if (is_quote_library_version(first) && is_tee) return Container::quote_library;
    return Container::none;
}

}  // namespace eos::attestation::endorsements
