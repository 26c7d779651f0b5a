// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/foreign_constellation.h"

#include <algorithm>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/json/json.h"
#include "common/oid/registry.h"

namespace eos::ratls {
namespace {

namespace evidence = attestation::evidence;
namespace verify = attestation::verify;
using Paravisor = ConstellationLeaf::Paravisor;
using Report = ConstellationLeaf::Report;
using verify::Check;
using verify::Subject;

constexpr Subject kNonce{"nonce", "docs/evidence.md, Constellation",
                         "give the 32 bytes that the certificate's receiver sent in the handshake; "
                         "if they are lost, connect anew with a nonce of your own"};
constexpr Subject kReportData{"report_data", "docs/evidence.md, Constellation",
                              "the evidence was made for another key or another nonce"};

Result<json::Value> parse_json(ByteView text) {
    return json::parse(text, {.size_bytes = kMaxForeignEvidenceBytes, .depth = 8});
}

Result<Bytes> bytes_member(json::Object& object, std::string_view name) {
    const std::string text = EOS_TRY(object.text(name, kMaxForeignEvidenceBytes));
    Result<Bytes> out = from_base64(text);
    if (!out) return fail(std::move(out).error().within(object.path(name)));
    return out;
}

/// TPMT_SIGNATURE: RSASSA (0x0014) with SHA-256 (0x000b), then a TPM2B.
/// source: TCG TPM 2.0 part 2, 11.3.4.
Result<Bytes> read_signature(ByteView in) {
    Reader reader(in);
    const std::uint32_t scheme_and_hash = EOS_TRY(reader.u32be());
    const std::uint16_t size = EOS_TRY(reader.u16be());
    if (scheme_and_hash != 0x0014000b || size != reader.remaining()) {
        return fail(bad_foreign_leaf, "the TPM's signature is not RSASSA with SHA-256");
    }
    return to_bytes(reader.rest());
}

/// One quote, with "quote", "raw_sig" and its bank of PCRs by their number, as parse_azure_vtpm()
/// wants it.
Result<json::Value> translate_quote(json::Object& quote, json::Object& bank) {
    const Bytes message = EOS_TRY(bytes_member(quote, "quote"));
    const Bytes signature = EOS_TRY(read_signature(EOS_TRY(bytes_member(quote, "raw_sig"))));
    const json::Value* values = EOS_TRY(bank.require("pcrs"));
    json::Object pcrs = EOS_TRY(json::Object::of(*values, bank.path("pcrs")));
    json::Value list = json::Value::array();
    for (unsigned i = 0; i < evidence::kPcrCount; ++i) {
        list.push_back(hex(EOS_TRY(bytes_member(pcrs, std::to_string(i)))));
    }
    EOS_TRY(pcrs.finish());
    EOS_TRY(bank.finish());
    EOS_TRY(quote.finish());
    return json::Value{
        {"message", hex(message)}, {"signature", hex(signature)}, {"pcrs", std::move(list)}};
}

/// The quote of bank SHA-256 among those of all banks. The rest of the attestation is not taken:
/// the key stands in the runtime data, and the event log is for people.
Result<json::Value> find_quote(const json::Value& attestation) {
    constexpr std::size_t kMaxBanks = 8;
    constexpr std::uint64_t kSha256 = 11;  // TPM_ALG_SHA256
    json::Object object = EOS_TRY(json::Object::of(attestation, "Attestation"));
    const json::Value* quotes = EOS_TRY(object.array("quotes", kMaxBanks));
    std::optional<json::Value> found;
    for (std::size_t i = 0; quotes != nullptr && i < quotes->size(); ++i) {
        json::Object quote =
            EOS_TRY(json::Object::of((*quotes)[i], json::element_path("quotes", i)));
        const json::Value* pcrs = EOS_TRY(quote.require("pcrs"));
        json::Object bank = EOS_TRY(json::Object::of(*pcrs, quote.path("pcrs")));
        if (EOS_TRY(bank.number("hash", 0xffff)) != kSha256) continue;
        if (found.has_value()) return fail(bad_foreign_leaf, "two quotes of bank SHA-256");
        found = EOS_TRY(translate_quote(quote, bank));
    }
    if (!found.has_value()) return fail(bad_foreign_leaf, "no quote of bank SHA-256");
    return *std::move(found);
}

/// Azure's HCL report, put together again from the pieces that the document has of it.
Result<Bytes> rebuild_hcl(evidence::HclHardware hardware, ByteView report, ByteView runtime_data) {
    constexpr std::uint32_t kHeaderBytes = 32;
    constexpr std::uint32_t kRuntimeHeaderBytes = 20;
    if (report.size() != snp_arch::kReportBytes ||
        runtime_data.size() > evidence::kMaxHclReportBytes) {
        return fail(bad_foreign_leaf, "the size of the hardware's report or of the runtime data");
    }
    const auto size = static_cast<std::uint32_t>(runtime_data.size());
    Writer out;
    out.text("HCLA").u32le(2);
    out.u32le(kHeaderBytes + snp_arch::kReportBytes + kRuntimeHeaderBytes + size).u32le(2);
    out.zeros(16).bytes(report).u32le(kRuntimeHeaderBytes + size).u32le(1);
    out.u32le(static_cast<std::uint32_t>(hardware)).u32le(1).u32le(size).bytes(runtime_data);
    return std::move(out).take();
}

/// InstanceInfo of Azure's TDX: {"AttestationReport", "RuntimeData"}, the former a quote. The TD
/// report is not there: in its place stands the report data that the quote must have.
Result<void> translate_azure_tdx(json::Object& info, json::Value& out) {
    const Bytes runtime_data = EOS_TRY(bytes_member(info, "RuntimeData"));
    Writer report;
    report.zeros(128).bytes(crypto::sha256(runtime_data));
    report.zeros(snp_arch::kReportBytes - report.size());
    out["hcl_report"] = base64url(
        EOS_TRY(rebuild_hcl(evidence::HclHardware::td_report, report.view(), runtime_data)));
    out["td_quote"] = base64url(EOS_TRY(bytes_member(info, "AttestationReport")));
    return info.finish();
}

/// What the InstanceInfo of SNP has for people and for other verifiers.
Result<void> finish_snp(json::Object& info) {
    for (std::string_view name : {"CertChain", "Azure", "GCP"}) info.find(name);
    return info.finish();
}

/// InstanceInfo of Azure's SNP: {"AttestationReport", "ReportSigner", "Azure": {"RuntimeData"}}.
Result<void> translate_azure_snp(json::Object& info, json::Value& out) {
    const Bytes report = EOS_TRY(bytes_member(info, "AttestationReport"));
    const json::Value* value = EOS_TRY(info.require("Azure"));
    json::Object azure = EOS_TRY(json::Object::of(*value, "Azure"));
    const Bytes runtime_data = EOS_TRY(bytes_member(azure, "RuntimeData"));
    azure.find("MAAToken");
    EOS_TRY(azure.finish());
    out["hcl_report"] =
        base64url(EOS_TRY(rebuild_hcl(evidence::HclHardware::snp_report, report, runtime_data)));
    out["vcek"] = base64url(EOS_TRY(bytes_member(info, "ReportSigner")));
    return finish_snp(info);
}

/// {"Attestation", "InstanceInfo", "UserData"}: with a TPM.
Result<void> read_tpm_document(json::Object& document, ConstellationLeaf& out) {
    const json::Value* attestation = EOS_TRY(document.require("Attestation"));
    Bytes text = EOS_TRY(bytes_member(document, "InstanceInfo"));
    const json::Value value = EOS_TRY(parse_json(text));
    json::Object info = EOS_TRY(json::Object::of(value, "InstanceInfo"));
    if (out.variant == oid::kConstellationGcpSnp) {
        out.evidence = Report{EOS_TRY(bytes_member(info, "AttestationReport")),
                              {EOS_TRY(bytes_member(info, "ReportSigner"))}};
        return finish_snp(info);
    }
    json::Value azure{{"version", 1}, {"tpm_quote", EOS_TRY(find_quote(*attestation))}};
    const bool is_tdx = out.variant == oid::kConstellationAzureTdx;
    EOS_TRY(is_tdx ? translate_azure_tdx(info, azure) : translate_azure_snp(info, azure));
    out.evidence = Paravisor{EOS_TRY(evidence::parse_azure_vtpm(as_bytes(json::compact(azure)))),
                             std::move(text)};
    return {};
}

Result<ConstellationLeaf> read_document(const x509::ExtensionView& extension, ByteView spki) {
    const json::Value value = EOS_TRY(parse_json(extension.value));
    json::Object document = EOS_TRY(json::Object::of(value, ""));
    ConstellationLeaf out{.variant = extension.oid, .evidence = {}, .key_hash = {}};
    out.key_hash = crypto::sha256(spki);
    if (!equal(EOS_TRY(bytes_member(document, "UserData")), out.key_hash)) {
        return fail(bad_foreign_leaf, "the document names another key");
    }
    if (out.variant == oid::kConstellationQemuTdx) {
        out.evidence = Report{EOS_TRY(bytes_member(document, "RawQuote")), {}};
    } else {
        EOS_TRY(read_tpm_document(document, out));
    }
    EOS_TRY(document.finish());
    return out;
}

/// Within one of the five families: not everything below the arc, where other projects are, too.
bool is_constellation(const oid::Oid& oid) {
    constexpr std::uint32_t kFamilies = 5;
    for (std::uint32_t i = 1; i <= kFamilies; ++i) {
        if (oid.is_below(oid::kConstellationArc.child(i))) return true;
    }
    return false;
}

constexpr std::array kRead{oid::kConstellationQemuTdx, oid::kConstellationGcpSnp,
                           oid::kConstellationAzureSnp, oid::kConstellationAzureTdx};

/// Quote or report → key and nonce.
Check report_data_check(const ConstellationLeaf& leaf, const verify::Verification& hardware,
                        const crypto::Digest32& bound) {
    if (hardware.evidence() == nullptr) return not_evaluated(kReportData, "not genuine evidence");
    const verify::TeeClaims& claims = hardware.evidence()->claims();
    const bool is_tdx = std::holds_alternative<verify::TdxClaims>(claims);
    const bool is_snp = std::holds_alternative<verify::SnpClaims>(claims);
    if (leaf.variant == oid::kConstellationQemuTdx ? !is_tdx : !is_snp) {
        return failed(kReportData, {oid::describe(leaf.variant), "evidence of another TEE"});
    }
    ByteArray<64> expected{};
    std::ranges::copy(bound, expected.begin());
    const ByteArray<64>& found = std::visit(
        [](const auto& tee) -> const ByteArray<64>& { return tee.report.report_data; }, claims);
    if (found == expected) return passed(kReportData, oid::describe(leaf.variant));
    return failed(kReportData, {hex(expected), hex(found)});
}

Check nonce_check(const std::optional<ConstellationNonce>& nonce) {
    if (!nonce) return failed(kNonce, {"the nonce that the certificate was made for", "none"});
    return passed(kNonce, "fresh for whoever chose it at random for this; else of unknown age");
}

}  // namespace

Result<ConstellationLeaf> read_constellation_leaf(const x509::Certificate& certificate) {
    const x509::ExtensionView* found = nullptr;
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        if (!is_constellation(extension.oid)) continue;
        if (found != nullptr) return fail(bad_foreign_leaf, "two extensions with evidence");
        found = &extension;
    }
    if (found == nullptr) return fail(no_foreign_evidence);
    const Result<ForeignLeaf> other = read_foreign_leaf(certificate);
    if (other || other.error().code() != no_foreign_evidence) {
        return fail(bad_foreign_leaf, "two extensions with evidence");
    }
    if (std::ranges::find(kRead, found->oid) == kRead.end()) {
        const oid::Row* row = oid::find(found->oid);
        const std::string why = row != nullptr ? std::string(row->meaning) : "not known";
        return fail(refused_variant, oid::describe(found->oid) + ": " + why);
    }
    if (found->value.size() > kMaxForeignEvidenceBytes) {
        return fail(bad_foreign_leaf, "the evidence is too large");
    }
    Result<ConstellationLeaf> leaf = read_document(*found, certificate.spki());
    if (!leaf && leaf.error().code() != bad_foreign_leaf) {
        return fail(bad_foreign_leaf, leaf.error().message());
    }
    return leaf;
}

