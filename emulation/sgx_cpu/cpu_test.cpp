// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/sgx_cpu/cpu.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "common/crypto/cipher.h"

namespace eos::emulation::sgx_cpu {
namespace {

using sgx_arch::KeyRequest;

sgx_arch::Measurement measurement(int value) {
    sgx_arch::Measurement out;
    out.fill(static_cast<std::byte>(value));
    return out;
}

EnclaveIdentity enclave_a() {
    EnclaveIdentity out;
    out.mr_enclave = measurement(1);
    out.mr_signer = measurement(2);
    out.isv_prod_id = 3;
    out.isv_svn = 4;
    return out;
}

EnclaveIdentity kss_enclave() {
    EnclaveIdentity out = enclave_a();
    out.attributes.flags |= sgx_arch::kAttributeKss;
    out.config_svn = 5;
    out.config_id.fill(std::byte{6});
    out.isv_family_id.fill(std::byte{7});
    out.isv_ext_prod_id.fill(std::byte{8});
    return out;
}

KeyRequest seal_request(const Cpu& cpu, std::uint16_t policy) {
    KeyRequest out;
    out.key_name = sgx_arch::kKeyNameSeal;
    out.key_policy = policy;
    out.isv_svn = 4;
    out.cpu_svn = cpu.identity().cpu_svn;
    out.attribute_mask = {.flags = ~std::uint64_t{0}, .xfrm = 3};
    return out;
}

class EmulatedCpu : public ::testing::Test {
  protected:
    std::string key(const EnclaveIdentity& enclave, const KeyRequest& request) const {
        Result<sgx_arch::Key128> key = cpu_.get_key(enclave, request);
        return key ? to_string(key->view()) : std::string(key.error().code().name);
    }
    /// Whether the two enclaves get the same key for the same request.
    bool shared(const EnclaveIdentity& a, const EnclaveIdentity& b, std::uint16_t policy) const {
        EXPECT_TRUE(cpu_.get_key(a, seal_request(cpu_, policy)).has_value());
        EXPECT_TRUE(cpu_.get_key(b, seal_request(cpu_, policy)).has_value());
        return key(a, seal_request(cpu_, policy)) == key(b, seal_request(cpu_, policy));
    }

