// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/cli.h"
#include "client/files.h"
#include "client/pki.h"
#include "common/base/encoding.h"
#include "common/ratls/appraise_leaf.h"
#include "common/x509/pem.h"

namespace eos::client::cli {
namespace {

struct PkiOptions {
    std::string folder = "pki";
    std::string organization = "Enclave OS operator";
    std::vector<std::string> permitted;
    std::int64_t days = kMaxIntermediateDays;
    std::string out;
    std::string csr;
    std::string evidence;
    std::string nonce;
};

Result<int> init(const Cli& cli, const PkiOptions& options) {
    EOS_TRY(Pki::init(options.folder, options.organization, Cli::now()));
    Pki pki = EOS_TRY(Pki::open(options.folder));
    std::string owner = hex(pki.owner_key().public_key().spki_hash());
    cli.print("made a root CA and an owner key in " + options.folder +
                  "\n  root.pem   give this to clients (curl --cacert)\n  root.key   keep offline "
                  "if you can: it signs the "
                  "intermediates of your enclaves\n  owner.key  manages your enclaves\n  owner key "
                  " sha256:" +
                  owner,
              {{"folder", options.folder}, {"owner_key_sha256", owner}});
    return kExitOk;
}

Result<int> write_chain(const Cli& cli, const PkiOptions& options,
                        const x509::Certificate& intermediate, const x509::Certificate& root) {
    std::string pem = x509::encode_pem("CERTIFICATE", intermediate.der()) +
                      x509::encode_pem("CERTIFICATE", root.der());
    if (options.out.empty()) {
        cli.print(pem, {{"ca_chain", pem}});
        return kExitOk;
    }
    EOS_TRY(write_file(options.out, as_bytes(pem), {}));
    cli.print(
        "wrote " + options.out + ", valid until " + rfc3339(intermediate.validity().not_after),
        {{"file", options.out}, {"not_after", rfc3339(intermediate.validity().not_after)}});
    return kExitOk;
}

// An intermediate with a key made here, to be imported; enclaves that take one say so for ever.
Result<int> intermediate(const Cli& cli, const PkiOptions& options) {
    Pki pki = EOS_TRY(Pki::open(options.folder));
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    x509::Certificate certificate = EOS_TRY(pki.make_intermediate(
        key.public_key(),
        {.permitted_names = options.permitted, .days = options.days, .now = Cli::now()}));
    std::filesystem::path key_file =
        options.out.empty() ? "intermediate.key" : options.out + ".key";
    EOS_TRY(write_private_key(key_file, key));
    cli.remark("the key is in " + key_file.string() +
               ": prefer `mini provision`, where it is born inside");
    return write_chain(cli, options, certificate, pki.root());
}

Result<int> sign_csr(Cli& cli, const PkiOptions& options) {
    Pki pki = EOS_TRY(Pki::open(options.folder));
    Target target = EOS_TRY(make_policy_only_target(cli));
    Bytes csr = EOS_TRY(read_file(options.csr));
    Bytes evidence = EOS_TRY(read_file(options.evidence));
    ByteArray<32> nonce = EOS_TRY(array_from_hex<32>(options.nonce));
    auto verdict = ratls::appraise_csr(
        {.binding = {csr, nonce, pki.owner_key().public_key().spki_hash()}, .evidence = evidence},
        target.endorsements, target.policy, target.now);
    if (verdict.outcome() == attestation::appraise::Outcome::rejected) {
        cli.print(verdict.text(), verdict.to_json());
        cli.verdict_exit_code = verdict.exit_code();
        return fail(rejected, "the request is not signed: " + verdict.summary());
    }
    cli.remark("evidence " + verdict.summary());
    x509::CertificateRequest request = EOS_TRY(x509::CertificateRequest::parse(csr));
    x509::Certificate certificate = EOS_TRY(pki.sign_intermediate(
        request, {.permitted_names = options.permitted, .days = options.days, .now = Cli::now()}));
    return write_chain(cli, options, certificate, pki.root());
}

}  // namespace

void add_pki_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<PkiOptions>();
    CLI::App* pki = program.add_subcommand("pki", "a private PKI: root, owner key, intermediates");
    pki->require_subcommand(1);
    pki->add_option("--dir", options->folder, "folder of the PKI")->capture_default_str();

    CLI::App* make = pki->add_subcommand("init", "make a root CA and an owner key");
    make->add_option("--organization", options->organization, "name in the certificates")
        ->capture_default_str();
    make->callback(
        [&cli, options] { cli.action = [&cli, options] { return init(cli, *options); }; });

    auto add_ca_options = [options](CLI::App* command) {
        command
            ->add_option("--permit", options->permitted,
                         "DNS name that the CA may certify, with all below it")
            ->required();
        command->add_option("--days", options->days, "life of the intermediate, at most 90")
            ->capture_default_str();
        command->add_option("--out", options->out, "file for the chain, PEM; default: print it");
    };
    CLI::App* import =
        pki->add_subcommand("intermediate", "make an intermediate and its key, to be imported");
    add_ca_options(import);
    import->callback(
        [&cli, options] { cli.action = [&cli, options] { return intermediate(cli, *options); }; });

    CLI::App* sign =
        pki->add_subcommand("sign-csr", "sign an enclave's request after verifying its evidence");
    add_ca_options(sign);
    sign->add_option("--csr", options->csr, "request, DER")->required();
    sign->add_option("--evidence", options->evidence, "quote of purpose ca_csr")->required();
    sign->add_option("--nonce", options->nonce, "nonce the request was asked for with, hex")
        ->required();
    add_target_options(*sign, cli);
    sign->callback(
        [&cli, options] { cli.action = [&cli, options] { return sign_csr(cli, *options); }; });
}

}  // namespace eos::client::cli