verify::VtpmVerification verify_constellation_leaf(
    const ConstellationLeaf& leaf, const attestation::endorsements::Endorsements& endorsements,
    const verify::Roots& roots, const std::optional<ConstellationNonce>& nonce, UnixTime time) {
    std::optional<crypto::Digest32> bound;
    if (nonce) bound = crypto::sha256({leaf.key_hash, *nonce});
    verify::VtpmVerification out;
    if (const auto* azure = std::get_if<Paravisor>(&leaf.evidence)) {
        verify::TpmDemands demands;
        if (bound) demands.nonce = to_bytes(crypto::sha256({azure->instance_info, *bound}));
        out = verify_azure_vtpm(azure->evidence, endorsements, roots, demands, time);
    } else {
        const auto& report = std::get<Report>(leaf.evidence);
        attestation::endorsements::Endorsements all = endorsements;
        for (const Bytes& one : report.certificates) all.amd.certificates.push_back(one);
        out.hardware = verify_quote(report.evidence, all, roots, time);
        Check hardware = out.hardware->tree();
        hardware.id = "hardware";
        out.tree.children.push_back(std::move(hardware));
        out.tree.children.push_back(
            bound ? report_data_check(leaf, *out.hardware, *bound)
                  : not_evaluated(kReportData, "it cannot be worked out without the nonce"));
    }
    std::vector<Check> checks = std::move(out.tree.children);
    checks.insert(checks.begin(), nonce_check(nonce));
    out.tree = group("evidence", std::move(checks));
    out.is_genuine = out.hardware->evidence() != nullptr && summarise(out.tree).failed.empty();
    return out;
}

}  // namespace eos::ratls
