// SPDX-License-Identifier: AGPL-3.0-only
// sev-snp-emulator: one emulated chip of AMD's, and everything that vouches for it, as files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/attestation/endorsements/bundle.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/report_data.h"
#include "common/x509/pem.h"
#include "emulation/snp/synthetic_amd.h"

namespace {

using eos::Bytes;
using Json = nlohmann::ordered_json;
using eos::ByteView;
using eos::Result;
using eos::emulation::snp::SyntheticAmd;

constexpr eos::Code file_unwritable{"emulation/snp", "file_unwritable",
                                    "a file of the emulated chip cannot be written"};
constexpr std::size_t kRsaBits = 2048;  // AMD's have 4096, which take seconds to make

struct Options {
    std::string directory;
    std::string product = "genoa";
};

eos::UnixTime now() {
    using namespace std::chrono;
    return {duration_cast<seconds>(system_clock::now().time_since_epoch()).count()};
}

Result<void> write(const Options& options, const char* name, ByteView content) {
    const std::string path = (std::filesystem::path(options.directory) / name).string();
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(content.data()),
              static_cast<std::streamsize>(content.size()));
    out.close();
    if (!out) return eos::fail(file_unwritable, path);
    return {};
}

std::string pem(const eos::x509::Certificate& certificate) {
    return eos::x509::encode_pem("CERTIFICATE", certificate.der());
}

/// A chip of its own, in report and certificate; Turin's have ids of 8 bytes.
void name_chip(SyntheticAmd& amd) {
    constexpr std::size_t kTurinIdBytes = 8;
    const bool turin = amd.vek.product == eos::snp_arch::Product::turin;
    auto id = eos::crypto::random_array<64>();
    if (turin) std::fill(id.begin() + kTurinIdBytes, id.end(), std::byte{0});
    amd.report.chip_id = id;
    amd.vek.chip_id = id;
}

/// The leaf of a guest on this chip, in mode A; `amd` then signs the report that it carries.
Bytes make_leaf(SyntheticAmd& amd, eos::UnixTime time) {
    const eos::UnixTime minute{time.seconds - time.seconds % 60};
    const auto key = eos::crypto::P256PrivateKey::generate();
    amd.report.report_data = eos::to_array<64>(
        eos::ratls::ReportData::v1_deterministic(key.public_key(), minute).bytes());
    const Bytes evidence = amd.evidence();
    eos::ratls::LeafContent content;
    content.name = "guest.example.test";
    content.not_before = minute;
    content.not_after = minute + eos::ratls::kDeterministicLifeSeconds;
    content.evidence = evidence;
    content.evidence_oid = eos::oid::kSnpReport;
    content.assurance = "debug";
    return eos::ratls::mint_leaf(content, key, nullptr);
}

/// What vendor and policies would say after an event, for `enclavectl rehearse`.
/// source: docs/formats/drill.md.
struct Drill {
    const char* name;
    const char* what;
    std::vector<eos::x509::Serial> ark_revoked;
    std::vector<eos::x509::Serial> ask_revoked;
    enum class Effect { kNone, kListsEnded, kBarRaised } effect = Effect::kNone;
};

Json to_json(SyntheticAmd& amd, const Drill& drill) {
    const auto current = amd.crl_validity;
    if (drill.effect == Drill::Effect::kListsEnded)
        amd.crl_validity = {now() - 30 * eos::kSecondsPerDay, now() - 1};
    amd.ark_revoked = drill.ark_revoked;
    amd.ask_revoked = drill.ask_revoked;
    Json out = {
        {"name", drill.name},
        {"what", drill.what},
        {"collateral",
         {{"amd_ark_crl", eos::hex(amd.ark_crl())}, {"amd_ask_crl", eos::hex(amd.ask_crl())}}}};
    amd.crl_validity = current;
    amd.ark_revoked.clear();
    amd.ask_revoked.clear();
    if (drill.effect != Drill::Effect::kBarRaised) return out;
    const eos::snp_arch::Tcb& has = amd.vek.tcb;
    Json bar = {{"boot_loader", has.boot_loader},
                {"tee", has.tee},
                {"snp", has.snp + 1},
                {"microcode", has.microcode + 1}};
    if (amd.vek.product == eos::snp_arch::Product::turin) bar["fmc"] = has.fmc;
    out["snp_min_tcb"] = {{eos::attestation::endorsements::piece_key(amd.vek.product), bar}};
    return out;
}

std::string drills_json(SyntheticAmd& amd) {
    const std::vector<Drill> drills{
        {"unchanged", "nothing happened", {}, {}},
        {"tcb-bar-raised",
         "policies demand the SNP firmware and microcode after this chip's",
         {},
         {},
         Drill::Effect::kBarRaised},
        {"ask-revoked",
         "the CA that certifies the chips of this product is revoked",
         {amd.ask_recipe.serial},
         {}},
        {"vcek-revoked",
         "this chip's certificate is revoked, in a list that AMD does not publish",
         {},
         {amd.vek_recipe.serial}},
        {"collateral-expired",
         "nobody refreshed the lists, and they ended",
         {},
         {},
         Drill::Effect::kListsEnded}};
    Json events = Json::array();
    for (const Drill& drill : drills) events.push_back(to_json(amd, drill));
    return Json({{"format", "enclave-os-drill"}, {"version", 1}, {"events", events}}).dump(2) +
           "\n";
}

Result<void> init(const Options& options) {
    const auto keys = eos::emulation::snp::AuthorityKeys::generate(kRsaBits);
    const auto product = eos::attestation::endorsements::product_from_key(options.product);
    SyntheticAmd amd(keys, *product, now());
    name_chip(amd);
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    const Bytes leaf = make_leaf(amd, now());
    const Bytes vcek = eos::to_bytes(amd.vek_certificate().der());
    EOS_TRY(write(options, "drill.json", eos::as_bytes(drills_json(amd))));
    EOS_TRY(write(options, "root.pem", eos::as_bytes(pem(amd.ark()))));
    EOS_TRY(write(options, "vcek_chain.pem", eos::as_bytes(pem(amd.ask()) + pem(amd.ark()))));
    EOS_TRY(write(options, "vlek_chain.pem", eos::as_bytes(pem(amd.asvk()) + pem(amd.ark()))));
    EOS_TRY(write(options, "crl.der", amd.ark_crl()));
    EOS_TRY(write(options, "vcek.der", vcek));
    EOS_TRY(write(options, "report.bin", amd.signed_report()));
    EOS_TRY(write(options, "evidence.bin", amd.evidence()));
    EOS_TRY(write(options, "leaf.pem", eos::as_bytes(eos::x509::encode_pem("CERTIFICATE", leaf))));
    std::printf(
        "EMULATED SEV-SNP: it protects nothing, and its keys are forgotten now.\n"
        "chip:      %s\ntest root: %s/root.pem\n",
        eos::hex(amd.report.chip_id).c_str(), options.directory.c_str());
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Emulated chip of AMD's with SEV-SNP. Protects nothing.", "sev-snp-emulator");
    app.require_subcommand(1);
    Options options;
    CLI::App* init_command = app.add_subcommand(
        "init", "Make a chip and its AMD: root, CAs, VCEK, list, a report and a leaf with one");
    init_command->add_option("--dir", options.directory, "Directory for the files")->required();
    init_command->add_option("--product", options.product)
        ->check(CLI::IsMember({"milan", "genoa", "turin"}))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    const Result<void> done = init(options);
    if (done) return 0;
    std::fprintf(stderr, "sev-snp-emulator: %s\n", done.error().message().c_str());
    return 1;
}
