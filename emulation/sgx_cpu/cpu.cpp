// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/sgx_cpu/cpu.h"

#include <string_view>
#include <utility>

#include "common/base/codec.h"
#include "common/crypto/cipher.h"
#include "common/crypto/hash.h"
#include "common/crypto/random.h"

namespace eos::emulation::sgx_cpu {

namespace {

using sgx_arch::Key128;
using sgx_arch::KeyRequest;

constexpr std::string_view kDerivation = "enclave-os emulated SGX key/1";

/// REQUIRED_SEALING_MASK of EGETKEY: a key always depends on INIT and DEBUG.
constexpr std::uint64_t kRequiredMask = sgx_arch::kAttributeInit | sgx_arch::kAttributeDebug;

/// KEYDEPENDENCIES of the SDM: everything a key depends on, zero where it does not.
struct KeyDependencies {
    std::uint16_t key_name = 0;
    std::uint16_t key_policy = 0;
    sgx_arch::CpuSvn cpu_svn{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    std::uint16_t config_svn = 0;
    sgx_arch::Attributes attributes;
    sgx_arch::Attributes attribute_mask;
    sgx_arch::Measurement mr_enclave{};
    sgx_arch::Measurement mr_signer{};
    sgx_arch::KeyId key_id{};
    std::uint32_t misc_select = 0;
    std::uint32_t misc_mask = 0;
    ByteArray<64> config_id{};
    ByteArray<16> isv_family_id{};
    ByteArray<16> isv_ext_prod_id{};
    std::uint8_t cet_attributes = 0;
    std::uint8_t cet_attributes_mask = 0;
};

Key128 derive(const CpuIdentity& identity, const KeyDependencies& on) {
    Writer out;
    out.text(kDerivation).u8(0).u16le(on.key_name).u16le(on.key_policy).bytes(on.cpu_svn);
    out.u16le(on.isv_prod_id).u16le(on.isv_svn).u16le(on.config_svn);
    out.u64le(on.attributes.flags).u64le(on.attributes.xfrm);
    out.u64le(on.attribute_mask.flags).u64le(on.attribute_mask.xfrm);
    out.bytes(on.mr_enclave).bytes(on.mr_signer).bytes(on.key_id);
    out.u32le(on.misc_select).u32le(on.misc_mask).bytes(on.config_id);
    out.bytes(on.isv_family_id).bytes(on.isv_ext_prod_id);
    out.u8(on.cet_attributes).u8(on.cet_attributes_mask);
    crypto::Digest32 digest = crypto::hmac_sha256(identity.root_secret.view(), {out.view()});
    ByteArray<16> key = to_array<16>(ByteView(digest).first(16));
    Key128 secret(key);
    secure_wipe(digest);
    secure_wipe(key);
    return secret;
}

Result<void> check_enclave(const EnclaveIdentity& enclave) {
    if ((enclave.attributes.flags & kRequiredMask) != kRequiredMask)
        return fail(not_an_emulated_enclave);
    return {};
}

bool has(std::uint16_t policy, std::uint16_t bit) {
    return (policy & bit) != 0;
}

/// Whether any of the 16 components is above the CPU's.
bool exceeds(const sgx_arch::CpuSvn& wanted, const sgx_arch::CpuSvn& current) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i] > current[i]) return true;
    return false;
}

}  // namespace

Result<Cpu> Cpu::load(const std::filesystem::path& path) {
    return Cpu(EOS_TRY(load_identity(path)));
}

Cpu::Cpu(CpuIdentity identity)
    : identity_(std::move(identity)), report_key_id_(crypto::random_array<32>()) {}

Key128 Cpu::report_key(const sgx_arch::TargetInfo& target, const sgx_arch::KeyId& key_id) const {
    KeyDependencies on;
    on.key_name = sgx_arch::kKeyNameReport;
    on.cpu_svn = identity_.cpu_svn;
    on.config_svn = target.config_svn;
    on.attributes = target.attributes;
    on.mr_enclave = target.mr_enclave;
    on.key_id = key_id;
    on.misc_select = target.misc_select;
    on.config_id = target.config_id;
    on.cet_attributes = target.cet_attributes;
    return derive(identity_, on);
}

