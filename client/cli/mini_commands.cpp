// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/cli.h"
#include "client/files.h"
#include "client/pki.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/owner/statement.h"
#include "common/ratls/appraise_leaf.h"
#include "common/x509/pem.h"

namespace eos::client::cli {
namespace {

struct MiniOptions {
    std::string pki = "pki";
    std::string token;
    std::string platform_name;
    std::int64_t days = kMaxIntermediateDays;
    std::vector<std::string> permitted;
    std::string import_chain;
    std::string import_key;
    std::string confirm;
    std::string save_context;
    bool ca_has_expired = false;
    std::string bundle;
};

constexpr std::size_t kMaxStapleAnswer = 64 * 1024;

constexpr Code no_import{"client/cli", "no_import",
                         "a confidential VM takes no CA key made outside; nothing was sent"};
constexpr Code no_challenge{"client/cli", "no_challenge",
                            "the server names no instance, or no challenge for its owner"};

// What the enclave sent back when it was asked for a certification request.
struct CsrAnswer {
    Bytes csr;
    Bytes evidence;
    std::string instance_id;
};

Result<CsrAnswer> parse_csr_answer(const json::Value& value) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    CsrAnswer out;
    out.csr = EOS_TRY(from_base64(EOS_TRY(object.text("csr", 64 * 1024))));
    out.evidence = EOS_TRY(from_base64(EOS_TRY(object.text("evidence", 64 * 1024))));
    out.instance_id = EOS_TRY(object.text("instance_id", 32));
    return out;
}

/// Who asks, and of whom.
struct Asking {
    Cli& cli;
    VerifiedServer& server;
    const crypto::P256PrivateKey& owner;
};

std::string_view path_of(owner::Purpose purpose) {
    switch (purpose) {
        case owner::Purpose::kProvision:
            return "/api/v1/provision";
        case owner::Purpose::kRotateCa:
            return "/api/v1/ca";
        case owner::Purpose::kConfirmTime:
            return "/api/v1/confirm-time";
    }
    return "";
}

// In a confidential VM, TLS ends in another program than the one that decides; in an enclave one
// program does both.
bool ends_tls_where_it_decides(const VerifiedServer& server) {
    const json::Value& claims = server.verdict().claims();
    return claims.is_object() && claims.value("tee", "") == "sgx";
}

// What is asked goes signed to where it is decided, and the token stays here.
Result<json::Value> ask_as_owner(const Asking& to, owner::Purpose purpose, json::Value request) {
    const std::string path(path_of(purpose));
    if (ends_tls_where_it_decides(to.server))
        return call(to.cli, to.server, http::Method::kPost, path, &request);
    const json::Value answer =
        EOS_TRY(call(to.cli, to.server, http::Method::kGet, "/api/v1/owner-challenge"));
    json::Object object = EOS_TRY(json::Object::of(answer, ""));
    const Bytes challenge = EOS_TRY(from_base64(EOS_TRY(object.text("challenge", 64))));
    const auto& instance = to.server.verdict().instance();
    if (challenge.size() != 32 || !instance) return fail(no_challenge);
    const crypto::P256PublicKey& key = to.owner.public_key();
    if (purpose == owner::Purpose::kProvision) {
        const Bytes token =
            EOS_TRY(from_hex(EOS_TRY(json::as_text(request["token"], "token", 64))));
        request["token"] = hex(owner::token_proof(token, instance->id, key.spki_hash()));
    }
    const json::Value body = {
        {"owner_key", base64(key.spki())},
        {"statement",
         owner::sign({purpose, instance->id, to_array<32>(challenge)}, request, to.owner)}};
    return call(to.cli, to.server, http::Method::kPost, path, &body);
}

// Asks for a CSR, verifies that its key was born inside for this owner, and signs the intermediate.
Result<std::string> certify(const Asking& to, const Target& target, const Pki& pki,
                            const MiniOptions& options, owner::Purpose purpose,
                            json::Value request) {
    ByteArray<32> nonce = crypto::random_array<32>();
    request["step"] = "request-csr";
    request["nonce"] = base64(nonce);
    json::Value value = EOS_TRY(ask_as_owner(to, purpose, std::move(request)));
    CsrAnswer answer = EOS_TRY(parse_csr_answer(value));
    auto verdict =
        ratls::appraise_csr({.binding = {answer.csr, nonce, to.owner.public_key().spki_hash()},
                             .evidence = answer.evidence},
                            target.endorsements, target.policy, target.now);
    if (verdict.outcome() == attestation::appraise::Outcome::rejected) {
        to.cli.print(verdict.text(), verdict.to_json());
        to.cli.verdict_exit_code = verdict.exit_code();
        return fail(rejected, "the CA key's evidence: " + verdict.summary());
    }
    to.cli.remark("CA key born inside, request " + verdict.summary());
    x509::CertificateRequest csr = EOS_TRY(x509::CertificateRequest::parse(answer.csr));
    x509::Certificate intermediate = EOS_TRY(pki.sign_intermediate(
        csr, {.permitted_names = options.permitted, .days = options.days, .now = Cli::now()}));
    return x509::encode_pem("CERTIFICATE", intermediate.der()) +
           x509::encode_pem("CERTIFICATE", pki.root().der());
}

Result<json::Value> complete(const Asking& to, owner::Purpose purpose, json::Value request,
                             const std::string& chain) {
    request["step"] = "complete";
    request["ca_chain"] = chain;
    return ask_as_owner(to, purpose, std::move(request));
}

Result<json::Value> import_ca(const Cli& cli, VerifiedServer& server, const MiniOptions& options) {
    if (!ends_tls_where_it_decides(server)) return fail(no_import);
    Bytes chain = EOS_TRY(read_file(options.import_chain));
    crypto::P256PrivateKey key = EOS_TRY(read_private_key(options.import_key));
    SecretBytes der = key.to_pkcs8();
    json::Value request = {{"step", "import"},
                           {"token", options.token},
                           {"platform_name", options.platform_name},
                           {"accept_imported_key", true},
                           {"ca_chain", to_string(chain)},
                           {"ca_key", base64(der.view())}};
    return call(cli, server, http::Method::kPost, "/api/v1/provision", &request);
}

Result<int> provision(Cli& cli, MiniOptions& options) {
    Pki pki = EOS_TRY(Pki::open(options.pki));
    Target target = EOS_TRY(make_target(cli));
    // An enclave without owner signs its leaf itself and has no name: evidence alone decides.
    target.anchors.clear();
    target.server_name.clear();
    target.credential = pki.owner_credential();
    if (options.permitted.empty()) options.permitted = {options.platform_name};
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    const Asking to{cli, *server, pki.owner_key()};
    json::Value answer;
    if (options.import_key.empty()) {
        json::Value request = {{"token", options.token}, {"platform_name", options.platform_name}};
        std::string chain =
            EOS_TRY(certify(to, target, pki, options, owner::Purpose::kProvision, request));
        answer =
            EOS_TRY(complete(to, owner::Purpose::kProvision, {{"token", options.token}}, chain));
    } else {
        answer = EOS_TRY(import_ca(cli, *server, options));
    }
    cli.print("you own " + options.platform_name + "\n" + json::pretty(answer), answer);
    return kExitOk;
}

Result<int> rotate_ca(Cli& cli, MiniOptions& options) {
    Pki pki = EOS_TRY(Pki::open(options.pki));
    Target target = EOS_TRY(make_target(cli));
    if (target.credential == nullptr) target.credential = pki.owner_credential();
    if (options.permitted.empty()) options.permitted = {target.server_name};
    // No chain leads through an expired CA to the root any more: evidence alone decides.
    if (options.ca_has_expired) target.anchors.clear();
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    const Asking to{cli, *server, pki.owner_key()};
    std::string chain = EOS_TRY(
        certify(to, target, pki, options, owner::Purpose::kRotateCa, json::Value::object()));
    json::Value answer =
        EOS_TRY(complete(to, owner::Purpose::kRotateCa, json::Value::object(), chain));
    cli.print("the intermediate CA is replaced\n" + json::pretty(answer), answer);
    return kExitOk;
}

Result<int> status(Cli& cli) {
    Target target = EOS_TRY(make_target(cli));
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    json::Value answer = EOS_TRY(call(cli, *server, http::Method::kGet, "/api/v1/status"));
    cli.print(json::pretty(answer), answer);
    return kExitOk;
}

// Our own time: what the enclave shows in its leaf was compared with it when the server was
// verified.
Result<int> confirm_time(Cli& cli) {
    Target target = EOS_TRY(make_target(cli));
    const crypto::P256PrivateKey owner = EOS_TRY(read_owner_key(cli));
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    const json::Value answer = EOS_TRY(ask_as_owner(
        {cli, *server, owner}, owner::Purpose::kConfirmTime, {{"time", rfc3339(Cli::now())}}));
    cli.print("the enclave's time is confirmed\n" + json::pretty(answer), answer);
    return kExitOk;
}

Result<int> staple_bundle(Cli& cli, const MiniOptions& options) {
    Request request;
    request.head.path = "/api/v1/collateral";
    request.head.method = options.bundle.empty() ? http::Method::kDelete : http::Method::kPut;
    Bytes text;
    if (!options.bundle.empty()) {
        text = EOS_TRY(read_file(options.bundle));
        auto bundle = attestation::endorsements::parse_bundle(text);
        if (!bundle) return fail(std::move(bundle.error()).within(options.bundle));
        EOS_TRY(request.head.headers.add("content-type", "application/json"));
        request.body = text;
    }
    Target target = EOS_TRY(make_target(cli));
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    Response response =
        EOS_TRY(server->request(std::move(request), kMaxStapleAnswer, cli.deadline()));
    json::Value answer = EOS_TRY(json_answer(response));
    cli.print(options.bundle.empty() ? "no collateral is stapled any more"
                                     : "stapled: clients that verify get this bundle",
              answer);
    return kExitOk;
}

Result<int> factory_reset(Cli& cli, const MiniOptions& options) {
    Target target = EOS_TRY(make_target(cli));
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect(cli, target));
    json::Value request = {{"confirm", options.confirm}};
    json::Value answer =
        EOS_TRY(call(cli, *server, http::Method::kPost, "/api/v1/factory-reset", &request));
    cli.print("the state is destroyed; the enclave is without owner again", answer);
    return kExitOk;
}

}  // namespace

