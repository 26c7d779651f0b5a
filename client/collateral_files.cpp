// SPDX-License-Identifier: AGPL-3.0-only
#include "client/collateral_files.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "common/attestation/endorsements/collateral_containers.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

namespace endorsements = attestation::endorsements;
using endorsements::Endorsements;
using endorsements::SignedObject;

constexpr std::size_t kMaxBytes = 4 * endorsements::kMaxCollateralBytes;
constexpr json::Limits kLimits{.size_bytes = kMaxBytes, .depth = 12};
constexpr std::size_t kMaxCertificates = 64;
constexpr std::size_t kMaxChain = 4;

/// Of the platform or of the making, and said again by what is signed, or not asked for.
constexpr auto kBeside = std::to_array<std::string_view>(
    {"fmspc", "pce_id", "pceId", "pceid", "ca", "tee_type", "teeType", "version", "major_version",
     "minor_version", "tcb_evaluation_data_number", "tcbEvaluationDataNumber", "timestamp", "qe_id",
     "pck_certificate_chain", "pck_certificate"});

/// Where the JSON value ends that begins at `at` of a well-formed text.
std::size_t value_end(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    bool in_string = false;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (in_string) {
            if (c == '\\') ++at;
            if (c == '"') in_string = false;
            if (c == '"' && depth == 0) return at + 1;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return at;
            if (--depth == 0) return at + 1;
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return text.size();
}

/// The text of one member of the object that the text is, byte by byte; empty if it is not there.
std::string_view member_text(std::string_view text, std::string_view name) {
    const std::string quoted = "\"" + std::string(name) + "\"";
    std::size_t at = text.find('{') + 1;
    while (at < text.size()) {
        at = text.find('"', at);
        if (at == text.npos) return {};
        const std::size_t name_end = value_end(text, at);
        const bool is_it = text.substr(at, name_end - at) == quoted;
        at = text.find(':', name_end);
        if (at == text.npos) return {};
        at = text.find_first_not_of(" \t\r\n", at + 1);
        if (at == text.npos) return {};
        const std::size_t end = value_end(text, at);
        if (is_it) return text.substr(at, end - at);
        at = end;
    }
    return {};
}

/// The same of a member that is an object, as the parser found it.
/// errors:  bad_collateral (it was found by its place, and is not what the parser found by name).
Result<Bytes> object_text(std::string_view text, std::string_view name, const json::Value& value) {
    const std::string_view found = member_text(text, name);
    const Result<json::Value> again = json::parse(as_bytes(found), kLimits);
    if (again && again->is_object() && *again == value) return to_bytes(found);
    return fail(bad_collateral, std::string(name));
}

bool is_byte_list(const json::Value& value) {
    return value.is_array() && !value.empty() && value.front().is_number();
}

bool is_missing(const json::Value* value) {
    return value == nullptr || value->is_null() || *value == "";
}

Result<Bytes> byte_list(const json::Value& list, const std::string& place) {
    if (list.size() > endorsements::kMaxCollateralBytes) return fail(json::out_of_range, place);
    Bytes out;
    out.reserve(list.size());
    for (const json::Value& one : list)
        out.push_back(static_cast<std::byte>(EOS_TRY(json::as_number(one, place, 0xff))));
    return out;
}

/// A text, or bytes in its place.
Result<Bytes> content(const json::Value& value, const std::string& place) {
    if (is_byte_list(value)) return byte_list(value, place);
    return to_bytes(EOS_TRY(json::as_text(value, place, kMaxBytes)));
}

/// 64 bytes of r ‖ s, however they are written.
Result<ByteArray<64>> signature_of(const json::Value& value, const std::string& place) {
    Bytes bytes = EOS_TRY(content(value, place));
    if (value.is_string()) {
        std::string text(endorsements::without_hex_mark(as_chars(bytes)));
        Result<Bytes> decoded = from_hex(text);
        if (!decoded) decoded = from_base64(text);
        while (text.ends_with('=')) text.pop_back();
        if (!decoded) decoded = from_base64url(text);
        if (!decoded) return fail(std::move(decoded).error().within(place));
        bytes = *std::move(decoded);
    }
    if (bytes.size() == 64) return to_array<64>(bytes);
    Result<ByteArray<64>> raw = crypto::der_signature_to_raw(bytes);
    if (!raw) return fail(std::move(raw).error().within(place));
    return raw;
}

/// PEM, leaf first: a text, a list of such, or bytes.
Result<std::string> chain_of(const json::Value& value, const std::string& place) {
    std::string out;
    if (value.is_array() && !is_byte_list(value)) {
        if (value.size() > kMaxChain) return fail(json::out_of_range, place);
        for (const json::Value& one : value) {
            out += EOS_TRY(json::as_text(one, place, kMaxBytes));
            if (!out.ends_with('\n')) out += '\n';
        }
    } else {
        out = to_string(EOS_TRY(content(value, place)));
    }
    return leaf_first(EOS_TRY(endorsements::parse_chain_text(std::move(out))));
}

/// The list where its issuer says: a root's, a CA's below it, or of AMD's.
Result<Endorsements> place_crl(Bytes der) {
    const x509::Crl crl = EOS_TRY(x509::Crl::parse(der));
    const std::string issuer = crl.issuer().display();
    const auto is_of = [&](std::string_view name) { return issuer.find(name) != issuer.npos; };
    Endorsements out;
    std::optional<Bytes>& place = is_of("ARK-")      ? out.amd.ark_crl
                                  : is_of("SEV-")    ? out.amd.ask_crl
                                  : is_of("Root CA") ? out.root_ca_crl
                                                     : out.pck_crl;
    place = std::move(der);
    return out;
}

std::string_view statement_of(const json::Value& value) {
    for (std::string_view name : {"tcbInfo", "enclaveIdentity"}) {
        if (value.is_object() && value.contains(name)) return name;
    }
    return {};
}

/// An answer by its parts: {"tcbInfo": {…}, "signature": …}.
struct Answer {
    SignedObject signed_object;
    bool is_identity = false;
};

Result<Answer> split_answer(std::string_view text, const json::Value& value) {
    const std::string_view name = statement_of(value);
    const auto signature = value.find("signature");
    if (name.empty() || signature == value.end()) return fail(bad_collateral, "no signed answer");
    Answer out;
    out.is_identity = name == "enclaveIdentity";
    out.signed_object.signature = EOS_TRY(signature_of(*signature, "signature"));
    out.signed_object.body = EOS_TRY(object_text(text, name, *value.find(name)));
    return out;
}

/// A statement under this name: its text, an object, bytes, or a whole answer in one of these.
Result<std::optional<SignedObject>> signed_member(json::Object& object, std::string_view text,
                                                  const std::string& name) {
    const json::Value* body = object.find(name);
    const json::Value* signature = object.find(name + "_signature");
    const json::Value* chain = object.find(name + "_issuer_chain");
    if (is_missing(body)) return std::optional<SignedObject>();
    SignedObject out;
    out.body = body->is_object() ? EOS_TRY(object_text(text, name, *body))
                                 : EOS_TRY(content(*body, object.path(name)));
    const Result<json::Value> inner = json::parse(out.body, kLimits);
    if (inner && !statement_of(*inner).empty()) {
        Answer answer = EOS_TRY(split_answer(as_chars(out.body), *inner));
        out = std::move(answer.signed_object);
    }
    if (!is_missing(signature)) {
        out.signature = EOS_TRY(signature_of(*signature, object.path(name + "_signature")));
    } else if (!inner || statement_of(*inner).empty()) {
        return fail(json::missing_member, object.path(name + "_signature"));
    }
    if (is_missing(chain)) chain = object.find("tcb_info_and_qe_identity_issuer_chain");
    if (is_missing(chain)) return fail(json::missing_member, object.path(name + "_issuer_chain"));
    out.issuer_chain_pem = EOS_TRY(chain_of(*chain, object.path(name + "_issuer_chain")));
    return std::optional(std::move(out));
}

Result<std::optional<Bytes>> crl_member(json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    if (is_missing(value)) return std::optional<Bytes>();
    const std::string place = object.path(name);
    Result<Bytes> der = endorsements::parse_crl_text(EOS_TRY(content(*value, place)));
    if (!der) return fail(std::move(der).error().within(place));
    return std::optional(*std::move(der));
}

Result<void> finish(json::Object& object) {
    for (std::string_view name : kBeside) object.find(name);
    return object.finish();
}

Result<Endorsements> read_object(json::Object& object, std::string_view text) {
    Endorsements out;
    out.root_ca_crl = EOS_TRY(crl_member(object, "root_ca_crl"));
    out.pck_crl = EOS_TRY(crl_member(object, "pck_crl"));
    out.tcb_info = EOS_TRY(signed_member(object, text, "tcb_info"));
    out.qe_identity = EOS_TRY(signed_member(object, text, "qe_identity"));
    out.amd.ark_crl = EOS_TRY(crl_member(object, "amd_ark_crl"));
    out.amd.ask_crl = EOS_TRY(crl_member(object, "amd_ask_crl"));
    if (const json::Value* chain = object.find("amd_certificates"); !is_missing(chain)) {
        out.amd.certificates.push_back(EOS_TRY(content(*chain, object.path("amd_certificates"))));
    }
    if (const json::Value* chain = object.find("pck_crl_issuer_chain"); !is_missing(chain)) {
        out.pck_crl_issuer_chain_pem =
            EOS_TRY(chain_of(*chain, object.path("pck_crl_issuer_chain")));
    }
    object.find("tcb_info_and_qe_identity_issuer_chain");
    EOS_TRY(finish(object));
    return out;
}

/// {"crl": …} with the chain of its issuer, or without.
Result<Endorsements> read_crl_object(json::Object& object) {
    std::optional<Bytes> der = EOS_TRY(crl_member(object, "crl"));
    if (!der) return fail(json::missing_member, object.path("crl"));
    Endorsements out = EOS_TRY(place_crl(*std::move(der)));
    for (const char* name : {"ca_chain", "issuer_chain"}) {
        const json::Value* chain = object.find(name);
        if (is_missing(chain)) continue;
        std::string pem = EOS_TRY(chain_of(*chain, object.path(name)));
        if (out.pck_crl) out.pck_crl_issuer_chain_pem = std::move(pem);
    }
    EOS_TRY(finish(object));
    return out;
}

/// {"raw_tcb_info" or another name of it, "signature", "ca_chain"}.
Result<Endorsements> read_statement(json::Object& object, std::string_view text,
                                    std::string_view name) {
    const json::Value* value = EOS_TRY(object.require(name));
    SignedObject out;
    out.body = value->is_object() ? EOS_TRY(object_text(text, name, *value))
                                  : EOS_TRY(content(*value, object.path(name)));
    const json::Value* signature = EOS_TRY(object.require("signature"));
    out.signature = EOS_TRY(signature_of(*signature, object.path("signature")));
    for (const char* chain_name : {"ca_chain", "issuer_chain", "tcb_info_issuer_chain",
                                   "tcbInfoIssuerChain", "enclaveIdentityIssuerChain"}) {
        const json::Value* chain = object.find(chain_name);
        if (is_missing(chain)) continue;
        out.issuer_chain_pem = EOS_TRY(chain_of(*chain, object.path(chain_name)));
    }
    if (out.issuer_chain_pem.empty()) return fail(json::missing_member, object.path("ca_chain"));
    EOS_TRY(finish(object));
    Endorsements all;
    const bool is_identity = name.find("dentity") != name.npos;
    (is_identity ? all.qe_identity : all.tcb_info) = std::move(out);
    return all;
}

/// The certificate of an element of a list of PCK certificates: itself, or its "cert"; absent where
/// Intel has none ("Not available").
Result<std::optional<std::string>> pck_pem(const json::Value& value, const std::string& place) {
    const json::Value* text = &value;
    if (value.is_object()) {
        const auto cert = value.find("cert");
        if (cert == value.end()) return fail(json::missing_member, place + ".cert");
        text = &*cert;
    }
    std::string pem = EOS_TRY(json::as_text(*text, place, kMaxBytes));
    if (pem.starts_with("Not available")) return std::optional<std::string>();
    return std::optional(EOS_TRY(endorsements::parse_chain_text(std::move(pem))));
}

Result<Endorsements> read_pck_certificates(json::Object& object, std::string_view name) {
    const json::Value* list = EOS_TRY(object.require(name));
    const json::Value single = json::Value::array({*list});
    if (!list->is_array()) list = &single;
    if (list->size() > kMaxCertificates) return fail(json::out_of_range, object.path(name));
    const json::Value* chain = EOS_TRY(object.require("ca_chain"));
    const std::string above = EOS_TRY(chain_of(*chain, object.path("ca_chain")));
    Endorsements out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        const std::string place = json::element_path(name, i);
        const std::optional<std::string> pem = EOS_TRY(pck_pem((*list)[i], place));
        if (!pem) continue;
        const auto parsed = EOS_TRY(x509::parse_pem_certificates(*pem));
        const ByteView der = parsed.front().der();
        out.pieces.push_back({.kind = endorsements::PieceKind::intel_pck,
                              .key = hex(crypto::sha256(der)),
                              .content = to_bytes(der),
                              .issuer_chain_pem = above});
    }
    EOS_TRY(finish(object));
    return out;
}

