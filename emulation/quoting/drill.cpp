// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/drill.h"

#include <nlohmann/json.hpp>

#include "common/attestation/endorsements/endorsements.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"
#include "emulation/quoting/collateral.h"

namespace eos::emulation::quoting {

namespace {

using Json = nlohmann::ordered_json;
using x509::Certificate;

/// What differs from the undisturbed state.
struct Event {
    const char* name;
    const char* what;
    TcbStatement tcb = {};
    enum class Revoked { kNothing, kPck, kTcbSigner } revoked = Revoked::kNothing;
    enum class Validity { kCurrent, kEnded } validity = Validity::kCurrent;
};

const TcbStep kOlder{-1, "OutOfDate", {"EMULATED-SA-00001"}};

/// What the emulated Intel states about the platform for this kind of TEE.
Statements statements_of(const DrillSubject& subject, const Window& window,
                         const TcbStatement& tcb) {
    if (subject.tee == attestation::endorsements::IntelTee::tdx)
        return {tdx_tcb_info_json(subject.cpu, window, tcb), td_qe_identity_json(window)};
    return {tcb_info_json(subject.cpu, window, tcb), qe_identity_json(window)};
}

std::vector<Event> events() {
    const std::string advisory = "EMULATED-SA-00002";
    return {
        {.name = "unchanged", .what = "nothing happened"},
        {.name = "tcb-bar-raised",
         .what = "a TCB recovery: evaluation data number 18, the platform needs new microcode",
         .tcb = {18, {{1, "UpToDate", {}}, {0, "OutOfDate", {advisory}}, kOlder}}},
        {.name = "sw-hardening-needed",
         .what = "an advisory that the enclave's own code must answer",
         .tcb = {18, {{0, "SWHardeningNeeded", {advisory}}, kOlder}}},
        {.name = "configuration-needed",
         .what = "an advisory that a firmware setting answers",
         .tcb = {18, {{0, "ConfigurationNeeded", {advisory}}, kOlder}}},
        {.name = "svn-rolled-back",
         .what = "the platform's microcode is one SVN lower than the bar, as after a downgrade",
         .tcb = {17, {{1, "UpToDate", {}}, kOlder}}},
        {.name = "tcb-level-revoked",
         .what = "the platform's TCB level is revoked",
         .tcb = {18, {{1, "UpToDate", {}}, {0, "Revoked", {advisory}}}}},
        {.name = "tcb-unsupported",
         .what = "no TCB level is left for the platform",
         .tcb = {18, {{1, "UpToDate", {}}}}},
        {.name = "pck-revoked",
         .what = "this platform's PCK certificate is revoked",
         .revoked = Event::Revoked::kPck},
        {.name = "tcb-signer-revoked",
         .what = "the certificate that signs TCB info is revoked",
         .revoked = Event::Revoked::kTcbSigner},
        {.name = "collateral-expired",
         .what = "nobody refreshed statements and lists, and they ended",
         .validity = Event::Validity::kEnded},
        {.name = "evaluation-number-rolled-back",
         .what = "older, still unexpired TCB info is shown: evaluation data number 16",
         .tcb = {16}},
    };
}

/// A list of `issuer`, with `revoked` if that is given.
Bytes list_of(const Certificate& issuer, const crypto::P256PrivateKey& key, const Window& window,
              const Certificate* revoked) {
    std::vector<x509::RevokedCertificate> entries;
    if (revoked != nullptr) entries.push_back({revoked->serial(), window.from, {}});
    return x509::make_crl({.issuer = issuer.subject_tlv(),
                           .this_update = window.from,
                           .next_update = window.to,
                           .number = 2,
                           .revoked = entries,
                           .authority_key_identifier = issuer.subject_key_identifier()},
                          key);
}

}  // namespace

Result<std::vector<Drill>> make_drills(const DrillSubject& subject, UnixTime now) {
    const auto chain = EOS_TRY(x509::parse_pem_chain(as_bytes(subject.pck_chain_pem)));
    const auto issued =
        EOS_TRY(attestation::endorsements::parse_endorsements(as_bytes(subject.collateral_json)));
    if (chain.size() != 3 || !issued.tcb_info) return fail(inconsistent_keys);
    const std::string& signing_chain = issued.tcb_info->issuer_chain_pem;
    const auto signers = EOS_TRY(x509::parse_pem_chain(as_bytes(signing_chain)));

    std::vector<Drill> out;
    std::vector<Event> all = events();
    if (subject.tee == attestation::endorsements::IntelTee::tdx) {
        all.push_back({.name = "tdx-module-bar-raised",
                       .what = "the platform is as it should be, its TDX module is one SVN behind",
                       .tcb = {.evaluation_data_number = 18, .tdx_module_above = 1}});
    }
    for (const Event& event : all) {
        const bool ended = event.validity == Event::Validity::kEnded;
        const Window window{.from = now - (ended ? 30 : 1) * kSecondsPerDay,
                            .to = ended ? now - 1 : now + 30 * kSecondsPerDay};
        using Revoked = Event::Revoked;
        const CollateralParts parts{
            .root_ca_crl = list_of(chain[2], subject.issuing.root, window,
                                   event.revoked == Revoked::kTcbSigner ? &signers[0] : nullptr),
            .pck_crl = list_of(chain[1], subject.issuing.platform_ca, window,
                               event.revoked == Revoked::kPck ? &chain[0] : nullptr),
            .pck_crl_issuer_chain_pem = issued.pck_crl_issuer_chain_pem,
            .tcb_signing_chain_pem = signing_chain};
        out.push_back({event.name, event.what,
                       collateral_json(statements_of(subject, window, event.tcb), parts,
                                       subject.issuing.tcb_signing)});
    }
    return out;
}

std::string drills_json(const std::vector<Drill>& drills) {
    Json events = Json::array();
    for (const Drill& drill : drills) {
        events.push_back({{"name", drill.name},
                          {"what", drill.what},
                          {"collateral", Json::parse(drill.collateral_json)}});
    }
    const Json out = {{"format", "enclave-os-drill"}, {"version", 1}, {"events", events}};
    return out.dump(2) + "\n";
}

}  // namespace eos::emulation::quoting