Result<Key128> Cpu::seal_key(const EnclaveIdentity& enclave, const KeyRequest& request) const {
    if (exceeds(request.cpu_svn, identity_.cpu_svn)) return fail(invalid_cpu_svn);
    if (request.isv_svn > enclave.isv_svn) return fail(invalid_isv_svn, "ISVSVN");
    if (request.config_svn > enclave.config_svn) return fail(invalid_isv_svn, "CONFIGSVN");

    KeyDependencies on;
    on.key_name = sgx_arch::kKeyNameSeal;
    on.key_policy = request.key_policy;
    on.cpu_svn = request.cpu_svn;
    on.isv_svn = request.isv_svn;
    on.attributes.flags = (request.attribute_mask.flags | kRequiredMask) & enclave.attributes.flags;
    on.attributes.xfrm = request.attribute_mask.xfrm & enclave.attributes.xfrm;
    on.attribute_mask = request.attribute_mask;
    on.key_id = request.key_id;
    on.misc_select = request.misc_mask & enclave.misc_select;
    on.misc_mask = request.misc_mask;
    on.cet_attributes_mask = request.cet_attributes_mask;
    if (has(request.key_policy, sgx_arch::kKeyPolicyMrEnclave)) on.mr_enclave = enclave.mr_enclave;
    if (has(request.key_policy, sgx_arch::kKeyPolicyMrSigner)) on.mr_signer = enclave.mr_signer;
    if (!has(request.key_policy, sgx_arch::kKeyPolicyNoIsvProdId))
        on.isv_prod_id = enclave.isv_prod_id;
    if (has(request.key_policy, sgx_arch::kKeyPolicyConfigId)) {
        on.config_id = enclave.config_id;
        on.config_svn = request.config_svn;
    }
    if (has(request.key_policy, sgx_arch::kKeyPolicyIsvFamilyId))
        on.isv_family_id = enclave.isv_family_id;
    if (has(request.key_policy, sgx_arch::kKeyPolicyIsvExtProdId))
        on.isv_ext_prod_id = enclave.isv_ext_prod_id;
    return derive(identity_, on);
}

Result<sgx_arch::Report> Cpu::report(const EnclaveIdentity& enclave,
                                     const sgx_arch::TargetInfo& target,
                                     const sgx_arch::ReportData& report_data) const {
    EOS_TRY(check_enclave(enclave));
    if ((target.attributes.flags & sgx_arch::kAttributeInit) == 0)
        return fail(general_protection, "EREPORT: TARGETINFO.ATTRIBUTES.INIT is zero");
    sgx_arch::Report out;
    out.body = {.cpu_svn = identity_.cpu_svn,
                .misc_select = enclave.misc_select,
                .cet_attributes = 0,
                .isv_ext_prod_id = enclave.isv_ext_prod_id,
                .attributes = enclave.attributes,
                .mr_enclave = enclave.mr_enclave,
                .mr_signer = enclave.mr_signer,
                .config_id = enclave.config_id,
                .isv_prod_id = enclave.isv_prod_id,
                .isv_svn = enclave.isv_svn,
                .config_svn = enclave.config_svn,
                .isv_family_id = enclave.isv_family_id,
                .report_data = report_data};
    out.key_id = report_key_id_;
    const Key128 key = report_key(target, report_key_id_);
    out.mac = crypto::aes128_cmac(key.view(), encode(out.body));
    return out;
}

Result<Key128> Cpu::get_key(const EnclaveIdentity& enclave, const KeyRequest& request) const {
    EOS_TRY(check_enclave(enclave));
    if ((request.key_policy & ~sgx_arch::kKeyPolicyKnown) != 0)
        return fail(general_protection, "EGETKEY: reserved KEYPOLICY bits");
    const bool kss = (enclave.attributes.flags & sgx_arch::kAttributeKss) != 0;
    if (!kss && (has(request.key_policy, sgx_arch::kKeyPolicyKss) || request.config_svn != 0))
        return fail(general_protection, "EGETKEY: KSS fields without ATTRIBUTES.KSS");
    switch (request.key_name) {
        case sgx_arch::kKeyNameReport:
            return report_key(target_of(enclave), request.key_id);
        case sgx_arch::kKeyNameSeal:
            return seal_key(enclave, request);
        case sgx_arch::kKeyNameEinitToken:
        case sgx_arch::kKeyNameProvision:
        case sgx_arch::kKeyNameProvisionSeal:
            return fail(invalid_attribute, "the emulated CPU gives out REPORT and SEAL keys only");
        default:
            return fail(invalid_key_name, "KEYNAME " + std::to_string(request.key_name));
    }
}

sgx_arch::TargetInfo target_of(const EnclaveIdentity& enclave) {
    sgx_arch::TargetInfo out;
    out.mr_enclave = enclave.mr_enclave;
    out.attributes = enclave.attributes;
    out.config_svn = enclave.config_svn;
    out.misc_select = enclave.misc_select;
    out.config_id = enclave.config_id;
    return out;
}

std::uint32_t egetkey_status(const Error& error) {
    if (error.code() == invalid_attribute) return sgx_arch::kStatusInvalidAttribute;
    if (error.code() == invalid_cpu_svn) return sgx_arch::kStatusInvalidCpuSvn;
    if (error.code() == invalid_isv_svn) return sgx_arch::kStatusInvalidIsvSvn;
    if (error.code() == invalid_key_name) return sgx_arch::kStatusInvalidKeyName;
    return 0;
}

Result<sgx_arch::Report> verify_report(const Cpu& cpu, const EnclaveIdentity& target,
                                       ByteView report) {
    const sgx_arch::Report parsed = EOS_TRY(sgx_arch::parse_report(report));
    KeyRequest request;
    request.key_name = sgx_arch::kKeyNameReport;
    request.key_id = parsed.key_id;
    const Key128 key = EOS_TRY(cpu.get_key(target, request));
    const sgx_arch::Mac mac =
        crypto::aes128_cmac(key.view(), report.first(sgx_arch::kReportBodyBytes));
    if (!crypto::equal_constant_time(mac, parsed.mac)) return fail(report_mac_mismatch);
    return parsed;
}

}  // namespace eos::emulation::sgx_cpu