Result<Endorsements> read_json(ByteView file) {
    const json::Value root = EOS_TRY(json::parse(file, kLimits));
    const std::string_view text = as_chars(file);
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    if (const json::Value* inner = object.find("collateral"); !is_missing(inner)) {
        return read_collateral(EOS_TRY(object_text(text, "collateral", *inner)));
    }
    for (const char* name : {"pck_data", "pck_certs", "pcks", "cert", "pck_cert"}) {
        if (root.contains(name)) return read_pck_certificates(object, name);
    }
    if (root.contains("crl")) return read_crl_object(object);
    for (const char* name : {"raw_tcb_info", "raw_enclave_identity", "raw_qe_identity", "tcbInfo",
                             "enclaveIdentity"}) {
        if (root.contains(name)) return read_statement(object, text, name);
    }
    return read_object(object, text);
}

void turn_round(std::optional<SignedObject>& statement) {
    if (statement) statement->issuer_chain_pem = leaf_first(std::move(statement->issuer_chain_pem));
}

/// What is there already wins.
template <typename T>
void complete(std::optional<T>& own, std::optional<T>& more) {
    if (!own) own = std::move(more);
}

void merge(Endorsements& all, Endorsements more) {
    if (!all.pck_crl) all.pck_crl_issuer_chain_pem = std::move(more.pck_crl_issuer_chain_pem);
    complete(all.root_ca_crl, more.root_ca_crl);
    complete(all.pck_crl, more.pck_crl);
    complete(all.tcb_info, more.tcb_info);
    complete(all.qe_identity, more.qe_identity);
    complete(all.amd.ark_crl, more.amd.ark_crl);
    complete(all.amd.ask_crl, more.amd.ask_crl);
    std::ranges::move(more.amd.certificates, std::back_inserter(all.amd.certificates));
    std::ranges::move(more.pieces, std::back_inserter(all.pieces));
}

