// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <ranges>

#include "client/cli/cli.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "client/foreign_evidence.h"
#include "client/policy/policy_file.h"
#include "client/rehearsal.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/ratls/foreign_constellation.h"

namespace eos::client::cli {
namespace {

struct RehearseOptions {
    std::string policy;
    std::vector<std::string> subjects;
    std::vector<std::string> more_policies;
    std::string drill;
    std::string nonce;
};

Result<NamedPolicy> read_policy(const std::string& file) {
    policy::PolicyFile read = EOS_TRY(policy::read_policy_file(file));
    return NamedPolicy{std::filesystem::path(file).filename().string(), std::move(read.policy)};
}

Result<Exhibit> exhibit_of_file(const std::string& file, const Target& target) {
    Exhibit out{.name = std::filesystem::path(file).filename().string(),
                .chain = {},
                .handshake = {},
                .server_name = target.server_name,
                .anchors = target.anchors};
    constexpr const char* kRemedy = "give the certificate that carries it, or a server";
    std::vector<x509::Certificate> chain = EOS_TRY(read_carrying_certificates(file, kRemedy));
    if (!chain.empty() && is_foreign(chain.front())) {
        out.foreign = std::move(chain.front());
        return out;
    }
    for (const x509::Certificate& certificate : chain)
        out.chain.push_back(to_bytes(certificate.der()));
    return out;
}

// The nonce is for the one certificate of Constellation.
Result<void> hand_out_nonce(const std::string& text, std::vector<Exhibit>& exhibits) {
    if (text.empty()) return {};
    const auto is_made_for_one = [](const Exhibit& exhibit) {
        return exhibit.foreign && ratls::read_constellation_leaf(*exhibit.foreign).has_value();
    };
    if (std::ranges::count_if(exhibits, is_made_for_one) != 1) {
        return fail(misplaced_option,
                    "--nonce is for one certificate of Constellation among the evidence");
    }
    std::ranges::find_if(exhibits, is_made_for_one)->nonce = EOS_TRY(from_hex(text));
    return {};
}

using attestation::endorsements::Endorsements;

// What the server staples goes behind what is there already, which wins.
void add_stapled(const Cli& cli, Target& server, Endorsements& collateral) {
    const auto pieces = static_cast<std::ptrdiff_t>(server.endorsements.pieces.size());
    const auto origins = static_cast<std::ptrdiff_t>(server.endorsements.origins.size());
    staple(server, cli.target.stapling, cli.deadline());
    std::ranges::move(server.endorsements.pieces | std::views::drop(pieces),
                      std::back_inserter(collateral.pieces));
    std::ranges::move(server.endorsements.origins | std::views::drop(origins),
                      std::back_inserter(collateral.origins));
}

// One handshake with a challenge; nothing is sent after it.
Result<Exhibit> exhibit_of_server(Cli& cli, const std::string& url, Endorsements& collateral) {
    cli.target.address = url;
    Target target = EOS_TRY(make_target(cli));
    add_stapled(cli, target, collateral);
    ratls::ClientOptions options{.server_name = target.server_name,
                                 .nonce = crypto::random_array<32>(),
                                 .credential = nullptr};
    TlsChannel channel = EOS_TRY(TlsChannel::open(target.address, options, cli.deadline()));
    Exhibit out{.name = url,
                .chain = channel.peer_chain(),
                .handshake = {},
                .server_name = target.server_name,
                .anchors = target.anchors};
    const ratls::HandshakeOffer& offer = channel.offer();
    if (offer.nonce && offer.binder)
        out.handshake = ratls::HandshakeEvidence{*offer.nonce, *offer.binder};
    return out;
}

Result<std::vector<Event>> read_events(const Cli& cli, const RehearseOptions& options,
                                       const Target& target) {
    if (options.drill.empty()) {
        cli.remark(
            "no --drill: nobody but the vendor can issue this collateral anew, so only time, "
            "what is at hand, and the policy vary");
        return events_of_real_collateral(target.endorsements, target.now);
    }
    Bytes text = EOS_TRY(read_file(options.drill));
    Result<std::vector<Event>> events = parse_drill(text, target.now);
    if (!events) return fail(std::move(events.error()).within(options.drill));
    return events;
}

std::string padded(std::string text, std::size_t size) {
    text.resize(std::max(text.size(), size), ' ');
    return text + "  ";
}

std::string table(const std::vector<Event>& events, const std::vector<Rehearsed>& cells) {
    std::size_t event = 5, exhibit = 8, policy = 6;
    for (const Rehearsed& cell : cells) {
        event = std::max(event, cell.event.size());
        exhibit = std::max(exhibit, cell.exhibit.size());
        policy = std::max(policy, cell.policy.size());
    }
    std::string out = "  " + padded("event", event) + padded("evidence", exhibit) +
                      padded("policy", policy) + "verdict\n";
    for (const Rehearsed& cell : cells) {
        out += (cell.differs_from_first ? "! " : "  ") + padded(cell.event, event) +
               padded(cell.exhibit, exhibit) + padded(cell.policy, policy) + cell.result.summary() +
               "\n";
    }
    out += "\n! differs from the first event\n";
    for (const Event& each : events) out += "  " + padded(each.name, event) + each.what + "\n";
    out.pop_back();
    return out;
}

json::Value to_json(const std::vector<Event>& events, const std::vector<Rehearsed>& cells) {
    json::Value rows = json::Value::array();
    for (const Rehearsed& cell : cells) {
        auto summary = attestation::verify::summarise(cell.result.tree());
        rows.push_back({{"event", cell.event},
                        {"evidence", cell.exhibit},
                        {"policy", cell.policy},
                        {"outcome", attestation::appraise::outcome_name(cell.result.outcome())},
                        {"exit_code", cell.result.exit_code()},
                        {"failed", summary.failed},
                        {"not_evaluated", summary.not_evaluated},
                        {"differs", cell.differs_from_first}});
    }
    json::Value list = json::Value::array();
    for (const Event& event : events)
        list.push_back({{"name", event.name}, {"what", event.what}, {"at", rfc3339(event.time)}});
    return {{"events", std::move(list)}, {"rows", std::move(rows)}};
}

Result<int> run(Cli& cli, const RehearseOptions& options) {
    cli.target.policy = options.policy;
    if (!options.drill.empty()) cli.target.stapling = Stapling::kNever;
    Target target = EOS_TRY(make_policy_only_target(cli));
    std::vector<NamedPolicy> policies{EOS_TRY(read_policy(options.policy))};
    for (const std::string& file : options.more_policies)
        policies.push_back(EOS_TRY(read_policy(file)));
    std::vector<Exhibit> exhibits;
    for (const std::string& subject : options.subjects) {
        std::error_code error;
        exhibits.push_back(std::filesystem::is_regular_file(subject, error)
                               ? EOS_TRY(exhibit_of_file(subject, target))
                               : EOS_TRY(exhibit_of_server(cli, subject, target.endorsements)));
    }
    EOS_TRY(hand_out_nonce(options.nonce, exhibits));
    std::vector<Event> events = EOS_TRY(read_events(cli, options, target));
    std::vector<Rehearsed> cells = EOS_TRY(rehearse(events, exhibits, policies));
    cli.print(table(events, cells), to_json(events, cells));
    return kExitOk;
}

}  // namespace

void add_rehearse_command(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<RehearseOptions>();
    CLI::App* command = program.add_subcommand(
        "rehearse", "what policies would say about evidence after an event: a table");
    command->add_option("policy", options->policy, "the appraisal policy")->required();
    command
        ->add_option("evidence", options->subjects,
                     "certificate files (PEM or DER), also of other projects, or servers: "
                     "https://HOST[:PORT]")
        ->required();
    command->add_option("--also", options->more_policies, "another policy, to compare");
    CLI::Option* drill =
        command->add_option("--drill", options->drill,
                            "events of an emulated platform, with the collateral of each: "
                            "sgx-quoting-emulator drill");
    command->add_option("--nonce", options->nonce,
                        "what the certificate of Constellation was made for (hex)");
    TargetOptions& t = cli.target;
    command->add_option("--server-name", t.server_name,
                        "name to ask for (SNI) and to find in the certificate");
    command->add_option("--root", t.root, "root certificate of the private PKI, PEM");
    command->add_option("--collateral", t.collateral,
                        "without --drill: vendor collateral or a bundle, whose end is rehearsed");
    const StaplingOptions stapling = add_stapling_options(*command, t);
    drill->excludes(stapling.always)->excludes(stapling.never);
    command->callback(
        [&cli, options] { cli.action = [&cli, options] { return run(cli, *options); }; });
}

}  // namespace eos::client::cli