void add_mini_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<MiniOptions>();
    CLI::App* mini = program.add_subcommand("mini", "own and run an enclave of the Mini edition");
    mini->require_subcommand(1);
    auto command = [&](const char* verb, const char* help, auto action) {
        CLI::App* made = mini->add_subcommand(verb, help);
        add_target_options(*made, cli);
        made->callback([&cli, options, action] {
            cli.action = [&cli, options, action] { return action(cli, *options); };
        });
        return made;
    };
    CLI::App* taking =
        command("provision", "verify an enclave without owner, and take ownership", provision);
    taking->add_option("--pki", options->pki, "folder of the PKI")->capture_default_str();
    taking->add_option("--token", options->token, "one-time token from the daemon's log, hex")
        ->required();
    taking->add_option("--platform-name", options->platform_name, "host name of the platform")
        ->required();
    taking->add_option("--permit", options->permitted,
                       "names the CA may certify; default: the platform name and all below");
    taking->add_option("--days", options->days, "life of the intermediate, at most 90")
        ->capture_default_str();
    taking->add_option("--import-chain", options->import_chain,
                       "import a CA made outside: its chain, PEM");
    taking->add_option("--import-key", options->import_key,
                       "and its key; the enclave says so for ever");

    CLI::App* rotating =
        command("rotate-ca", "replace the intermediate CA by a new one born inside", rotate_ca);
    rotating->add_option("--pki", options->pki, "folder of the PKI")->capture_default_str();
    rotating->add_option("--permit", options->permitted,
                         "names the CA may certify; default: the server name");
    rotating->add_option("--days", options->days, "life of the intermediate, at most 90")
        ->capture_default_str();
    rotating->add_flag("--ca-expired", options->ca_has_expired,
                       "the CA in use has expired: go by the enclave's evidence alone");

    command("status", "what the enclave says about itself",
            [](Cli& c, const MiniOptions&) { return status(c); });

    command("confirm-time", "confirm the enclave's time after a jump of its host's",
            [](Cli& c, const MiniOptions&) { return confirm_time(c); });

    CLI::App* stapling = command(
        "staple", "serve a collateral bundle to whoever verifies the enclave", staple_bundle);
    auto* file =
        stapling->add_option("file", options->bundle, "a bundle of `enclavectl bundle make`");
    auto* remove = stapling->add_flag_callback("--remove", [] {}, "serve none any more");
    file->excludes(remove);
    stapling->callback([&cli, options, file, remove] {
        if (file->empty() == remove->empty()) throw CLI::RequiredError("FILE or --remove");
        cli.action = [&cli, options] { return staple_bundle(cli, *options); };
    });

    command("factory-reset", "destroy the enclave's state", factory_reset)
        ->add_option("--confirm", options->confirm, "the instance id, hex, from `mini status`")
        ->required();
}

}  // namespace eos::client::cli
