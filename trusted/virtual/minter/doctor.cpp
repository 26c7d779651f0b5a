// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/doctor.h"

#include <sys/utsname.h>

#include <chrono>

#include "trusted/virtual/evidence/measurement.h"

namespace eos::cvm {
namespace {

using Kind = Finding::Kind;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};

std::string kernel() {
    utsname name{};
    return ::uname(&name) == 0 ? std::string(name.sysname) + " " + name.release : "unknown";
}

// About a key that is thrown away.
void try_quote(TeeEvidence& evidence, std::vector<Finding>& out) {
    const auto key = crypto::P256PrivateKey::generate();
    const Clock::time_point begin = Clock::now();
    Result<FreshEvidence> quote = evidence.evidence(
        ratls::ReportData::v1_deterministic(key.public_key(), UnixTime{0}), begin + kPatience);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    if (!quote) {
        out.push_back({Kind::kBad, "quote", quote.error().message()});
        return;
    }
    out.push_back(
        {Kind::kGood, "quote",
         std::to_string(quote->bytes.size()) + " bytes in " + std::to_string(ms.count()) + " ms"});
    const bool is_production = quote->assurance == Assurance::kProduction;
    out.push_back({is_production ? Kind::kGood : Kind::kNote, "assurance",
                   std::string(assurance_name(quote->assurance)) +
                       (is_production ? "" : ": the host may look inside, or it is emulated")});
}

Finding register_finding(TeeKind kind) {
    if (kind != TeeKind::kTdx)
        return {Kind::kNote, "policy register", "SEV-SNP has none: policies are in leaves only"};
    Result<std::unique_ptr<RuntimeRegister>> rtmr3 = open_rtmr3();
    if (!rtmr3) return {Kind::kBad, "policy register", rtmr3.error().message()};
    const Result<Digest48> value = (*rtmr3)->read();
    if (!value) return {Kind::kBad, "policy register", value.error().message()};
    if (Result<void> may = (*rtmr3)->expect_extendable(); !may)
        return {Kind::kBad, "policy register", may.error().message()};
    return {Kind::kGood, "policy register", "RTMR3 can be read and extended"};
}

}  // namespace

std::vector<Finding> examine_machine(const EvidencePaths& paths) {
    std::vector<Finding> out{{Kind::kGood, "kernel", kernel()}};
    Result<FoundEvidence> found = find_evidence(paths);
    if (!found) {
        out.push_back({Kind::kBad, "confidential VM", found.error().message()});
        return out;
    }
    const TeeKind kind = found->evidence->kind();
    out.push_back({Kind::kGood, "confidential VM", std::string(tee_name(kind))});
    out.push_back({Kind::kGood, "provider", found->source});
    try_quote(*found->evidence, out);
    out.push_back(register_finding(kind));
    return out;
}

}  // namespace eos::cvm
