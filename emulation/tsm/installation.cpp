// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/installation.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <utility>

#include "common/attestation/appraise/policy.h"
#include "common/attestation/endorsements/bundle.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/x509/pem.h"
#include "emulation/quoting/drill.h"
#include "emulation/quoting/platform_directory.h"
#include "emulation/snp/synthetic_amd.h"

namespace eos::emulation::tsm {

namespace {

namespace fs = std::filesystem;
namespace appraise = attestation::appraise;
using attestation::evidence::TdReportKind;
using snp::SyntheticAmd;
using snp_arch::Product;

constexpr std::size_t kRsaBits = 2048;  // AMD's have 4096, which take seconds to make
constexpr std::size_t kTurinIdBytes = 8;
constexpr const char* kPolicyFile = "policy.json";
constexpr const char* kBootLogFile = "boot-log.json";
constexpr const char* kChipKeyFile = "chip.key";
constexpr const char* kProvider = "CN=cc-lab.example";

constexpr std::array<std::pair<std::string_view, Machine>, 5> kMachines{
    {{"tdx-v4", Machine::kTdxV4},
     {"tdx-v5", Machine::kTdxV5},
     {"snp-milan", Machine::kSnpMilan},
     {"snp-genoa", Machine::kSnpGenoa},
     {"snp-turin", Machine::kSnpTurin}}};

/// Intel's word for the state of a platform, and the drill in which it has it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kStatuses{
    {{"UpToDate", "unchanged"},
     {"OutOfDate", "tcb-bar-raised"},
     {"SWHardeningNeeded", "sw-hardening-needed"},
     {"ConfigurationNeeded", "configuration-needed"},
     {"Revoked", "tcb-level-revoked"}}};

Product product_of(Machine machine) {
    if (machine == Machine::kSnpMilan) return Product::milan;
    return machine == Machine::kSnpGenoa ? Product::genoa : Product::turin;
}

/// A file of a vendor's directory, to be made.
struct NewFile {
    fs::path path;
    fs::perms mode = fs::perms{0644};
};

Result<void> write_file(const NewFile& file, ByteView content) {
    std::ofstream out(file.path, std::ios::binary | std::ios::trunc);
    std::error_code error;
    fs::permissions(file.path, file.mode, error);  // before there is anything to read
    out.write(as_chars(content).data(), static_cast<std::streamsize>(content.size()));
    out.close();
    if (!out || error) return fail(installation_unusable, file.path.string());
    return {};
}

Result<void> write_file(const NewFile& file, const std::string& content) {
    return write_file(file, as_bytes(content));
}

std::string pem(const x509::Certificate& certificate) {
    return x509::encode_pem("CERTIFICATE", certificate.der());
}

/// What every emulated guest's policy says; the caller adds TEE and pin.
Result<appraise::Policy> emulated_policy(std::string name, const x509::Certificate& root) {
    appraise::Policy out;
    out.roots = EOS_TRY(attestation::verify::Roots::test({{name, root}}));
    out.name = std::move(name);
    out.assurance = {"debug"};
    out.debug = appraise::DebugRule::allow_emulated;
    return out;
}

Result<void> write_policy(const fs::path& directory, const appraise::Policy& policy) {
    return write_file({directory / kPolicyFile}, appraise::canonical_policy(policy) + "\n");
}

Result<void> init_tdx(const fs::path& directory, UnixTime now) {
    EOS_TRY(quoting::init_platform(directory, quoting::Overwrite::kNo, now));
    const Bytes root_pem = EOS_TRY(quoting::read_file(directory / quoting::kRootFile));
    const auto roots = EOS_TRY(x509::parse_pem_certificates(as_chars(root_pem)));
    appraise::Policy policy = EOS_TRY(emulated_policy("emulated TDX", roots.at(0)));
    policy.tees = {std::string(appraise::kTeeTdx)};
    appraise::TdPin pin{.mr_td = emulated_mr_td()};
    const attestation::event_log::Rtmrs rtmrs = Registers().rtmrs();
    for (std::size_t i = 0; i < 3; ++i) pin.rtmr.at(i) = rtmrs.at(i);
    policy.identity = {{pin, {}}};
    EOS_TRY(write_policy(directory, policy));
    return write_file({directory / kBootLogFile},
                      attestation::event_log::encode_runtime_log(boot_log()));
}

/// What the guest is, and the chip that it runs on.
void describe_guest(SyntheticAmd& amd, const ByteArray<64>& chip_id) {
    amd.report.policy.raw |= snp_arch::kPolicyDebug;
    if (amd.vek.kind != snp_arch::SigningKey::vcek) return;
    amd.report.chip_id = chip_id;
    amd.vek.chip_id = chip_id;
}

ByteArray<64> new_chip_id(Product product) {
    auto id = crypto::random_array<64>();
    if (product == Product::turin) std::fill(id.begin() + kTurinIdBytes, id.end(), std::byte{0});
    return id;
}

/// The security versions before the present ones.
snp_arch::Tcb older(snp_arch::Tcb tcb) {
    --tcb.snp;
    --tcb.microcode;
    return tcb;
}

Result<void> write_reports(SyntheticAmd& amd, const fs::path& directory) {
    const ByteArray<64> chip_id = new_chip_id(amd.vek.product);
    const snp_arch::Tcb present = amd.vek.tcb;
    const auto write = [&](const char* name) {
        describe_guest(amd, chip_id);
        return write_file({directory / name}, amd.evidence());
    };
    EOS_TRY(write("vcek-UpToDate.bin"));
    amd.set_tcb(older(present));
    EOS_TRY(write("vcek-OutOfDate.bin"));
    amd.set_kind(snp_arch::SigningKey::vlek);
    EOS_TRY(write("vlek-OutOfDate.bin"));
    amd.set_tcb(present);
    return write("vlek-UpToDate.bin");
}

Result<void> init_snp(const fs::path& directory, Product product, UnixTime now) {
    std::error_code error;
    if (!fs::create_directory(directory, error))
        return fail(installation_unusable, directory.string());
    const auto keys = snp::AuthorityKeys::generate(kRsaBits);
    SyntheticAmd amd(keys, product, now);
    EOS_TRY(write_file({directory / "root.pem"}, pem(amd.ark())));
    EOS_TRY(write_file({directory / "vcek_chain.pem"}, pem(amd.ask()) + pem(amd.ark())));
    EOS_TRY(write_file({directory / "vlek_chain.pem"}, pem(amd.asvk()) + pem(amd.ark())));
    EOS_TRY(write_file({directory / "crl.der"}, amd.ark_crl()));
    EOS_TRY(write_file({directory / "collateral.json"},
                       "{\"amd_ark_crl\":\"" + hex(amd.ark_crl()) + "\"}\n"));
    const SecretBytes chip_key = amd.vek_key.to_pkcs8();
    EOS_TRY(write_file({directory / kChipKeyFile, fs::perms{0600}}, chip_key.view()));
    const std::string product_text(snp_arch::product_name(product));
    appraise::Policy policy =
        EOS_TRY(emulated_policy("emulated SEV-SNP " + product_text, amd.ark()));
    policy.tees = {std::string(appraise::kTeeSnp)};
    policy.snp.products = {product};
    policy.snp.min_tcb = {{product, amd.vek.tcb}};
    policy.snp.csp_ids = {kProvider};
    policy.identity = {{appraise::SnpPin{.measurement = amd.report.measurement}, {}}};
    EOS_TRY(write_policy(directory, policy));
    return write_reports(amd, directory);
}

/// A TDX guest: the TDX module makes its report from the registers, the quoting enclave signs.
class TdxMachine final : public ReportMaker {
  public:
    TdxMachine(quoting::TdQuotingEnclave enclave, TdReportKind kind, const Registers& registers)
        : enclave_(std::move(enclave)), kind_(kind), registers_(registers) {}