bool is_text_of_certificates(ByteView file) {
    return as_chars(file).starts_with("-----BEGIN") &&
           x509::parse_pem_certificates(as_chars(file)).has_value();
}

}  // namespace

std::string leaf_first(std::string pem) {
    const auto parsed = x509::parse_pem_certificates(pem);
    if (!parsed || parsed->size() < 2 || !parsed->front().is_self_issued() ||
        parsed->back().is_self_issued()) {
        return pem;
    }
    std::string out;
    for (auto it = parsed->rbegin(); it != parsed->rend(); ++it)
        out += x509::encode_pem("CERTIFICATE", it->der());
    return out;
}

Result<Endorsements> read_crl(ByteView file) {
    return place_crl(EOS_TRY(endorsements::parse_crl_text(file)));
}

Result<Endorsements> read_collateral(ByteView file) {
    Result<Endorsements> out = endorsements::parse_endorsements(file);
    if (out) {
        turn_round(out->tcb_info);
        turn_round(out->qe_identity);
        out->pck_crl_issuer_chain_pem = leaf_first(std::move(out->pck_crl_issuer_chain_pem));
        return out;
    }
    if (Result<Endorsements> list = read_crl(file)) return list;
    const Result<json::Value> root = json::parse(file, kLimits);
    if (!root || !root->is_object() || root->contains("format")) return out;  // a bundle has that
    Result<Endorsements> more = read_json(file);
    // Of an answer alone, the first refusal says what it lacks and how to give it.
    const bool first_says_more = out.error().code() == endorsements::bad_container;
    return !more && first_says_more ? std::move(out) : std::move(more);
}

