// SPDX-License-Identifier: AGPL-3.0-only
// enclavectl measure: what evidence will show, computed from files. What --json prints is what
// `enclavectl why` expects.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <memory>

#include "client/cli/cli.h"
#include "client/event_log_files.h"
#include "client/files.h"
#include "client/measure/oci.h"
#include "client/measure/sgx.h"
#include "client/measure/snp.h"
#include "client/measure/tdx.h"
#include "client/measure/why.h"
#include "common/attestation/event_log/replay.h"
#include "common/base/encoding.h"
#include "common/config_tree/manifest.h"

namespace eos::client::cli {
namespace {

namespace event_log = attestation::event_log;

struct MeasureOptions {
    std::string file;
    std::string kernel;
    std::string initrd;
    std::string command_line;
    unsigned vcpus = 1;
    std::string vcpu_type = "EPYC-v4";
    std::string vcpu_signature;
    std::string guest_features = "0x1";
    std::string vmm = "qemu";
    std::string page_order = "page";
    std::string sigstruct;
};

/// Text for a person beside the members of the JSON.
struct Output {
    std::string text;
    json::Value value = json::Value::object();

    void add(const std::string& name, const std::string& content) {
        text += (text.empty() ? "" : "\n") + name +
                std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') + content;
        value[name] = content;
    }
};

int print(const Cli& cli, const Output& output) {
    cli.print(output.text, output.value);
    return kExitOk;
}

/// What the signer states of this very enclave. `why` compares the registers, not these numbers.
Result<void> add_sigstruct(Output& out, const std::string& file,
                           const crypto::Digest32& mr_enclave) {
    const Bytes bytes = EOS_TRY(read_file(file));
    Result<measure::Sigstruct> parsed = measure::parse_sigstruct(bytes);
    if (!parsed) return fail(std::move(parsed.error()).within(file));
    if (parsed->mr_enclave != mr_enclave) {
        return fail(measure::other_enclave, file + ": ENCLAVEHASH " + hex(parsed->mr_enclave) +
                                                ", the image's mr_enclave is " + hex(mr_enclave) +
                                                ": sign this image, or give the one it was made "
                                                "for");
    }
    out.add("mr_signer", hex(parsed->mr_signer));
    Output numbers;
    numbers.value = {{"isv_prod_id", parsed->isv_prod_id}, {"isv_svn", parsed->isv_svn}};
    out.text += "\nisv_prod_id " + std::to_string(parsed->isv_prod_id);
    out.text += "\nisv_svn     " + std::to_string(parsed->isv_svn);
    numbers.add("attributes", hex(parsed->attributes));
    numbers.add("attributes_mask", hex(parsed->attributes_mask));
    out.text += "\n" + numbers.text;
    out.value["sigstruct"] = numbers.value;
    return {};
}

Result<int> measure_enclave(const Cli& cli, const MeasureOptions& options) {
    const Bytes file = EOS_TRY(read_file(options.file, measure::kMaxBootFileBytes));
    Output out;
    out.value["tee"] = "sgx";
    if (as_chars(file).starts_with("ECREATE")) {
        const crypto::Digest32 mr_enclave = EOS_TRY(measure::measure_sgxs(file));
        out.add("mr_enclave", hex(mr_enclave));
        if (!options.sigstruct.empty()) EOS_TRY(add_sigstruct(out, options.sigstruct, mr_enclave));
        return print(cli, out);
    }
    if (!as_chars(file).starts_with("\x7f"
                                    "ELF")) {
        return fail(measure::bad_enclave_page,
                    "neither a program of the process back end (ELF) nor an SGXS stream");
    }
    if (!options.sigstruct.empty()) {
        return fail(measure::bad_sigstruct,
                    "a runner of the process back end has no signer: --sigstruct goes with an SGXS "
                    "stream");
    }
    const measure::ProcessIdentity identity = measure::process_identity(file);
    out.add("mr_enclave", hex(identity.mr_enclave));
    out.add("mr_signer", hex(identity.mr_signer));
    cli.remark("the identity of the process back end, which protects nothing");
    return print(cli, out);
}

Result<int> measure_wasm(const Cli& cli, const MeasureOptions& options) {
    const Bytes file = EOS_TRY(read_file(options.file));
    if (!as_chars(file).starts_with(std::string_view("\0asm", 4))) {
        return fail(measure::not_wasm, options.file);
    }
    Output out;
    out.add("workload_digest", hex(crypto::sha256(file)));
    return print(cli, out);
}

json::Value blob_json(const measure::OciBlob& blob) {
    return {{"media_type", blob.media_type},
            {"digest", "sha256:" + hex(blob.digest)},
            {"size", blob.size_bytes}};
}

Result<int> measure_oci(const Cli& cli, const MeasureOptions& options) {
    std::string text;
    json::Value value = json::Value::array();
    for (const measure::OciImage& image : EOS_TRY(measure::measure_oci_layout(options.file))) {
        json::Value layers = json::Value::array();
        for (const measure::OciBlob& layer : image.layers) layers.push_back(blob_json(layer));
        value.push_back({{"name", image.name},
                         {"platform", image.platform},
                         {"workload_digest", hex(image.manifest.digest)},
                         {"manifest", blob_json(image.manifest)},
                         {"config", blob_json(image.config)},
                         {"layers", layers}});
        if (!text.empty()) text += "\n";
        text += "manifest    sha256:" + hex(image.manifest.digest) + "  " +
                printable(as_bytes(image.name)) + " " + printable(as_bytes(image.platform));
        text += "\nconfig      sha256:" + hex(image.config.digest);
        for (const measure::OciBlob& layer : image.layers)
            text += "\nlayer       sha256:" + hex(layer.digest) + "  " +
                    std::to_string(layer.size_bytes) + " bytes";
    }
    cli.print(text, value);
    return kExitOk;
}

Result<int> measure_config(const Cli& cli, const MeasureOptions& options) {
    const Bytes file = EOS_TRY(read_file(options.file));
    const config_tree::Tree tree = EOS_TRY(config_tree::parse_manifest(file));
    Output out;
    out.add("root", hex(tree.root()));
    return print(cli, out);
}

/// The files of a direct boot, held while they are measured.
struct Boot {
    Bytes kernel;
    Bytes initrd;
    std::string command_line;