    std::string provider() const override { return "tdx_guest"; }
    bool has_privilege_levels() const override { return false; }
    unsigned privilege_level_floor() const override { return 0; }
    Result<MadeReport> make(const ByteArray<64>& report_data, unsigned) override {
        auto report = quoting::emulated_td_report(kind_);
        report.mr_td = emulated_mr_td();
        report.rtmr = registers_.rtmrs();
        report.report_data = report_data;
        return MadeReport{.outblob = EOS_TRY(enclave_.quote(report)), .auxblob = {}};
    }

  private:
    quoting::TdQuotingEnclave enclave_;
    TdReportKind kind_;
    const Registers& registers_;
};

/// A guest of SEV-SNP: the firmware fills in the report data and signs, the host adds its table.
class SnpMachine final : public ReportMaker {
  public:
    /// How it was set up from outside.
    struct Host {
        Bytes table;  ///< empty: it has no certificates
        unsigned vmpl = 0;
    };
    SnpMachine(crypto::P384PrivateKey key, snp_arch::Report report, Host host)
        : key_(std::move(key)), report_(std::move(report)), host_(std::move(host)) {}

    std::string provider() const override { return "sev_guest"; }
    bool has_privilege_levels() const override { return true; }
    unsigned privilege_level_floor() const override { return host_.vmpl; }
    Result<MadeReport> make(const ByteArray<64>& report_data, unsigned privilege_level) override {
        report_.report_data = report_data;
        report_.vmpl = privilege_level;
        const auto unsigned_bytes = encode(report_);
        report_.signature = key_.sign_raw(ByteView(unsigned_bytes).first(snp_arch::kSignedBytes));
        return MadeReport{.outblob = to_bytes(encode(report_)), .auxblob = host_.table};
    }

