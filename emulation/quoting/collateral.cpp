// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/collateral.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/sgx_arch/report.h"
#include "emulation/quoting/quoting_enclave.h"

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

Json tcb_level(const sgx_arch::CpuSvn& components, std::uint16_t pce_svn) {
    Json svns = Json::array();
    for (std::byte svn : components) svns.push_back({{"svn", std::to_integer<int>(svn)}});
    return {{"sgxtcbcomponents", std::move(svns)}, {"pcesvn", pce_svn}};
}

// Flags of our QE that QE identity names, and those it leaves open: MODE64, as Intel's does.
constexpr std::uint64_t kAttributesMask = ~sgx_arch::kAttributeMode64;

std::string attributes_hex(std::uint64_t flags) {
    Writer out;
    out.u64le(flags).u64le(0);  // XFRM is left open
    return upper_hex(out.view());
}

}  // namespace

std::string tcb_info_json(const sgx_cpu::CpuIdentity& cpu, const Window& window) {
    sgx_arch::CpuSvn older = cpu.cpu_svn;
    for (std::byte& svn : older)
        if (svn != std::byte{0}) svn = static_cast<std::byte>(std::to_integer<int>(svn) - 1);
    const std::string date = rfc3339(window.from);
    const Json current = {
        {"tcb", tcb_level(cpu.cpu_svn, cpu.pce_svn)}, {"tcbDate", date}, {"tcbStatus", "UpToDate"}};
    const Json outdated = {{"tcb", tcb_level(older, 0)},
                           {"tcbDate", rfc3339(window.from - 365 * kSecondsPerDay)},
                           {"tcbStatus", "OutOfDate"},
                           {"advisoryIDs", {"EMULATED-SA-00001"}}};
    const Json info = {{"id", "SGX"},
                       {"version", 3},
                       {"issueDate", date},
                       {"nextUpdate", rfc3339(window.to)},
                       {"fmspc", upper_hex(cpu.fmspc)},
                       {"pceId", upper_hex(cpu.pce_id)},
                       {"tcbType", 0},
                       {"tcbEvaluationDataNumber", kEvaluationDataNumber},
                       {"tcbLevels", {current, outdated}}};
    return info.dump();
}

std::string qe_identity_json(const Window& window) {
    const sgx_cpu::EnclaveIdentity qe = quoting_enclave_identity();
    const std::string date = rfc3339(window.from);
    const Json current = {
        {"tcb", {{"isvsvn", qe.isv_svn}}}, {"tcbDate", date}, {"tcbStatus", "UpToDate"}};
    const Json outdated = {{"tcb", {{"isvsvn", 0}}},
                           {"tcbDate", rfc3339(window.from - 365 * kSecondsPerDay)},
                           {"tcbStatus", "OutOfDate"},
                           {"advisoryIDs", {"EMULATED-SA-00001"}}};
    const Json identity = {{"id", "QE"},
                           {"version", 2},
                           {"issueDate", date},
                           {"nextUpdate", rfc3339(window.to)},
                           {"tcbEvaluationDataNumber", kEvaluationDataNumber},
                           {"miscselect", "00000000"},
                           {"miscselectMask", "FFFFFFFF"},
                           {"attributes", attributes_hex(qe.attributes.flags & kAttributesMask)},
                           {"attributesMask", attributes_hex(kAttributesMask)},
                           {"mrsigner", upper_hex(qe.mr_signer)},
                           {"isvprodid", qe.isv_prod_id},
                           {"tcbLevels", {current, outdated}}};
    return identity.dump();
}

std::string collateral_json(const sgx_cpu::CpuIdentity& cpu, const Window& window,
                            const CollateralParts& parts,
                            const crypto::P256PrivateKey& tcb_signing_key) {
    const std::string tcb_info = tcb_info_json(cpu, window);
    const std::string qe_identity = qe_identity_json(window);
    const auto sign = [&](const std::string& text) {
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
