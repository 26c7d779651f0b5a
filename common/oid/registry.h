// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/oid/oid.h"

// Every object identifier this project writes or understands. registry.cpp has the same names in a
// table with a line of meaning each; a test compares the two.

namespace eos::oid {

/// One identifier, for people.
struct Row {
    Oid oid;
    std::string_view name;     ///< snake_case, unique
    std::string_view meaning;  ///< one clause
};

/// All rows, sorted by identifier.
std::span<const Row> rows();

/// The row of `oid`, or null. Static storage.
const Row* find(const Oid& oid);

/// The row with this name, or null. Static storage.
const Row* find(std::string_view name);

/// "policy_root (2.25.….2)", or the dotted form alone for an unknown identifier.
std::string describe(const Oid& oid);

// --- X.509, RFC 5280 ---
inline constexpr Oid kCommonName = Oid::literal("2.5.4.3");
inline constexpr Oid kSerialNumber = Oid::literal("2.5.4.5");
inline constexpr Oid kCountryName = Oid::literal("2.5.4.6");
inline constexpr Oid kLocalityName = Oid::literal("2.5.4.7");
inline constexpr Oid kStateName = Oid::literal("2.5.4.8");
inline constexpr Oid kOrganizationName = Oid::literal("2.5.4.10");
inline constexpr Oid kOrganizationalUnitName = Oid::literal("2.5.4.11");
inline constexpr Oid kSubjectKeyIdentifier = Oid::literal("2.5.29.14");
inline constexpr Oid kKeyUsage = Oid::literal("2.5.29.15");
inline constexpr Oid kSubjectAltName = Oid::literal("2.5.29.17");
inline constexpr Oid kBasicConstraints = Oid::literal("2.5.29.19");
inline constexpr Oid kCrlNumber = Oid::literal("2.5.29.20");
inline constexpr Oid kReasonCode = Oid::literal("2.5.29.21");
inline constexpr Oid kDeltaCrlIndicator = Oid::literal("2.5.29.27");
inline constexpr Oid kIssuingDistributionPoint = Oid::literal("2.5.29.28");
inline constexpr Oid kCertificateIssuer = Oid::literal("2.5.29.29");
inline constexpr Oid kNameConstraints = Oid::literal("2.5.29.30");
inline constexpr Oid kCrlDistributionPoints = Oid::literal("2.5.29.31");
inline constexpr Oid kCertificatePolicies = Oid::literal("2.5.29.32");
inline constexpr Oid kAuthorityKeyIdentifier = Oid::literal("2.5.29.35");
inline constexpr Oid kExtendedKeyUsage = Oid::literal("2.5.29.37");
inline constexpr Oid kAuthorityInfoAccess = Oid::literal("1.3.6.1.5.5.7.1.1");
inline constexpr Oid kServerAuth = Oid::literal("1.3.6.1.5.5.7.3.1");
inline constexpr Oid kClientAuth = Oid::literal("1.3.6.1.5.5.7.3.2");
inline constexpr Oid kExtensionRequest = Oid::literal("1.2.840.113549.1.9.14");

// --- keys and signatures: RFC 5480, RFC 5758, RFC 8017 ---
inline constexpr Oid kEcPublicKey = Oid::literal("1.2.840.10045.2.1");
inline constexpr Oid kPrime256v1 = Oid::literal("1.2.840.10045.3.1.7");
inline constexpr Oid kEcdsaWithSha256 = Oid::literal("1.2.840.10045.4.3.2");
inline constexpr Oid kEcdsaWithSha384 = Oid::literal("1.2.840.10045.4.3.3");
inline constexpr Oid kRsaEncryption = Oid::literal("1.2.840.113549.1.1.1");
inline constexpr Oid kSha256WithRsa = Oid::literal("1.2.840.113549.1.1.11");
inline constexpr Oid kRsaPss = Oid::literal("1.2.840.113549.1.1.10");
inline constexpr Oid kMgf1 = Oid::literal("1.2.840.113549.1.1.8");
inline constexpr Oid kSha384 = Oid::literal("2.16.840.1.101.3.4.2.2");
inline constexpr Oid kSecp384r1 = Oid::literal("1.3.132.0.34");

// --- hardware evidence in certificates ---
inline constexpr Oid kSgxQuote = Oid::literal("1.2.840.113741.1.13.1.0");
inline constexpr Oid kTdxQuote = Oid::literal("1.2.840.113741.1.5.5.1.6");

// --- evidence in certificates of other projects: read-only ---
inline constexpr Oid kDiceTaggedEvidence = Oid::literal("2.23.133.5.4.9");
/// A complete encoding of the next one, used as content: what Gramine really wrote.
inline constexpr Oid kGramineLegacy = Oid::literal("0.6.9.42.840.113741.1337.6");
inline constexpr Oid kRatsTlsLegacy = Oid::literal("1.2.840.113741.1337.6");
inline constexpr Oid kOeReport = Oid::literal("1.3.6.1.4.1.311.105.1");
inline constexpr Oid kOeReportOld = Oid::literal("1.2.840.113556.10.1.1");
inline constexpr Oid kOeEvidence = Oid::literal("1.3.6.1.4.1.311.105.2");
inline constexpr Oid kOeEvidenceOld = Oid::literal("1.2.840.113556.10.1.2");
inline constexpr Oid kDstackQuote = Oid::literal("1.3.6.1.4.1.62397.1.1");
inline constexpr Oid kDstackAttestation = Oid::literal("1.3.6.1.4.1.62397.1.8");
/// Constellation: a family of variants, then one variant. Our own arc shares the first three
/// numbers and none of the families.
inline constexpr Oid kConstellationArc = Oid::literal("1.3.9900");
inline constexpr Oid kConstellationDummy = kConstellationArc.child(1).child(1);
inline constexpr Oid kConstellationAwsNitroTpm = kConstellationArc.child(2).child(1);
inline constexpr Oid kConstellationAwsSnp = kConstellationArc.child(2).child(2);
inline constexpr Oid kConstellationGcpEs = kConstellationArc.child(3).child(1);
inline constexpr Oid kConstellationGcpSnp = kConstellationArc.child(3).child(2);
inline constexpr Oid kConstellationAzureSnp = kConstellationArc.child(4).child(1);
inline constexpr Oid kConstellationAzureLaunch = kConstellationArc.child(4).child(2);
inline constexpr Oid kConstellationAzureTdx = kConstellationArc.child(4).child(3);
inline constexpr Oid kConstellationQemuTpm = kConstellationArc.child(5).child(1);
inline constexpr Oid kConstellationQemuTdx = kConstellationArc.child(5).child(99);

// --- Intel PCK certificates ---
inline constexpr Oid kPckExtension = Oid::literal("1.2.840.113741.1.13.1");
inline constexpr Oid kPckPpid = kPckExtension.child(1);
inline constexpr Oid kPckTcb = kPckExtension.child(2);  ///< .1 to .16: component SVNs
inline constexpr Oid kPckTcbPceSvn = kPckTcb.child(17);
inline constexpr Oid kPckTcbCpuSvn = kPckTcb.child(18);
inline constexpr Oid kPckPceId = kPckExtension.child(3);
inline constexpr Oid kPckFmspc = kPckExtension.child(4);
inline constexpr Oid kPckSgxType = kPckExtension.child(5);
inline constexpr Oid kPckPlatformInstanceId = kPckExtension.child(6);
inline constexpr Oid kPckConfiguration = kPckExtension.child(7);
inline constexpr Oid kPckDynamicPlatform = kPckConfiguration.child(1);
inline constexpr Oid kPckCachedKeys = kPckConfiguration.child(2);
inline constexpr Oid kPckSmtEnabled = kPckConfiguration.child(3);

// --- AMD VCEK and VLEK certificates: 57230, table 8 ---
inline constexpr Oid kVekArc = Oid::literal("1.3.6.1.4.1.3704.1");
inline constexpr Oid kVekStructVersion = kVekArc.child(1);
inline constexpr Oid kVekProductName = kVekArc.child(2);
inline constexpr Oid kVekSpl = kVekArc.child(3);  ///< .1 to .9: versions of the firmware's parts
inline constexpr Oid kVekSplBootLoader = kVekSpl.child(1);
inline constexpr Oid kVekSplTee = kVekSpl.child(2);
inline constexpr Oid kVekSplSnp = kVekSpl.child(3);
inline constexpr Oid kVekSplMicrocode = kVekSpl.child(8);
inline constexpr Oid kVekSplFmc = kVekSpl.child(9);
inline constexpr Oid kVekHwid = kVekArc.child(4);
inline constexpr Oid kVekCspId = kVekArc.child(5);

// --- the reference's arc, generation 1: attested-tls §6 ---
inline constexpr Oid kReferenceArc = Oid::literal("1.3.6.1.4.1.65230");
inline constexpr Oid kPlatformConfigRoot = kReferenceArc.child(1).child(1);
inline constexpr Oid kEgressCaBundleHash = kReferenceArc.child(2).child(1);
inline constexpr Oid kRuntimeVersionHash = kReferenceArc.child(2).child(4);
inline constexpr Oid kCombinedWorkloadsHash = kReferenceArc.child(2).child(5);
inline constexpr Oid kStateRoot = kReferenceArc.child(2).child(6);
inline constexpr Oid kAttestationServersHash = kReferenceArc.child(2).child(7);
inline constexpr Oid kImageProfile = kReferenceArc.child(2).child(8);
inline constexpr Oid kWorkloadConfigRoot = kReferenceArc.child(3).child(1);
inline constexpr Oid kWorkloadDigest = kReferenceArc.child(3).child(2);
inline constexpr Oid kImageReference = kReferenceArc.child(3).child(3);
inline constexpr Oid kKeySource = kReferenceArc.child(3).child(4);
/// Its own value, and the arc below which a workload may declare values.
inline constexpr Oid kWorkloadConfigHash = kReferenceArc.child(3).child(5);
inline constexpr Oid kAppId = kReferenceArc.child(3).child(6);
inline constexpr Oid kSnpReport = kReferenceArc.child(4).child(1);
inline constexpr Oid kGpuEvidence = kReferenceArc.child(5).child(1);
inline constexpr Oid kDependencySet = kReferenceArc.child(6).child(1);

// --- ours: docs/formats/certificate.md 2 ---
/// The first 56 bits of UUID f22598ad-41fa-4e71-88e6-d2768317860a as two elements below 2^28, which
/// every parser takes: docs/adr/0011-an-arc-that-every-parser-takes.md.
inline constexpr Oid kOwnArc = Oid::literal("1.3.9900.253909386.222427726");
inline constexpr Oid kLeafBinding = kOwnArc.child(1);
inline constexpr Oid kPolicyRoot = kOwnArc.child(2);
inline constexpr Oid kInstance = kOwnArc.child(3);
inline constexpr Oid kAssurance = kOwnArc.child(4);
/// Critical, on emulated roots only: whoever does not know it refuses the chain.
inline constexpr Oid kEmulationRootMarker = kOwnArc.child(5);

}  // namespace eos::oid
