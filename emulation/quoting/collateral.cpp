// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/collateral.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/attestation/endorsements/tdx_tcb.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/sgx_arch/report.h"
#include "emulation/quoting/quoting_enclave.h"
#include "emulation/quoting/td_quoting_enclave.h"

namespace eos::emulation::quoting {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kEvaluationDataNumber = 17;

// Intel writes hexadecimal in capitals.
std::string upper_hex(ByteView bytes) {
    std::string out = hex(bytes);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
    return out;
}

Json component_list(const ByteArray<16>& components) {
    Json svns = Json::array();
    for (std::byte svn : components) svns.push_back({{"svn", std::to_integer<int>(svn)}});
    return svns;
}

Json tcb_level(const sgx_arch::CpuSvn& components, std::uint16_t pce_svn) {
    return {{"sgxtcbcomponents", component_list(components)}, {"pcesvn", pce_svn}};
}

/// Every security version that there is, so much higher or lower.
ByteArray<16> stepped(ByteArray<16> components, int by) {
    for (std::byte& svn : components)
        if (svn != std::byte{0}) svn = static_cast<std::byte>(std::to_integer<int>(svn) + by);
    return components;
}

/// Two levels of an enclave or module: this security version, and any.
Json own_levels(std::uint16_t isv_svn, const Window& window) {
    const Json current = {{"tcb", {{"isvsvn", isv_svn}}},
                          {"tcbDate", rfc3339(window.from)},
                          {"tcbStatus", "UpToDate"}};
    const Json outdated = {{"tcb", {{"isvsvn", 0}}},
                           {"tcbDate", rfc3339(window.from - 365 * kSecondsPerDay)},
                           {"tcbStatus", "OutOfDate"},
                           {"advisoryIDs", {"EMULATED-SA-00001"}}};
    return Json::array({current, outdated});
}

// Flags of our QE that QE identity names, and those it leaves open: MODE64, as Intel's does.
constexpr std::uint64_t kAttributesMask = ~sgx_arch::kAttributeMode64;

std::string attributes_hex(std::uint64_t flags) {
    Writer out;
    out.u64le(flags).u64le(0);  // XFRM is left open
    return upper_hex(out.view());
}

Json platform_tcb_info(const sgx_cpu::CpuIdentity& cpu, const Window& window, std::string_view id,
                       const TcbStatement& statement = {}) {
    const std::string date = rfc3339(window.from);
    Json levels = Json::array();
    for (const TcbStep& step : statement.steps) {
        Json level = {
            {"tcb", tcb_level(stepped(cpu.cpu_svn, step.above_cpu),
                              step.above_cpu < 0 ? std::uint16_t{0} : cpu.pce_svn)},
            {"tcbDate", step.above_cpu < 0 ? rfc3339(window.from - 365 * kSecondsPerDay) : date},
            {"tcbStatus", step.status}};
        if (!step.advisories.empty()) level["advisoryIDs"] = step.advisories;
        levels.push_back(std::move(level));
    }
    return {{"id", id},
            {"version", 3},
            {"issueDate", date},
            {"nextUpdate", rfc3339(window.to)},
            {"fmspc", upper_hex(cpu.fmspc)},
            {"pceId", upper_hex(cpu.pce_id)},
            {"tcbType", 0},
            {"tcbEvaluationDataNumber", statement.evaluation_data_number},
            {"tcbLevels", std::move(levels)}};
}

Json enclave_identity(const sgx_cpu::EnclaveIdentity& qe, const Window& window,
                      std::string_view id) {
    return {{"id", id},
            {"version", 2},
            {"issueDate", rfc3339(window.from)},
            {"nextUpdate", rfc3339(window.to)},
            {"tcbEvaluationDataNumber", kEvaluationDataNumber},
            {"miscselect", "00000000"},
            {"miscselectMask", "FFFFFFFF"},
            {"attributes", attributes_hex(qe.attributes.flags & kAttributesMask)},
            {"attributesMask", attributes_hex(kAttributesMask)},
            {"mrsigner", upper_hex(qe.mr_signer)},
            {"isvprodid", qe.isv_prod_id},
            {"tcbLevels", own_levels(qe.isv_svn, window)}};
}

/// Who signs the emulated TDX module: nobody, as Intel's is said to be.
Json tdx_module() {
    return {{"mrsigner", upper_hex(ByteArray<48>{})},
            {"attributes", upper_hex(ByteArray<8>{})},
            {"attributesMask", "FFFFFFFFFFFFFFFF"}};
}

}  // namespace

std::string tcb_info_json(const sgx_cpu::CpuIdentity& cpu, const Window& window,
                          const TcbStatement& statement) {
    return platform_tcb_info(cpu, window, "SGX", statement).dump();
}

std::string tdx_tcb_info_json(const sgx_cpu::CpuIdentity& cpu, const Window& window,
                              const TcbStatement& statement) {
    Json out = platform_tcb_info(cpu, window, "TDX", statement);
    out["tdxModule"] = tdx_module();
    Json identity = tdx_module();
    identity["id"] = attestation::endorsements::tdx_module_id(kTdxModuleMajor);
    const auto module_bar =
        static_cast<std::uint16_t>(kTdxModuleMinor + statement.tdx_module_above);
    identity["tcbLevels"] = own_levels(module_bar, window);
    out["tdxModuleIdentities"] = Json::array({identity});
    attestation::evidence::TeeTcbSvn components = emulated_tee_tcb_svn();
    components[0] = components[1] = std::byte{0};  // the module's own have levels of their own
    for (std::size_t i = 0; i < statement.steps.size(); ++i) {
        out["tcbLevels"][i]["tcb"]["tdxtcbcomponents"] =
            component_list(stepped(components, statement.steps[i].above_cpu));
    }
    return out.dump();
}

std::string qe_identity_json(const Window& window) {
    return enclave_identity(quoting_enclave_identity(), window, "QE").dump();
}

std::string td_qe_identity_json(const Window& window) {
    return enclave_identity(td_quoting_enclave_identity(), window, "TD_QE").dump();
}

std::string collateral_json(const Statements& statements, const CollateralParts& parts,
                            const crypto::P256PrivateKey& tcb_signing_key) {
    const auto& [tcb_info, qe_identity] = statements;
    const auto sign = [&tcb_signing_key](const std::string& text) {
        return hex(tcb_signing_key.sign_raw(as_bytes(text)));
    };
    const Json out = {{"pck_crl_issuer_chain", parts.pck_crl_issuer_chain_pem},
                      {"root_ca_crl", hex(parts.root_ca_crl)},
                      {"pck_crl", hex(parts.pck_crl)},
                      {"tcb_info_issuer_chain", parts.tcb_signing_chain_pem},
                      {"tcb_info", tcb_info},
                      {"tcb_info_signature", sign(tcb_info)},
                      {"qe_identity_issuer_chain", parts.tcb_signing_chain_pem},
                      {"qe_identity", qe_identity},
                      {"qe_identity_signature", sign(qe_identity)}};
    return out.dump(2) + "\n";
}

}  // namespace eos::emulation::quoting