    measure::BootFiles files() const { return {kernel, initrd, command_line}; }
};

/// Other tools take /dev/null for "an empty one", which as a device has no size to read by.
Result<Bytes> read_boot_file(const std::string& option, const std::string& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        return fail(file_unreadable, path + " is not a regular file: leave " + option +
                                         " out if the guest is launched without one, or give an "
                                         "empty file if it is launched with an empty one");
    }
    return read_file(path, measure::kMaxBootFileBytes);
}

Result<std::optional<Boot>> read_boot(const MeasureOptions& options) {
    if (options.kernel.empty()) {
        if (options.initrd.empty() && options.command_line.empty()) return std::optional<Boot>();
        return fail(measure::bad_launch, "--initrd and --append belong to a --kernel");
    }
    Boot out;
    out.kernel = EOS_TRY(read_boot_file("--kernel", options.kernel));
    if (!options.initrd.empty()) out.initrd = EOS_TRY(read_boot_file("--initrd", options.initrd));
    out.command_line = options.command_line;
    return std::optional(std::move(out));
}

/// A number as C writes it: decimal, or hexadecimal after 0x.
Result<std::uint64_t> parse_number(const std::string& text, std::uint64_t max) {
    std::uint64_t out = 0;
    const bool is_hex = text.starts_with("0x");
    const std::string_view digits = std::string_view(text).substr(is_hex ? 2 : 0);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out, is_hex ? 16 : 10);
    if (error != std::errc() || end != digits.data() + digits.size() || out > max) {
        return fail(bad_encoding, "not a number, or too large: " + printable(as_bytes(text)));
    }
    return out;
}

std::string unknown_model(const std::string& model) {
    std::string out = "no vCPU model " + printable(as_bytes(model)) + ": known are";
    for (std::string_view name : measure::vcpu_names()) out += " " + std::string(name);
    return out + "; for another give --vcpu-signature, CPUID 1 EAX of the guest's CPU";
}

Result<measure::SnpLaunch> snp_launch(const MeasureOptions& options) {
    const Bytes image = EOS_TRY(read_file(options.file));
    measure::SnpLaunch launch;
    launch.metadata = EOS_TRY(measure::parse_sev_metadata(image));
    launch.firmware_pages = measure::firmware_pages_digest(image);
    launch.vcpus = options.vcpus;
    launch.guest_features = EOS_TRY(parse_number(options.guest_features, UINT64_MAX));
    if (!options.vcpu_signature.empty()) {
        launch.vcpu_signature =
            static_cast<std::uint32_t>(EOS_TRY(parse_number(options.vcpu_signature, UINT32_MAX)));
    } else if (auto signature = measure::vcpu_signature(options.vcpu_type)) {
        launch.vcpu_signature = *signature;
    } else {
        return fail(measure::bad_launch, unknown_model(options.vcpu_type));
    }
    if (options.vmm == "ec2") launch.vmm = measure::SnpVmm::ec2;
    if (options.vmm == "gce") launch.vmm = measure::SnpVmm::gce;
    if (auto boot = EOS_TRY(read_boot(options))) {
        launch.kernel = measure::hash_boot_files(boot->files());
    }
    return launch;
}

