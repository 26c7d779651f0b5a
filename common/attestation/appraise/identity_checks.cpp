// SPDX-License-Identifier: AGPL-3.0-only
// Which program the evidence is about, against the pins of the policy.
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using verify::Check;
using verify::SgxClaims;
using verify::SnpClaims;
using verify::Subject;
using verify::TdxClaims;
using verify::TeeClaims;

std::string describe(const MrEnclavePin& pin) {
    return "mr_enclave " + hex(pin.mr_enclave);
}
std::string describe(const MrSignerPin& pin) {
    return "mr_signer " + hex(pin.mr_signer) + " with isv_prod_id " +
           std::to_string(pin.isv_prod_id) + " and isv_svn at least " +
           std::to_string(pin.min_isv_svn);
}

/// The registers of a TD pin with their names; absent ones are not pinned.
struct Register {
    std::string name;
    const std::optional<TdPin::Measurement>& pinned;
    const TdPin::Measurement& found;
};
std::vector<Register> registers(const TdPin& pin, const evidence::TdReport& td) {
    std::vector<Register> out;
    for (std::size_t i = 0; i < pin.rtmr.size(); ++i)
        out.push_back({"rtmr" + std::to_string(i), pin.rtmr[i], td.rtmr[i]});
    out.push_back({"mr_config_id", pin.mr_config_id, td.mr_config_id});
    out.push_back({"mr_owner", pin.mr_owner, td.mr_owner});
    out.push_back({"mr_owner_config", pin.mr_owner_config, td.mr_owner_config});
    return out;
}

std::string describe(const TdPin& pin) {
    std::string out = "mr_td " + hex(pin.mr_td);
    for (const Register& reg : registers(pin, {}))
        if (reg.pinned.has_value()) out += ", " + reg.name + " " + hex(*reg.pinned);
    if (pin.scope == TdScope::firmware_only) out += ", with ANY kernel, as the policy says";
    return out;
}

/// The fields of an SNP pin with their names; absent ones are not pinned.
struct Field {
    std::string_view name;
    std::optional<ByteView> pinned;
    ByteView found;
};
std::vector<Field> fields(const SnpPin& pin, const snp_arch::Report& report) {
    std::vector<Field> out;
    auto add = [&out](std::string_view name, const auto& pinned, ByteView found) {
        out.push_back({name, pinned ? std::optional<ByteView>(*pinned) : std::nullopt, found});
    };
    add("measurement", pin.measurement, report.measurement);
    add("id_key_digest", pin.id_key_digest, report.id_key_digest);
    add("author_key_digest", pin.author_key_digest, report.author_key_digest);
    add("family_id", pin.family_id, report.family_id);
    add("image_id", pin.image_id, report.image_id);
    add("host_data", pin.host_data, report.host_data);
    return out;
}

std::string describe(const SnpPin& pin) {
    std::string out;
    const snp_arch::Report none;
    for (const Field& field : fields(pin, none)) {
        if (!field.pinned.has_value()) continue;
        out.append(out.empty() ? "" : ", ").append(field.name).append(" ");
        out.append(hex(*field.pinned));
    }
    if (pin.min_guest_svn != 0) {
        out += ", guest_svn at least " + std::to_string(pin.min_guest_svn);
    }
    return out;
}

bool matches(const MrEnclavePin& pin, const SgxClaims& claims) {
    return pin.mr_enclave == claims.report.mr_enclave;
}
bool matches(const MrSignerPin& pin, const SgxClaims& claims) {
    const sgx_arch::ReportBody& report = claims.report;
    return pin.mr_signer == report.mr_signer && pin.isv_prod_id == report.isv_prod_id &&
           report.isv_svn >= pin.min_isv_svn;
}
bool matches(const TdPin& pin, const TdxClaims& claims) {
    // A pin that was made in code and forgot the kernel names nothing.
    bool names_kernel = pin.rtmr[1].has_value() && pin.rtmr[2].has_value();
    if (pin.scope == TdScope::whole_system && !names_kernel) return false;
    return pin.mr_td == claims.report.mr_td &&
           std::ranges::all_of(registers(pin, claims.report), [](const Register& reg) {
               return !reg.pinned.has_value() || *reg.pinned == reg.found;
           });
}
bool matches(const SnpPin& pin, const SnpClaims& claims) {
    const snp_arch::Report& report = claims.report;
    // The firmware leaves the field alone if no author key was given.
    if (pin.author_key_digest.has_value() && !report.author_key_enabled) return false;
    return pin.names_guest() && report.guest_svn >= pin.min_guest_svn &&
           std::ranges::all_of(fields(pin, report), [](const Field& field) {
               return !field.pinned.has_value() || equal(*field.pinned, field.found);
           });
}
/// Pins of one kind of TEE never name evidence of another.
template <typename Pin, typename Claims>
bool matches(const Pin&, const Claims&) {
    return false;
}

