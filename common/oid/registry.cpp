// SPDX-License-Identifier: AGPL-3.0-only
#include "common/oid/registry.h"

#include <algorithm>
#include <array>

namespace eos::oid {
namespace {

constexpr auto kRows = [] {
    auto rows = std::to_array<Row>({
        {kCommonName, "common_name", "X.520 name attribute CN"},
        {kSerialNumber, "serial_number", "X.520 name attribute serialNumber"},
        {kCountryName, "country", "X.520 name attribute C"},
        {kLocalityName, "locality", "X.520 name attribute L"},
        {kStateName, "state_or_province", "X.520 name attribute ST"},
        {kOrganizationName, "organization", "X.520 name attribute O"},
        {kOrganizationalUnitName, "organizational_unit", "X.520 name attribute OU"},
        {kSubjectKeyIdentifier, "subject_key_identifier", "names the subject's key"},
        {kKeyUsage, "key_usage", "what the key may do"},
        {kSubjectAltName, "subject_alt_name", "DNS names and IP addresses of the subject"},
        {kBasicConstraints, "basic_constraints", "whether the subject is a CA, and how deep"},
        {kCrlNumber, "crl_number", "counts the lists of one issuer"},
        {kReasonCode, "reason_code", "why a certificate was revoked"},
        {kDeltaCrlIndicator, "delta_crl_indicator", "marks a list that is not complete"},
        {kIssuingDistributionPoint, "issuing_distribution_point", "limits the scope of a list"},
        {kCertificateIssuer, "certificate_issuer", "issuer of one entry of an indirect list"},
        {kNameConstraints, "name_constraints", "names that a CA may and may not certify"},
        {kCrlDistributionPoints, "crl_distribution_points", "where the revocation list is"},
        {kCertificatePolicies, "certificate_policies", "policies the certificate was issued under"},
        {kAuthorityKeyIdentifier, "authority_key_identifier", "names the issuer's key"},
        {kExtendedKeyUsage, "extended_key_usage", "purposes of the key"},
        {kAuthorityInfoAccess, "authority_info_access", "where the issuer's certificate is"},
        {kServerAuth, "server_auth", "purpose: TLS server"},
        {kClientAuth, "client_auth", "purpose: TLS client"},
        {kExtensionRequest, "extension_request", "extensions a certificate request asks for"},
        {kEcPublicKey, "ec_public_key", "key on an elliptic curve"},
        {kPrime256v1, "prime256v1", "curve P-256"},
        {kEcdsaWithSha256, "ecdsa_with_sha256", "signature ECDSA with SHA-256"},
        {kEcdsaWithSha384, "ecdsa_with_sha384", "signature ECDSA with SHA-384"},
        {kRsaEncryption, "rsa_encryption", "RSA key"},
        {kSha256WithRsa, "sha256_with_rsa", "signature RSA PKCS #1 v1.5 with SHA-256"},
        {kRsaPss, "rsa_pss", "signature RSASSA-PSS"},
        {kMgf1, "mgf1", "mask generation function of RSASSA-PSS"},
        {kSha384, "sha384", "hash function SHA-384"},
        {kSecp384r1, "secp384r1", "curve P-384"},
        {kSgxQuote, "sgx_quote", "hardware evidence: Intel SGX quote"},
        {kTdxQuote, "tdx_quote", "hardware evidence: Intel TDX quote"},
        {kDiceTaggedEvidence, "dice_tagged_evidence", "foreign evidence: CBOR, IANA tag 60000"},
        {kGramineLegacy, "gramine_legacy",
         "foreign evidence: Gramine, beside the tagged one from 1.8 on"},
        {kRatsTlsLegacy, "rats_tls_legacy", "foreign evidence: rats-tls of 2020"},
        {kOeReport, "oe_report", "foreign evidence: Open Enclave report"},
        {kOeReportOld, "oe_report_old", "foreign evidence: Open Enclave report, older number"},
        {kOeEvidence, "oe_evidence", "foreign evidence: Open Enclave evidence"},
        {kOeEvidenceOld, "oe_evidence_old",
         "foreign evidence: Open Enclave evidence, older number"},
        {kDstackQuote, "dstack_quote", "foreign evidence: dstack"},
        {kDstackAttestation, "dstack_attestation", "foreign evidence: dstack's attestation"},
        {kConstellationDummy, "constellation_dummy", "not read: a test's, without evidence"},
        {kConstellationAwsNitroTpm, "constellation_aws_nitro_tpm",
         "not read: only Amazon's service vouches for the TPM"},
        {kConstellationAwsSnp, "constellation_aws_sev_snp",
         "not read: the report binds a TPM's key that only the guest vouches for"},
        {kConstellationGcpEs, "constellation_gcp_sev_es",
         "not read: only Google's service vouches for the TPM"},
        {kConstellationGcpSnp, "constellation_gcp_sev_snp", "foreign evidence: Constellation, SNP"},
        {kConstellationAzureSnp, "constellation_azure_sev_snp",
         "foreign evidence: Constellation, SNP and Azure's TPM"},
        {kConstellationAzureLaunch, "constellation_azure_trustedlaunch",
         "not read: only Microsoft vouches for the TPM"},
        {kConstellationAzureTdx, "constellation_azure_tdx",
         "foreign evidence: Constellation, TDX and Azure's TPM"},
        {kConstellationQemuTpm, "constellation_qemu_vtpm", "not read: nothing vouches for the TPM"},
        {kConstellationQemuTdx, "constellation_qemu_tdx", "foreign evidence: Constellation, TDX"},
        {kPckExtension, "pck_extension", "what Intel certifies about a platform"},
        {kPckPpid, "pck_ppid", "platform provisioning id"},
        {kPckTcb, "pck_tcb", "TCB of the platform"},
        {kPckTcbPceSvn, "pck_tcb_pce_svn", "SVN of the provisioning enclave"},
        {kPckTcbCpuSvn, "pck_tcb_cpu_svn", "raw CPU SVN"},
        {kPckPceId, "pck_pce_id", "identity of the provisioning enclave"},
        {kPckFmspc, "pck_fmspc", "family, model, stepping, platform, custom SKU"},
        {kPckSgxType, "pck_sgx_type", "0 standard, 1 scalable, 2 scalable with integrity"},
        {kPckPlatformInstanceId, "pck_platform_instance_id", "one per platform set-up"},
        {kPckConfiguration, "pck_configuration", "configuration of a multi-package platform"},
        {kPckDynamicPlatform, "pck_dynamic_platform", "packages may be added"},
        {kPckCachedKeys, "pck_cached_keys", "Intel keeps the platform's root keys"},
        {kPckSmtEnabled, "pck_smt_enabled", "simultaneous multithreading is on"},
        {kVekArc, "vek", "what AMD certifies about a chip or a provider"},
        {kVekStructVersion, "vek_struct_version", "version of these extensions"},
        {kVekProductName, "vek_product_name", "product, on a VCEK with its stepping"},
        {kVekSpl, "vek_spl", "security patch levels"},
        {kVekSplBootLoader, "vek_spl_boot_loader", "level of the boot loader"},
        {kVekSplTee, "vek_spl_tee", "level of the TEE"},
        {kVekSplSnp, "vek_spl_snp", "level of the SNP firmware"},
        {kVekSplMicrocode, "vek_spl_microcode", "level of the microcode"},
        {kVekSplFmc, "vek_spl_fmc", "level of the FMC (Turin)"},
        {kVekHwid, "vek_hwid", "the chip"},
        {kVekCspId, "vek_csp_id", "the cloud provider of a VLEK"},
        {kPlatformConfigRoot, "platform_config_root", "root of the platform's configuration tree"},
        {kEgressCaBundleHash, "egress_ca_bundle_hash", "CAs trusted for outbound connections"},
        {kRuntimeVersionHash, "runtime_version_hash", "version of the runtime"},
        {kCombinedWorkloadsHash, "combined_workloads_hash", "names and digests of all workloads"},
        {kStateRoot, "state_root", "authenticated state root (Mini) or data key origin (Virtual)"},
        {kAttestationServersHash, "attestation_servers_hash", "verification services in use"},
        {kImageProfile, "image_profile", "production or dev"},
        {kWorkloadConfigRoot, "workload_config_root", "root of the workload's configuration tree"},
        {kWorkloadDigest, "workload_digest", "SHA-256 of the module, or the image's digest"},
        {kImageReference, "image_reference", "where the workload's image came from"},
        {kKeySource, "key_source", "where the workload's data key comes from"},
        {kWorkloadConfigHash, "workload_config_hash", "hash of the workload's configuration"},
        {kAppId, "app_id", "UUID of the workload"},
        {kSnpReport, "snp_report", "hardware evidence: AMD SEV-SNP report"},
        {kGpuEvidence, "gpu_evidence", "hardware evidence: NVIDIA GPU"},
        {kDependencySet, "dependency_set", "attested services the workload relies on"},
        {kLeafBinding, "leaf_binding", "the leaf key's signature over all other values"},
        {kPolicyRoot, "policy_root", "root of the tree of what governs every tenant"},
        {kInstance, "instance", "instance id, boot id and state generation"},
        {kAssurance, "assurance", "production, debug or process"},
        {kEmulationRootMarker, "emulation_root_marker", "this root emulates a hardware vendor's"},
    });
    std::ranges::sort(rows, {}, &Row::oid);
    return rows;
}();

}  // namespace

std::span<const Row> rows() {
    return kRows;
}

const Row* find(const Oid& oid) {
    auto row = std::ranges::lower_bound(kRows, oid, {}, &Row::oid);
    return row != kRows.end() && row->oid == oid ? &*row : nullptr;
}

const Row* find(std::string_view name) {
    auto row = std::ranges::find(kRows, name, &Row::name);
    return row != kRows.end() ? &*row : nullptr;
}

std::string describe(const Oid& oid) {
    const Row* row = find(oid);
    if (row == nullptr) return oid.dotted();
    return std::string(row->name) + " (" + oid.dotted() + ")";
}

}  // namespace eos::oid