Result<int> measure_snp(const Cli& cli, const MeasureOptions& options) {
    const measure::SnpLaunch launch = EOS_TRY(snp_launch(options));
    Output out;
    out.value["tee"] = "snp";
    out.add("measurement", hex(EOS_TRY(measure::launch_digest(launch))));
    json::Value variants = json::Value::array();
    for (const measure::SnpVariant& variant : measure::usual_variants(launch)) {
        variants.push_back({{"change", variant.change},
                            {"register", "measurement"},
                            {"value", hex(variant.measurement)}});
    }
    out.value["variants"] = variants;
    return print(cli, out);
}

Result<void> add_direct_boot(Output& out, const Boot& boot) {
    const event_log::EventLog log = EOS_TRY(measure::direct_boot_log(boot.files()));
    const event_log::Rtmrs rtmrs = event_log::replay(log);
    out.add("rtmr1", hex(rtmrs[1]));
    out.add("rtmr2", hex(rtmrs[2]));
    out.value["events"] = json::parse(as_bytes(event_log::encode_runtime_log(log)), {}).value();
    return {};
}

Result<int> measure_tdx(const Cli& cli, const MeasureOptions& options) {
    const Bytes image = EOS_TRY(read_file(options.file));
    using measure::PageOrder;
    const std::string by_page = hex(EOS_TRY(measure::mrtd(image, PageOrder::page_by_page)));
    const std::string by_section =
        hex(EOS_TRY(measure::mrtd(image, PageOrder::section_by_section)));
    const bool is_page = options.page_order == "page";
    Output out;
    out.value["tee"] = "tdx";
    out.add("mr_td", is_page ? by_page : by_section);
    const json::Value other = {
        {"change", is_page ? "pages added section by section (--page-order section)"
                           : "pages added one by one (--page-order page)"},
        {"register", "mr_td"},
        {"value", is_page ? by_section : by_page}};
    out.value["variants"] = json::Value::array({other});
    if (auto boot = EOS_TRY(read_boot(options))) EOS_TRY(add_direct_boot(out, *boot));
    return print(cli, out);
}

using Calculator = Result<int> (*)(const Cli&, const MeasureOptions&);

/// A calculator of one file.
CLI::App* add_calculator(CLI::App& measure, Cli& cli, std::shared_ptr<MeasureOptions> options,
                         Calculator calculator, const char* name, const char* what) {
    CLI::App* command = measure.add_subcommand(name, what);
    command->callback([&cli, options, calculator] {
        cli.action = [&cli, options, calculator] { return calculator(cli, *options); };
    });
    return command;
}

void add_boot_options(CLI::App& command, MeasureOptions& options) {
    command.add_option("--kernel", options.kernel, "kernel that the firmware is given");
    command.add_option("--initrd", options.initrd, "initrd that goes with it");
    command.add_option("--append", options.command_line, "its command line");
}

void add_snp(CLI::App& measure, Cli& cli, std::shared_ptr<MeasureOptions> options) {
    CLI::App* snp = add_calculator(measure, cli, options, measure_snp, "snp",
                                   "firmware of an SEV-SNP guest: the launch digest");
    snp->add_option("--firmware", options->file, "OVMF image, as the guest gets it")->required();
    add_boot_options(*snp, *options);
    snp->add_option("--vcpus", options->vcpus, "number of vCPUs")
        ->check(CLI::Range(1u, measure::kMaxVcpus))
        ->capture_default_str();
    snp->add_option("--vcpu-type", options->vcpu_type, "QEMU's name of the CPU model")
        ->capture_default_str();
    snp->add_option("--vcpu-signature", options->vcpu_signature,
                    "instead of a model: CPUID 1 EAX, for example 0xa00f11");
    snp->add_option("--guest-features", options->guest_features,
                    "SEV_FEATURES: 0x1 SNP, 0x21 with debug swap")
        ->capture_default_str();
    snp->add_option("--vmm", options->vmm, "who launches the guest")
        ->check(CLI::IsMember({"qemu", "ec2", "gce"}))
        ->capture_default_str();
}