  private:
    crypto::P384PrivateKey key_;
    snp_arch::Report report_;
    Host host_;
};

Result<std::unique_ptr<ReportMaker>> load_snp(const fs::path& directory,
                                              const MachineOptions& options) {
    if (options.tcb_status != "UpToDate" && options.tcb_status != "OutOfDate")
        return fail(not_offered, "an SNP machine is UpToDate or OutOfDate");
    const std::string key_name = options.snp_key == SnpKey::kVcek ? "vcek" : "vlek";
    const Bytes template_bytes =
        EOS_TRY(quoting::read_file(directory / (key_name + "-" + options.tcb_status + ".bin")));
    const auto evidence = EOS_TRY(attestation::evidence::parse_snp_evidence(template_bytes));
    const SecretBytes key(EOS_TRY(quoting::read_file(directory / kChipKeyFile)));
    SnpMachine::Host host{.table = {}, .vmpl = options.vmpl};
    if (options.snp_certificates == SnpCertificates::kFromHost)
        host.table = to_bytes(ByteView(template_bytes).subspan(snp_arch::kReportBytes));
    return std::make_unique<SnpMachine>(EOS_TRY(crypto::P384PrivateKey::from_pkcs8(key.view())),
                                        evidence.report, std::move(host));
}

}  // namespace

Result<Machine> machine_from_name(std::string_view name) {
    for (const auto& [known, machine] : kMachines)
        if (known == name) return machine;
    return fail(unknown_machine, printable(as_bytes(name)));
}

std::string vendor_directory(Machine machine) {
    switch (machine) {
        case Machine::kTdxV4:
        case Machine::kTdxV5:
            return "tdx";
        case Machine::kSnpMilan:
            return "snp-milan";
        case Machine::kSnpGenoa:
            return "snp-genoa";
        case Machine::kSnpTurin:
            return "snp-turin";
    }
    return {};
}

Result<void> init_installation(const fs::path& directory, UnixTime now) {
    std::error_code error;
    fs::create_directory(directory, error);
    if (!fs::is_directory(directory, error) || !fs::is_empty(directory, error))
        return fail(installation_unusable, directory.string() + ": must be new or empty");
    EOS_TRY(init_tdx(directory / vendor_directory(Machine::kTdxV4), now));
    for (const Machine machine : {Machine::kSnpMilan, Machine::kSnpGenoa, Machine::kSnpTurin})
        EOS_TRY(init_snp(directory / vendor_directory(machine), product_of(machine), now));
    return {};
}

Result<std::string> tdx_collateral(const fs::path& directory, const std::string& status,
                                   UnixTime now) {
    const auto named = std::ranges::find(kStatuses, status, [](const auto& s) { return s.first; });
    if (named == kStatuses.end()) return fail(not_offered, "TCB status " + status);
    const fs::path tdx = directory / vendor_directory(Machine::kTdxV4);
    const quoting::QuotingEnclave enclave = EOS_TRY(quoting::load_platform(tdx));
    const quoting::IssuingKeys keys = EOS_TRY(quoting::load_issuing_keys(tdx));
    const quoting::DrillSubject subject{
        .cpu = enclave.cpu().identity(),
        .issuing = keys,
        .pck_chain_pem = to_string(EOS_TRY(quoting::read_file(tdx / quoting::kChainFile))),
        .collateral_json =
            to_string(EOS_TRY(quoting::read_file(tdx / quoting::kTdxCollateralFile))),
        .tee = attestation::endorsements::IntelTee::tdx};
    for (quoting::Drill& drill : EOS_TRY(quoting::make_drills(subject, now)))
        if (drill.name == named->second) return std::move(drill.collateral_json);
    return fail(not_offered, "TCB status " + status);
}

Result<std::unique_ptr<ReportMaker>> load_machine(const fs::path& directory, Machine machine,
                                                  const MachineOptions& options,
                                                  const Registers& registers) {
    const fs::path vendor = directory / vendor_directory(machine);
    if (!is_tdx(machine)) return load_snp(vendor, options);
    if (options != MachineOptions{}) {
        return fail(not_offered,
                    "--tcb, --key, --vmpl and --no-certificates are SNP's: a TD's status is what "
                    "its collateral says, see `tsm-emulator collateral --tcb`");
    }
    const auto kind = machine == Machine::kTdxV4 ? TdReportKind::tdx10 : TdReportKind::tdx15;
    return std::make_unique<TdxMachine>(EOS_TRY(quoting::load_td_platform(vendor)), kind,
                                        registers);
}

}  // namespace eos::emulation::tsm