    Cpu cpu_{generate_identity()};
};

TEST_F(EmulatedCpu, ReportSaysWhoAndIsCheckedByItsTarget) {
    EnclaveIdentity target = kss_enclave();
    sgx_arch::ReportData data;
    data.fill(std::byte{9});
    const sgx_arch::Report report = cpu_.report(enclave_a(), target_of(target), data).value();
    EXPECT_EQ(report.body.mr_enclave, measurement(1));
    EXPECT_EQ(report.body.mr_signer, measurement(2));
    EXPECT_EQ(report.body.isv_prod_id, 3);
    EXPECT_EQ(report.body.isv_svn, 4);
    EXPECT_EQ(report.body.cpu_svn, cpu_.identity().cpu_svn);
    EXPECT_EQ(report.body.report_data, data);
    EXPECT_TRUE(report.body.attributes.debug());
    EXPECT_EQ(verify_report(cpu_, target, encode(report)).value(), report);
}

TEST_F(EmulatedCpu, EveryAlteredByteOfAReportIsNoticed) {
    const EnclaveIdentity target = kss_enclave();
    const auto good = encode(cpu_.report(enclave_a(), target_of(target), {}).value());
    for (std::size_t i = 0; i < good.size(); ++i) {
        auto bad = good;
        bad[i] ^= std::byte{0x10};
        EXPECT_EQ(verify_report(cpu_, target, bad).error().code(), report_mac_mismatch) << i;
    }
    EXPECT_EQ(verify_report(cpu_, target, ByteView(good).first(431)).error().code(),
              sgx_arch::wrong_size);
}

TEST_F(EmulatedCpu, ReportIsForOneTargetOnOneCpu) {
    const EnclaveIdentity target = kss_enclave();
    const auto report = encode(cpu_.report(enclave_a(), target_of(target), {}).value());
    std::vector<std::function<void(EnclaveIdentity&)>> changes = {
        [](EnclaveIdentity& e) { e.mr_enclave = measurement(99); },
        [](EnclaveIdentity& e) { e.attributes.flags |= sgx_arch::kAttributeCet; },
        [](EnclaveIdentity& e) { e.attributes.xfrm = 7; },
        [](EnclaveIdentity& e) { e.misc_select = 1; },
        [](EnclaveIdentity& e) { e.config_svn = 1; },
        [](EnclaveIdentity& e) { e.config_id.fill(std::byte{1}); },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        EnclaveIdentity other = target;
        changes[i](other);
        EXPECT_EQ(verify_report(cpu_, other, report).error().code(), report_mac_mismatch) << i;
    }
    const Cpu other_cpu(generate_identity());
    EXPECT_EQ(verify_report(other_cpu, target, report).error().code(), report_mac_mismatch);
}

TEST_F(EmulatedCpu, ReportsCrossProcessesThroughTheIdentity) {
    const Cpu again(parse_identity(encode_identity(cpu_.identity()).view()).value());
    const auto report = encode(again.report(enclave_a(), target_of(kss_enclave()), {}).value());
    EXPECT_TRUE(verify_report(cpu_, kss_enclave(), report).has_value());
    const KeyRequest request = seal_request(cpu_, sgx_arch::kKeyPolicyMrEnclave);
    EXPECT_TRUE(equal(again.get_key(enclave_a(), request)->view(),
                      cpu_.get_key(enclave_a(), request)->view()));
}

TEST_F(EmulatedCpu, OnlyDebugEnclavesRun) {
    for (std::uint64_t missing : {sgx_arch::kAttributeDebug, sgx_arch::kAttributeInit}) {
        EnclaveIdentity enclave = enclave_a();
        enclave.attributes.flags &= ~missing;
        EXPECT_EQ(cpu_.report(enclave, target_of(kss_enclave()), {}).error().code(),
                  not_an_emulated_enclave);
        EXPECT_EQ(cpu_.get_key(enclave, seal_request(cpu_, 1)).error().code(),
                  not_an_emulated_enclave);
    }
}

TEST_F(EmulatedCpu, TargetWithoutInitFaults) {
    EXPECT_EQ(cpu_.report(enclave_a(), {}, {}).error().code(), general_protection);
}

TEST_F(EmulatedCpu, SealKeyIsStable) {
    const KeyRequest request = seal_request(cpu_, sgx_arch::kKeyPolicyMrEnclave);
    EXPECT_EQ(key(enclave_a(), request).size(), 16u);
    EXPECT_EQ(key(enclave_a(), request), key(enclave_a(), request));
    const Cpu other(generate_identity());
    EXPECT_FALSE(equal(other.get_key(enclave_a(), request)->view(),
                       cpu_.get_key(enclave_a(), request)->view()));
}

TEST_F(EmulatedCpu, MrEnclavePolicyBindsTheMeasurementOnly) {
    EnclaveIdentity other = enclave_a();
    other.mr_signer = measurement(99);
    EXPECT_TRUE(shared(enclave_a(), other, sgx_arch::kKeyPolicyMrEnclave));
    other.mr_enclave = measurement(98);
    EXPECT_FALSE(shared(enclave_a(), other, sgx_arch::kKeyPolicyMrEnclave));
}

TEST_F(EmulatedCpu, MrSignerPolicyBindsSignerAndProduct) {
    EnclaveIdentity other = enclave_a();
    other.mr_enclave = measurement(99);
    EXPECT_TRUE(shared(enclave_a(), other, sgx_arch::kKeyPolicyMrSigner));
    other.isv_prod_id = 4;
    EXPECT_FALSE(shared(enclave_a(), other, sgx_arch::kKeyPolicyMrSigner));
    other = enclave_a();
    other.mr_signer = measurement(98);
    EXPECT_FALSE(shared(enclave_a(), other, sgx_arch::kKeyPolicyMrSigner));
}

TEST_F(EmulatedCpu, KeysOfDifferentPoliciesDiffer) {
    const auto policies = {0, 1, 2, 3};
    for (int a : policies)
        for (int b : policies)
            EXPECT_EQ(key(enclave_a(), seal_request(cpu_, static_cast<std::uint16_t>(a))) ==
                          key(enclave_a(), seal_request(cpu_, static_cast<std::uint16_t>(b))),
                      a == b);
}

TEST_F(EmulatedCpu, SealKeyDependsOnEveryRequestedField) {
    const KeyRequest base = seal_request(cpu_, sgx_arch::kKeyPolicyMrSigner);
    std::vector<std::function<void(KeyRequest&)>> changes = {
        [](KeyRequest& k) { k.key_id.fill(std::byte{1}); },
        [](KeyRequest& k) { k.isv_svn = 3; },
        [](KeyRequest& k) { k.cpu_svn[15] = std::byte{0}; },
        [](KeyRequest& k) { k.attribute_mask.flags = 0; },
        [](KeyRequest& k) { k.misc_mask = 1; },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        KeyRequest request = base;
        changes[i](request);
        ASSERT_TRUE(cpu_.get_key(enclave_a(), request).has_value()) << i;
        EXPECT_NE(key(enclave_a(), request), key(enclave_a(), base)) << i;
    }
}

TEST_F(EmulatedCpu, MaskedOutAttributesDoNotMatter) {
    KeyRequest request = seal_request(cpu_, sgx_arch::kKeyPolicyMrEnclave);
    request.attribute_mask = {.flags = 0, .xfrm = 3};
    EnclaveIdentity other = enclave_a();
    other.attributes.flags |= sgx_arch::kAttributeCet;
    other.attributes.xfrm = 0xe7;
    other.misc_select = 1;
    EXPECT_EQ(key(enclave_a(), request), key(other, request));
    request.attribute_mask.xfrm = ~std::uint64_t{0};
    EXPECT_NE(key(enclave_a(), request), key(other, request));
}

TEST_F(EmulatedCpu, OldVersionsAreReachableNewerOnesAreNot) {
    EnclaveIdentity newer = enclave_a();
    newer.isv_svn = 5;
    KeyRequest request = seal_request(cpu_, sgx_arch::kKeyPolicyMrSigner);
    EXPECT_EQ(key(newer, request), key(enclave_a(), request));

    request.isv_svn = 5;
    Result<sgx_arch::Key128> refused = cpu_.get_key(enclave_a(), request);
    EXPECT_EQ(refused.error().code(), invalid_isv_svn);
    EXPECT_EQ(egetkey_status(refused.error()), 64u);

    for (std::size_t i = 0; i < 16; ++i) {
        request = seal_request(cpu_, sgx_arch::kKeyPolicyMrSigner);
        request.cpu_svn = {};
        request.cpu_svn[i] =
            static_cast<std::byte>(std::to_integer<int>(cpu_.identity().cpu_svn[i]) + 1);
        refused = cpu_.get_key(enclave_a(), request);
        ASSERT_FALSE(refused.has_value()) << i;
        EXPECT_EQ(refused.error().code(), invalid_cpu_svn);
        EXPECT_EQ(egetkey_status(refused.error()), 32u);
    }
}

TEST_F(EmulatedCpu, ReservedAndUnearnedPolicyBitsFault) {
    for (int bit = 6; bit < 16; ++bit) {
        const auto request = seal_request(cpu_, static_cast<std::uint16_t>(1 << bit));
        EXPECT_EQ(key(kss_enclave(), request), "general_protection") << bit;
    }
    for (int bit = 2; bit < 6; ++bit) {
        const auto request = seal_request(cpu_, static_cast<std::uint16_t>(1 << bit));
        EXPECT_EQ(key(enclave_a(), request), "general_protection") << bit;
        EXPECT_EQ(key(kss_enclave(), request).size(), 16u) << bit;
    }
    KeyRequest request = seal_request(cpu_, 1);
    request.config_svn = 1;
    EXPECT_EQ(key(enclave_a(), request), "general_protection");
    EXPECT_EQ(key(kss_enclave(), request).size(), 16u);
    request.config_svn = 6;
    EXPECT_EQ(key(kss_enclave(), request), "invalid_isv_svn");
    request.key_policy = 0x8000;
    EXPECT_EQ(egetkey_status(cpu_.get_key(kss_enclave(), request).error()), 0u);
}

TEST_F(EmulatedCpu, KssPoliciesBindTheirFields) {
    struct Case {
        std::uint16_t policy;
        std::function<void(EnclaveIdentity&)> change;
    };
    const std::vector<Case> cases = {
        {sgx_arch::kKeyPolicyConfigId, [](EnclaveIdentity& e) { e.config_id.fill(std::byte{99}); }},
        {sgx_arch::kKeyPolicyIsvFamilyId,
         [](EnclaveIdentity& e) { e.isv_family_id.fill(std::byte{99}); }},
        {sgx_arch::kKeyPolicyIsvExtProdId,
         [](EnclaveIdentity& e) { e.isv_ext_prod_id.fill(std::byte{99}); }},
    };
    for (const Case& c : cases) {
        EnclaveIdentity other = kss_enclave();
        c.change(other);
        EXPECT_TRUE(shared(kss_enclave(), other, sgx_arch::kKeyPolicyMrSigner)) << c.policy;
        EXPECT_FALSE(shared(kss_enclave(), other, c.policy)) << c.policy;
    }
    EnclaveIdentity other = kss_enclave();
    other.isv_prod_id = 99;
    EXPECT_TRUE(shared(kss_enclave(), other, sgx_arch::kKeyPolicyNoIsvProdId));
}

TEST_F(EmulatedCpu, KeysOfArchitecturalEnclavesAreGivenToNone) {
    EnclaveIdentity enclave = enclave_a();
    enclave.attributes.flags |=
        sgx_arch::kAttributeProvisionKey | sgx_arch::kAttributeEinitTokenKey;
    for (std::uint16_t name = 0; name < 3; ++name) {
        KeyRequest request;
        request.key_name = name;
        EXPECT_EQ(egetkey_status(cpu_.get_key(enclave, request).error()), 2u);
    }
    KeyRequest request;
    request.key_name = 5;
    EXPECT_EQ(egetkey_status(cpu_.get_key(enclave, request).error()), 256u);
}

TEST_F(EmulatedCpu, ReportKeyIsNoSealKey) {
    KeyRequest report;
    report.key_name = sgx_arch::kKeyNameReport;
    KeyRequest seal = report;
    seal.key_name = sgx_arch::kKeyNameSeal;
    EXPECT_NE(key(enclave_a(), report), key(enclave_a(), seal));
}

}  // namespace
}  // namespace eos::emulation::sgx_cpu