void add_tdx(CLI::App& measure, Cli& cli, std::shared_ptr<MeasureOptions> options) {
    CLI::App* tdx = add_calculator(measure, cli, options, measure_tdx, "tdx",
                                   "firmware of a TDX guest: MRTD; with --kernel RTMR1 and RTMR2 "
                                   "of a direct boot. RTMR0 holds "
                                   "what the machine monitor makes up: take it from a guest's log");
    tdx->add_option("--firmware", options->file, "TDVF (OVMF) image, as the guest gets it")
        ->required();
    add_boot_options(*tdx, *options);
    tdx->add_option("--page-order", options->page_order,
                    "how the machine monitor adds pages: page by page, or section by section")
        ->check(CLI::IsMember({"page", "section"}))
        ->capture_default_str();
}

struct WhyOptions {
    std::string expected;
    std::string evidence;
    std::vector<std::string> logs;
};

Result<std::optional<event_log::EventLog>> read_logs(const std::vector<std::string>& files) {
    if (files.empty()) return std::optional<event_log::EventLog>();
    return std::optional(EOS_TRY(read_event_logs(files)));
}

Result<int> why(const Cli& cli, const WhyOptions& options) {
    Result<measure::Expectation> expected =
        measure::parse_expectation(EOS_TRY(read_file(options.expected)));
    if (!expected) return fail(std::move(expected.error()).within(options.expected));
    const measure::Quoted quoted =
        EOS_TRY(measure::quoted_measurements(EOS_TRY(read_file(options.evidence))));
    const auto log = EOS_TRY(read_logs(options.logs));
    const attestation::verify::Check tree = explain(*expected, quoted, log);
    const attestation::verify::Summary summary = summarise(tree);
    cli.remark("compared, not verified: whether the evidence is genuine, `enclavectl verify` says");
    json::Value value = {{"tree", render_json(tree)}};
    if (!quoted.taken_off.empty()) {
        cli.remark("taken off the file: " + quoted.taken_off);
        value["takenOff"] = quoted.taken_off;
    }
    std::string first = "no difference";
    if (!summary.failed.empty()) {
        value["first_difference"] = summary.failed.front();
        first = "first difference: " + summary.failed.front();
    }
    cli.print(first + "\n" + render_text(tree), value);
    return tree.verdict == attestation::verify::Verdict::pass ? kExitOk : kExitFailed;
}

void add_why_command(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<WhyOptions>();
    CLI::App* command = program.add_subcommand(
        "why", "why a quote or report does not show what was expected; exit code 1 if it differs");
    command->add_option("expected", options->expected, "what `measure --json` printed")->required();
    command->add_option("evidence", options->evidence, "quote or report, binary or hexadecimal")
        ->required();
    command->add_option("--event-log", options->logs,
                        "the guest's event log: a CCEL data area, or a JSON list; may be repeated");
    command->callback(
        [&cli, options] { cli.action = [&cli, options] { return why(cli, *options); }; });
}

}  // namespace

void add_measure_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<MeasureOptions>();
    CLI::App* measure = program.add_subcommand(
        "measure", "what evidence will show, computed from files (docs/measure.md)");
    measure->require_subcommand(1);
    auto of_file = [&](Calculator calculator, const char* name, const char* what) {
        CLI::App* command = add_calculator(*measure, cli, options, calculator, name, what);
        command->add_option("file", options->file)->required();
        return command;
    };
    of_file(
        measure_enclave, "enclave",
        "MRENCLAVE of the process back end's runner, or of an SGXS stream; enclave images are not "
        "measured yet")
        ->add_option("--sigstruct", options->sigstruct,
                     "SIGSTRUCT (1,808 bytes) of the stream's enclave: MRSIGNER, ISVPRODID, ISVSVN "
                     "and attributes; fails if it was made for another enclave");
    of_file(measure_wasm, "wasm", "a WebAssembly module: the digest that its certificate shows");
    of_file(measure_oci, "oci", "an OCI image layout, folder or tar: digests, each verified");
    of_file(measure_config, "config", "a configuration manifest: the root of its tree");
    add_snp(*measure, cli, options);
    add_tdx(*measure, cli, options);
    add_why_command(program, cli);
}

}  // namespace eos::client::cli
