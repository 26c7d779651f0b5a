// SPDX-License-Identifier: AGPL-3.0-only
// The Relying Party's demands, as data. docs/formats/policy.md is the description for people.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/attestation/appraise/policy_snp.h"
#include "common/attestation/endorsements/tcb.h"
#include "common/attestation/verify/roots.h"
#include "common/json/json.h"
#include "common/oid/oid.h"

namespace eos::attestation::appraise {

inline constexpr Code bad_policy{"common/attestation/appraise", "bad_policy",
                                 "the policy contradicts itself or leaves something open"};

inline constexpr std::size_t kMaxPolicyBytes = 256 * 1024;
inline constexpr std::size_t kMaxPolicyEntries = 256;  ///< of each list
inline constexpr std::string_view kAnyIdentityWord = "i-understand-any-enclave-is-accepted";
inline constexpr std::string_view kEmulatedDebugWord = "allow-emulated";
inline constexpr std::string_view kAnySystemWord = "i-understand-any-kernel-is-accepted";

/// The kinds of TEE, as policies, claims and verdicts name them.
inline constexpr std::string_view kTeeSgx = "sgx";
inline constexpr std::string_view kTeeTdx = "tdx";
inline constexpr std::string_view kTeeSnp = "snp";

/// What the evidence's report data binds, and to what. The names are those of common/ratls.
inline constexpr std::string_view kBindingV1Deterministic = "v1-deterministic";
inline constexpr std::string_view kBindingV1Challenge = "v1-challenge";
inline constexpr std::string_view kBindingV2Challenge = "v2-challenge";
inline constexpr std::string_view kBindingCaCsr = "ca-csr";
/// 64 bytes that the caller stated, by a scheme of somebody else. What they bind is not known here.
inline constexpr std::string_view kBindingReportData = "report-data";

/// Exactly these pages.
struct MrEnclavePin {
    ByteArray<32> mr_enclave{};
    friend bool operator==(const MrEnclavePin&, const MrEnclavePin&) = default;
};

/// Any program of this signer and product, from a version on.
struct MrSignerPin {
    ByteArray<32> mr_signer{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t min_isv_svn = 0;
    friend bool operator==(const MrSignerPin&, const MrSignerPin&) = default;
};

/// How much of a trust domain a pin names.
enum class TdScope {
    whole_system,  ///< rtmr[1] and rtmr[2] (kernel, its command line) are pinned
    firmware_only  ///< spelt out as kAnySystemWord in JSON: any kernel on this firmware
};

/// A trust domain: its firmware, what that measured when it booted, and what its owner gave it.
/// Whatever is absent may be anything, except that whole_system needs rtmr[1] and rtmr[2].
struct TdPin {
    using Measurement = ByteArray<48>;
    Measurement mr_td{};
    std::array<std::optional<Measurement>, 4> rtmr{};
    std::optional<Measurement> mr_config_id;
    std::optional<Measurement> mr_owner;
    std::optional<Measurement> mr_owner_config;
    TdScope scope = TdScope::whole_system;
    friend bool operator==(const TdPin&, const TdPin&) = default;
};

/// One program that is accepted.
struct IdentityPin {
    std::variant<MrEnclavePin, MrSignerPin, TdPin, SnpPin> identity;
    /// The only forms of report data taken from this identity; empty: the policy's.
    std::set<std::string> bindings;
    friend bool operator==(const IdentityPin&, const IdentityPin&) = default;
};

/// Whether an enclave in debug mode is accepted.
enum class DebugRule {
    forbid,
    allow_emulated  ///< under test roots, where every verdict says EMULATED anyway
};

/// Whether a certificate without leaf_binding is accepted.
enum class LeafBindingRule { required, optional };

/// Which statuses of Intel's are good enough, if TCB info is at hand.
struct TcbRule {
    std::set<endorsements::TcbStatus> statuses{endorsements::TcbStatus::up_to_date};
    /// Advisories that may be open. Consulted for every status but UpToDate.
    std::set<std::string> advisories;
    std::uint32_t min_evaluation_data_number = 0;
    /// Statuses beside those, and with whatever advisories, for so many days after the date of the
    /// level that is not UpToDate (the earliest of several): what was good then may still be
    /// waiting for its update.
    std::map<endorsements::TcbStatus, std::uint32_t> grace_days;
};

/// Freedoms of a trust domain that are refused unless the policy allows them by name.
enum class TdFreedom {
    pks,              ///< ATTRIBUTES.PKS
    key_locker,       ///< ATTRIBUTES.KL
    perfmon,          ///< ATTRIBUTES.PERFMON
    migratable,       ///< ATTRIBUTES.MIGRATABLE: it may be moved to another platform
    sept_ve_enabled,  ///< SEPT_VE_DISABLE is 0: the host can raise #VE on any page
    inner_vm          ///< the report is about a VM that the TD runs
};

/// "pks", …
std::string_view td_freedom_name(TdFreedom freedom);
std::optional<TdFreedom> td_freedom_from(std::string_view name);

/// An event that must have been measured.
struct EventPin {
    std::uint8_t rtmr = 0;  ///< 0 to 3
    ByteArray<48> digest{};
    friend auto operator<=>(const EventPin&, const EventPin&) = default;
};

/// Whether the policy root of the leaf must be one that the guest measured.
enum class MeasuredRoot {
    if_logged,  ///< if the log has policy roots at all, the last must be the leaf's
    required    ///< there must be one
};

/// "if_logged", "required".
std::string_view measured_root_name(MeasuredRoot rule);
std::optional<MeasuredRoot> measured_root_from(std::string_view name);

/// The guest's event log is demanded.
struct EventLogRule {
    std::set<EventPin> events;  ///< each must be in it
    MeasuredRoot policy_root = MeasuredRoot::if_logged;
    friend bool operator==(const EventLogRule&, const EventLogRule&) = default;
};

/// What a trust domain may be and run on, beside its pins.
struct TdxRule {
    std::set<ByteArray<48>> mr_seam;  ///< TDX modules; empty: any that Intel's TCB info covers
    std::set<ByteArray<48>> mr_signer_seam{{}};  ///< zero: Intel
    std::set<ByteArray<48>> mr_service_td{{}};   ///< zero: no service TD is bound
    std::set<TdFreedom> allow;
    /// XFAM bits that may be set: all that TDX 1.5 knows.
    std::uint64_t xfam = 0x0006dbe7;
    /// Absent: no log is needed; one that is given must replay all the same.
    std::optional<EventLogRule> event_log;
    friend bool operator==(const TdxRule&, const TdxRule&) = default;
};

/// Continuity with what the caller saw before.
struct InstanceRule {
    ByteArray<16> id{};
    std::uint64_t min_generation = 0;
};

/// An appraisal policy. Plain data: appraise() decides by what it says, and whatever it leaves out
/// has the strict value written here.
struct Policy {
    std::string name;
    verify::Roots roots = verify::Roots::intel();
    std::set<std::string> tees{std::string(kTeeSgx)};
    std::vector<IdentityPin> identity;  ///< any of; none: every enclave is refused
    bool allow_any_identity = false;    ///< spelt out as kAnyIdentityWord in JSON
    std::set<std::string> bindings{std::string(kBindingV1Challenge),
                                   std::string(kBindingV2Challenge), std::string(kBindingCaCsr)};
    /// The largest age of TCB info, identities and lists, by their vendor's own dates; absent:
    /// until they end.
    std::optional<std::uint32_t> max_collateral_age_s;
    std::uint32_t max_evidence_age_s = 86400;  ///< for evidence that is not fresh by a nonce
    DebugRule debug = DebugRule::forbid;
    std::set<std::string> assurance{"production"};
    TcbRule tcb;
    TdxRule tdx;                         ///< for TDX only
    SnpRule snp;                         ///< for SEV-SNP only
    std::set<ByteArray<16>> platforms;   ///< Intel: instance id or PPID; empty: any
    std::map<oid::Oid, Bytes> required;  ///< extension values that the certificate must carry
    std::set<ByteArray<32>> ca;          ///< SHA-256 of the SPKI of a CA of the chain; empty: any
    std::optional<InstanceRule> instance;
    LeafBindingRule leaf_binding = LeafBindingRule::required;
    std::set<std::string> waivers;  ///< ids of checks that need not be evaluated
};

/// The ids that a waiver may name: checks that can be left out for want of an input and still leave
/// a verdict that means something. Without `qe.identity` whoever runs a machine could have a
/// quoting enclave of his own vouch for anything, so only emulated evidence, which protects nothing
/// anyway, may go without it.
std::span<const std::string_view> waivable_checks(verify::RootKind roots);

/// Parses and checks a policy.
/// errors:  those of json::parse; json::missing_member, unknown_member, wrong_type, out_of_range;
///          bad_encoding; oid::bad_oid; verify::bad_test_root and those of x509 (test roots);
///          bad_policy. The detail names the member.
/// source:  docs/formats/policy.md.
/// bound:   kMaxPolicyBytes, kMaxPolicyEntries.
[[nodiscard]] Result<Policy> parse_policy(ByteView in);

/// The policy as JSON with every member spelt out; parse_policy() of it gives the same policy.
json::Value policy_to_json(const Policy& policy);

/// The canonical bytes: compact, members and sets sorted, defaults spelt out, hex in lower case.
/// Two policies that demand the same have the same bytes, whatever their files look like.
std::string canonical_policy(const Policy& policy);

/// SHA-256 of canonical_policy().
crypto::Digest32 policy_hash(const Policy& policy);

/// One member that differs. Missing on one side is the empty string.
struct PolicyDifference {
    std::string path;  ///< JSON pointer, e.g. "/identity/0/mr_enclave"
    std::string before;
    std::string after;
};

/// What changed from one policy to another, sorted by path.
std::vector<PolicyDifference> diff_policies(const Policy& before, const Policy& after);

}  // namespace eos::attestation::appraise
