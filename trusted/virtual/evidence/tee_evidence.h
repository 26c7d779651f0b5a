// SPDX-License-Identifier: AGPL-3.0-only
// Where a program inside a confidential VM gets evidence about that VM. Evidence is the VM's, not
// the caller's: any process that reaches these files could have any claim signed, so only the
// minter does, and it can only ask with a ratls::ReportData.
//
// Tried with the emulator (docs/virtual-evidence.md), never on silicon.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/oid/oid.h"
#include "common/ratls/report_data.h"

namespace eos::cvm {

inline constexpr std::string_view kEvidenceLibrary = "trusted/virtual/evidence";
inline constexpr Code no_tee{
    kEvidenceLibrary, "no_tee",
    "this is no confidential VM that Linux knows: neither configfs-tsm has a provider nor is there "
    "a guest device; check that the VM was started as a TDX or SEV-SNP guest, that the kernel has "
    "tdx_guest or sev-guest, and that configfs is mounted on /sys/kernel/config"};
inline constexpr Code unknown_provider{
    kEvidenceLibrary, "unknown_provider",
    "configfs-tsm has a provider that is neither tdx_guest nor sev_guest"};
inline constexpr Code provider_gone{
    kEvidenceLibrary, "provider_gone",
    "configfs-tsm has lost its provider: load the module tdx_guest or sev-guest again"};
inline constexpr Code provider_changed{
    kEvidenceLibrary, "provider_changed",
    "configfs-tsm has another provider than when this program started: restart it"};
inline constexpr Code not_permitted{
    kEvidenceLibrary, "not_permitted",
    "the kernel does not let this user ask for evidence: configfs entries belong to root, so the "
    "minter's unit needs CAP_DAC_OVERRIDE"};
inline constexpr Code evidence_deadline{
    kEvidenceLibrary, "evidence_deadline",
    "the kernel was busy until the deadline: something else has evidence made, or the host stalls"};
inline constexpr Code host_timed_out{
    kEvidenceLibrary, "host_timed_out",
    "the host's quoting service did not answer in time: the cloud's operator must look at it"};
inline constexpr Code firmware_key_gone{
    kEvidenceLibrary, "firmware_key_gone",
    "the guest's key to AMD's firmware (VMPCK) is gone: Linux wipes it when a request to the "
    "firmware fails, and there is no evidence until the guest has been rebooted"};
inline constexpr Code kernel_refused{kEvidenceLibrary, "kernel_refused",
                                     "the kernel did not give evidence"};
inline constexpr Code generation_changed{
    kEvidenceLibrary, "generation_changed",
    "another process wrote to the request; its answer was thrown away"};
inline constexpr Code malformed_attribute{
    kEvidenceLibrary, "malformed_attribute",
    "an attribute of configfs-tsm does not read as it should"};
inline constexpr Code answer_too_large{kEvidenceLibrary, "answer_too_large",
                                       "the answer is larger than any real one"};
inline constexpr Code wrong_report{
    kEvidenceLibrary, "wrong_report",
    "the evidence is about other report data than was asked for; it was thrown away"};

/// Which TEE the VM runs in.
enum class TeeKind : std::uint8_t { kTdx, kSevSnp };

/// "Intel TDX", "AMD SEV-SNP".
std::string_view tee_name(TeeKind kind);

/// The extension that a leaf carries this TEE's evidence in.
const oid::Oid& evidence_oid(TeeKind kind);

/// What the VM's own report says about it; the value of a leaf's assurance. kDebug: the host may
/// look inside (TD attributes under test: DEBUG and its kin; guest policy bit DEBUG), as in all
/// emulation.
enum class Assurance : std::uint8_t { kProduction, kDebug };

/// "production", "debug".
std::string_view assurance_name(Assurance assurance);

/// Evidence whose report body holds the report data that was asked for. Its signature was not
/// checked: nobody inside the VM need believe it.
struct FreshEvidence {
    TeeKind kind = TeeKind::kTdx;
    /// As leaves and the verifier carry it: a TDX quote (version 4 or 5, as the host's service
    /// makes it; padding removed), or an SNP report followed by its certificate table.
    Bytes bytes;
    Assurance assurance = Assurance::kDebug;
};

using Deadline = std::chrono::steady_clock::time_point;

/// Time, as a parameter.
struct Waiting {
    std::function<std::chrono::steady_clock::time_point()> now;
    std::function<void(std::chrono::milliseconds)> sleep;

    static Waiting real();
};

/// Gives evidence about this VM. threads: one thread at a time; every call may block, by kernel and
/// host for seconds (Linux asks a TDX host every second, for up to 30), so it runs on a thread of
/// its own.
class TeeEvidence {
  public:
    virtual ~TeeEvidence() = default;

    virtual TeeKind kind() const = 0;

    /// Evidence over `report_data`. The deadline ends waiting and new attempts; a call into the
    /// kernel that is under way is not cut short.
    /// errors:  provider_gone, provider_changed, not_permitted, evidence_deadline, host_timed_out,
    ///          firmware_key_gone, kernel_refused, generation_changed, malformed_attribute,
    ///          answer_too_large, wrong_report, and those of
    ///          attestation::evidence::parse_evidence().
    [[nodiscard]] virtual Result<FreshEvidence> evidence(const ratls::ReportData& report_data,
                                                         Deadline deadline) = 0;
};

/// The one gate through which evidence leaves this folder: it parses, is of this TEE, and its
/// report body holds `report_data`.
/// in:      what the kernel gave: a quote, or a report with its certificate table (or nothing)
///          behind it. Zeros behind a quote are left out, and of a table the entries that are no
///          certificates of the report's chain.
/// errors:  wrong_report, those of attestation::evidence::parse_evidence().
[[nodiscard]] Result<FreshEvidence> check_answer(TeeKind kind, ByteView answer,
                                                 const ratls::ReportData& report_data);

/// Where Linux keeps it. Parameters, so that the emulator can stand in at any path.
struct EvidencePaths {
    std::string tsm_report = "/sys/kernel/config/tsm/report";
    std::string sev_guest = "/dev/sev-guest";
    std::string tdx_guest = "/dev/tdx_guest";  ///< gives no quote; errors say whether it is there
};

/// What this machine has, and in words for people where that comes from: "configfs-tsm
/// (tdx_guest)", "configfs-tsm (sev_guest)", "/dev/sev-guest".
struct FoundEvidence {
    std::unique_ptr<TeeEvidence> evidence;  ///< never null
    std::string source;
};

/// Looks at what this machine has: configfs-tsm first, then the device of SEV-SNP.
/// errors:  no_tee, unknown_provider, not_permitted, kernel_refused.
[[nodiscard]] Result<FoundEvidence> find_evidence(const EvidencePaths& paths = {},
                                                  Waiting waiting = Waiting::real());

/// What find_evidence() finds.
/// returns: never null.
[[nodiscard]] Result<std::unique_ptr<TeeEvidence>> open_evidence(const EvidencePaths& paths = {},
                                                                 Waiting waiting = Waiting::real());

}  // namespace eos::cvm