Result<Bytes> plain_answer(ByteView file) {
    const json::Value root = EOS_TRY(json::parse(file, kLimits));
    const Answer answer = EOS_TRY(split_answer(as_chars(file), root));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    const std::string name(statement_of(root));
    object.find(name);
    object.find("signature");
    EOS_TRY(finish(object));
    return to_bytes("{\"" + name + "\":" + to_string(answer.signed_object.body) +
                    ",\"signature\":\"" + hex(answer.signed_object.signature) + "\"}");
}

Result<void> CollateralSet::add(ByteView file) {
    if (Result<Bytes> answer = plain_answer(file)) {
        answers_.push_back(*std::move(answer));
        return {};
    }
    Result<Endorsements> more = read_collateral(file);
    if (more) {
        merge(all_, *std::move(more));
    } else if (is_text_of_certificates(file)) {
        chains_.push_back(leaf_first(to_string(file)));
    } else {
        return fail(std::move(more).error());
    }
    return {};
}

Result<Endorsements> CollateralSet::finish() {
    for (const Bytes& answer : answers_) {
        if (chains_.empty()) return read_collateral(answer);
        const bool is_identity = as_chars(answer).starts_with("{\"enclaveIdentity\"");
        Endorsements more;
        (is_identity ? more.qe_identity : more.tcb_info) =
            EOS_TRY(endorsements::parse_signed_answer(answer, chains_.front()));
        merge(all_, std::move(more));
    }
    answers_.clear();
    return std::move(all_);
}

}  // namespace eos::client