bool matches(const IdentityPin& pin, const TeeClaims& claims) {
    return std::visit([](const auto& p, const auto& c) { return matches(p, c); }, pin.identity,
                      claims);
}

std::string describe_claims(const SgxClaims& claims) {
    const sgx_arch::ReportBody& report = claims.report;
    return "mr_enclave " + hex(report.mr_enclave) + ", mr_signer " + hex(report.mr_signer) +
           ", isv_prod_id " + std::to_string(report.isv_prod_id) + ", isv_svn " +
           std::to_string(report.isv_svn);
}
std::string describe_claims(const TdxClaims& claims) {
    std::string out = "mr_td " + hex(claims.report.mr_td);
    for (const Register& reg : registers({}, claims.report)) {
        if (!all_zero(reg.found)) out += ", " + reg.name + " " + hex(reg.found);
    }
    return out;
}

std::string describe_claims(const SnpClaims& claims) {
    std::string out = "guest_svn " + std::to_string(claims.report.guest_svn);
    for (const Field& field : fields({}, claims.report)) {
        if (all_zero(field.found)) continue;
        out.append(", ").append(field.name).append(" ").append(hex(field.found));
    }
    return out;
}

/// What a matching TD pin leaves open, for people.
std::string open_registers(const IdentityPin& pin, const TeeClaims& claims) {
    const auto* td_pin = std::get_if<TdPin>(&pin.identity);
    const auto* td = std::get_if<TdxClaims>(&claims);
    if (td_pin == nullptr || td == nullptr) return {};
    std::string out;
    for (const Register& reg : registers(*td_pin, td->report)) {
        if (reg.pinned.has_value() || all_zero(reg.found)) continue;
        out += (out.empty() ? "; not pinned: " : ", ") + reg.name;
    }
    return out;
}

}  // namespace

Check identity_check(const TeeClaims& claims, const Policy& policy) {
    constexpr std::string_view kRemedy =
        "if this is the program you want, review it and pin it: enclavectl policy init";
    constexpr Subject kEnclave{"identity.enclave", "docs/formats/verification.md 6.2", kRemedy};
    constexpr Subject kTd{"identity.td", "docs/formats/verification.md 6.2", kRemedy};
    constexpr Subject kGuest{"identity.guest", "docs/formats/verification.md 6.2", kRemedy};
    const Subject& subject = std::holds_alternative<TdxClaims>(claims)   ? kTd
                             : std::holds_alternative<SnpClaims>(claims) ? kGuest
                                                                         : kEnclave;
    if (policy.allow_any_identity) {
        return passed(subject, "ANY enclave is accepted, as the policy says");
    }
    std::string expected;
    for (const IdentityPin& pin : policy.identity) {
        std::string text = std::visit([](const auto& p) { return describe(p); }, pin.identity);
        if (matches(pin, claims)) return passed(subject, text + open_registers(pin, claims));
        expected += (expected.empty() ? "" : ", or ") + text;
    }
    if (expected.empty()) expected = "a pin: the policy has none, so that no enclave is accepted";
    std::string found = std::visit([](const auto& c) { return describe_claims(c); }, claims);
    return failed(subject, {expected, found});
}

bool pin_accepts_binding(const verify::VerifiedEvidence& evidence, const Policy& policy,
                         const std::string& format) {
    if (policy.allow_any_identity) return policy.bindings.contains(format);
    bool is_pinned = false;
    for (const IdentityPin& pin : policy.identity) {
        if (!matches(pin, evidence.claims())) continue;
        is_pinned = true;
        const auto& bindings = pin.bindings.empty() ? policy.bindings : pin.bindings;
        if (bindings.contains(format)) return true;
    }
    // An enclave that no pin names is rejected by identity.enclave, which cannot be waived. It is
    // not said to be unbound as well.
    return !is_pinned && policy.bindings.contains(format);
}

}  // namespace eos::attestation::appraise
