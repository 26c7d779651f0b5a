// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/program.h"

#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "trusted/attestd/key_fetcher.h"
#include "trusted/attestd/proxied.h"
#include "trusted/attestd/service.h"
#include "trusted/attestd/service_digest.h"
#include "trusted/attestd/standing.h"
#include "trusted/os/connections.h"
#include "trusted/os/files.h"
#include "trusted/os/listener.h"
#include "trusted/os/local_socket.h"
#include "trusted/os/signals.h"
#include "trusted/os/system_clock.h"

namespace eos::attestd {
namespace {

using attestation::verify::Roots;

/// Keys that could not be fetched again for so long are not believed any more.
constexpr std::uint64_t kMaxKeyAgeMs = 24ULL * 3600 * 1000;
/// On top of the drain, for closing what was drained.
constexpr std::uint64_t kStopGraceMs = 8'000;
constexpr int kTurnMs = 1'000;
constexpr std::uint32_t kSpareDescriptors = 64;

inline constexpr Code policy_changed{"trusted/attestd", "policy_changed",
                                     "the policy is not the one that service_digest was declared "
                                     "for: restart, and declare the new one"};

/// Everything that comes from files.
struct Loaded {
    std::shared_ptr<FileLeaf> leaf;  ///< null behind a proxy
    std::shared_ptr<const Standing> standing;
    std::vector<KeySetPtr> keys;  ///< of each issuer; null: by discovery
};

Result<std::vector<KeySetPtr>> load_keys(const Config& config) {
    std::vector<KeySetPtr> out;
    for (const IssuerConfig& issuer : config.issuers)
        out.push_back(issuer.jwks_file.empty() ? nullptr : EOS_TRY(load_key_set(issuer.jwks_file)));
    return out;
}

Result<Loaded> load(const Config& config, const Roots& roots) {
    Loaded out;
    if (!config.proxy) out.leaf = EOS_TRY(FileLeaf::load(config));
    out.standing = EOS_TRY(load_standing(config, roots));
    out.keys = EOS_TRY(load_keys(config));
    return out;
}

Result<std::string> service_digest_text(const Config& config, const Standing& standing) {
    return "sha256:" + hex(service_digest({EOS_TRY(own_executable_digest()), config.sha256,
                                           policy_hash(standing.policy)}));
}

/// The running service: its parts, in the order in which they are made.
class Program {
  public:
    Program(Config config, Authentication authentication, const Flavour& flavour, Roots roots)
        : config_(std::move(config)),
          authentication_(authentication),
          flavour_(flavour),
          roots_(std::move(roots)),
          log_(config_.log),
          signals_(loop_, [this](int signal) { received(signal); }),
          cache_(config_.limits.cache_entries) {}

    Result<void> start() {
        EOS_TRY(raise_descriptor_limit());
        Loaded loaded = EOS_TRY(load(config_, roots_));
        tls_.emplace(EOS_TRY(ratls::ServerContext::make()));
        if (authentication_ == Authentication::tokens) start_tokens(loaded.keys);
        pool_.emplace(config_.limits.threads, config_.limits.queue);
        service_.emplace(
            Service::Parts{loop_, *pool_, cache_, clock_, log_, tokens_ ? &*tokens_ : nullptr,
                           config_.proxy ? Front::proxy : Front::tls},
            config_.limits);
        service_->set_standing(std::move(loaded.standing));
        service_->set_leaf(std::move(loaded.leaf));
        connections_.emplace(loop_, *tls_, *service_,
                             os::Connections::Limits{config_.limits.connections,
                                                     config_.limits.connections_per_address});
        add_metrics();
        show_end_of_collateral();
        std::string digest = EOS_TRY(service_digest_text(config_, service_->standing()));
        EOS_TRY(listen());
        log_.write(
            os::Severity::info, "listening",
            {{"program", flavour_.name},
             {"address", config_.proxy ? config_.proxy->socket : listener_->address().text()},
             {"authentication", authentication_ == Authentication::tokens ? "tokens" : "none"},
             {"policy_sha256", policy_hash_text()},
             {"service_digest", std::move(digest)}});
        return {};
    }

    /// Until it has been told to stop and has.
    void run() {
        while (!is_done()) {
            loop_.turn(next_timeout_ms());
            connections_->turn();
            forget_old_keys();
            if (listener_) listener_->turn(clock_.monotonic_ms());
        }
        log_.write(os::Severity::info, "stopped",
                   {{"connections_cut", std::to_string(connections_->count())}});
        // Threads end before what they work for.
        pool_.reset();
        fetcher_.reset();
    }

  private:
    Result<void> listen() {
        if (!config_.proxy) {
            listener_ = EOS_TRY(os::Listener::open(
                loop_, config_.listen, [this](os::UniqueFd fd, const ByteArray<16>& peer) {
                    connections_->accepted(std::move(fd), peer);
                }));
            return {};
        }
        const uid_t user = EOS_TRY(os::find_user(config_.proxy->user));
        // Whoever connects is asked who it is; the mode alone lets nobody in.
        listener_ = EOS_TRY(os::Listener::open_local(
            loop_, config_.proxy->socket, 0666,
            [this, user](os::UniqueFd fd, const ByteArray<16>&) {
                const Result<void> is_proxy = check_is_proxy(fd.get(), user);
                if (is_proxy) return connections_->accepted_plain(std::move(fd));
                peers_refused_.write({"why", is_proxy.error().message()});
            }));
        return {};
    }

    Result<void> raise_descriptor_limit() {
        rlimit limit{};
        const rlim_t wanted = config_.limits.connections + kSpareDescriptors;
        if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return {};
        limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
        if (limit.rlim_cur == wanted && ::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
        return fail(bad_config, "limits.connections needs " + std::to_string(wanted) +
                                    " descriptors: raise the limit (LimitNOFILE, ulimit -n)");
    }

    void start_tokens(const std::vector<KeySetPtr>& keys) {
        tokens_.emplace(config_.issuers, config_.clock_leeway_s, nullptr);
        bool discovers = false;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            tokens_->set_keys(i, keys[i]);
            discovers = discovers || keys[i] == nullptr;
        }
        if (!discovers) return;
        fetcher_.emplace(config_.issuers, flavour_.reach,
                         [this](std::size_t issuer, Result<std::vector<jose::IssuerKey>> fresh) {
                             loop_.post([this, issuer, fresh = std::move(fresh)]() mutable {
                                 fetched(issuer, std::move(fresh));
                             });
                         });
        tokens_->set_source(&*fetcher_);
    }

    void fetched(std::size_t issuer, Result<std::vector<jose::IssuerKey>> keys) {
        const std::string name = printable(as_bytes(config_.issuers[issuer].issuer));
        if (!keys) {
            log_.write(os::Severity::warning, "keys_not_fetched",
                       {{"issuer", name}, {"why", keys.error().message()}});
            return;
        }
        log_.write(os::Severity::info, "keys_fetched",
                   {{"issuer", name}, {"count", std::to_string(keys->size())}});
        tokens_->set_keys(issuer,
                          std::make_shared<const std::vector<jose::IssuerKey>>(*std::move(keys)),
                          clock_.monotonic_ms() + kMaxKeyAgeMs);
    }

    // Each turn, which are not longer than kTurnMs: it waits for no fetch.
    void forget_old_keys() {
        if (!tokens_) return;
        for (std::size_t issuer : tokens_->forget_old_keys(clock_.monotonic_ms())) {
            log_.write(os::Severity::error, "keys_too_old",
                       {{"issuer", printable(as_bytes(config_.issuers[issuer].issuer))}});
        }
    }

    void add_metrics() {
        using runtime::MetricType;
        runtime::MetricRegistry& registry = service_->metrics();
        runtime::Metric& open =
            registry.add(MetricType::kGauge, "attestd_connections", "Open connections");
        runtime::Metric& refused =
            registry.add(MetricType::kCounter, "attestd_connections_refused_total",
                         "Connections that were closed for being too many");
        runtime::Metric& failed =
            registry.add(MetricType::kCounter, "attestd_handshakes_failed_total",
                         "Connections that ended before their handshake did");
        collateral_ends_ =
            &registry.add(MetricType::kGauge, "attestd_collateral_ends_seconds",
                          "When the service's first statement or list ends; 0 if it has none");
        service_->set_more_metrics([this, &open, &refused, &failed](runtime::MetricRegistry&) {
            open.set(connections_->count());
            refused.set(connections_->counters().refused());
            failed.set(connections_->counters().handshakes_failed);
        });
    }

    // It takes parsing all collateral, which changes with the standing only.
    void show_end_of_collateral() {
        const UnixTime end = end_of_collateral(service_->standing()).value_or(UnixTime{});
        collateral_ends_->set(static_cast<std::uint64_t>(std::max<std::int64_t>(end.seconds, 0)));
    }

    void received(int signal) {
        if (signal == SIGHUP) return reload();
        log_.write(os::Severity::info, "stopping", {{"drain_s", std::to_string(config_.drain_s)}});
        // Whoever says it twice does not want to wait.
        if (stop_at_ms_) {
            stop_at_ms_ = 0;
            return;
        }
        if (!connections_) return;
        stop_at_ms_ = clock_.monotonic_ms() + config_.drain_s * 1000ULL + kStopGraceMs;
        service_->stop_being_ready();
        listener_.reset();
        connections_->drain_all(config_.drain_s * 1000ULL);
    }

    /// All of the files or none of them: what runs goes on with what it has.
    void reload() {
        if (!service_) return;
        Result<Loaded> loaded = load_again();
        if (!loaded) {
            log_.write(os::Severity::error, "reload_failed", {{"why", loaded.error().message()}});
            return;
        }
        service_->set_standing(std::move(loaded->standing));
        show_end_of_collateral();
        if (loaded->leaf) {
            service_->set_leaf(loaded->leaf);
            connections_->served_changed(*loaded->leaf->served(), config_.drain_s * 1000ULL);
        }
        for (std::size_t i = 0; tokens_ && i < loaded->keys.size(); ++i) {
            if (loaded->keys[i]) tokens_->set_keys(i, loaded->keys[i]);
        }
        log_.write(os::Severity::info, "reloaded", {{"policy_sha256", policy_hash_text()}});
    }

    // Behind a proxy the policy is part of what was declared to those who are connected.
    Result<Loaded> load_again() const {
        Loaded loaded = EOS_TRY(load(config_, roots_));
        const bool is_same =
            policy_hash(loaded.standing->policy) == policy_hash(service_->standing().policy);
        if (config_.proxy && !is_same) return fail(policy_changed);
        return loaded;
    }

    std::string policy_hash_text() const { return hex(policy_hash(service_->standing().policy)); }

    bool is_done() const {
        if (!stop_at_ms_) return false;
        return connections_->count() == 0 || clock_.monotonic_ms() >= *stop_at_ms_;
    }

    int next_timeout_ms() const {
        std::optional<std::uint64_t> next = connections_->next_deadline_ms();
        const auto accepts_again = listener_ ? listener_->next_deadline_ms() : std::nullopt;
        if (accepts_again && (!next || *accepts_again < *next)) next = accepts_again;
        const std::uint64_t now_ms = clock_.monotonic_ms();
        if (!next) return kTurnMs;
        if (*next <= now_ms) return 0;
        return static_cast<int>(std::min<std::uint64_t>(*next - now_ms, kTurnMs));
    }

    const Config config_;
    const Authentication authentication_;
    const Flavour& flavour_;
    const Roots roots_;
    const os::Log log_;
    os::FrequentWarning peers_refused_{log_, "peer_refused"};
    const os::SystemClock clock_;
    os::EventLoop loop_;
    os::Signals signals_;
    SignatureCache cache_;
    std::optional<ratls::ServerContext> tls_;
    std::optional<TokenVerifier> tokens_;
    std::optional<KeyFetcher> fetcher_;
    std::optional<os::WorkerPool> pool_;
    std::optional<Service> service_;
    runtime::Metric* collateral_ends_ = nullptr;  ///< the service's, from add_metrics() on
    std::optional<os::Connections> connections_;
    std::unique_ptr<os::Listener> listener_;
    std::optional<std::uint64_t> stop_at_ms_;
};

/// The command line.
struct Arguments {
    std::string config;
    bool no_auth = false;
};

Result<Config> read_config(const Arguments& arguments, Authentication authentication) {
    Bytes text = EOS_TRY(os::read_file(arguments.config, kMaxConfigBytes));
    Result<Config> config = parse_config(text);
    if (!config) return fail(std::move(config).error().within(arguments.config));
    EOS_TRY(check_authentication(*config, authentication));
    return config;
}

/// What `check` prints of a configuration whose files could all be read.
void print_summary(const Config& config, const Loaded& loaded, Authentication authentication) {
    auto line = [](const char* name, const std::string& text) {
        std::printf("%-12s %s\n", name, printable(as_bytes(text), 512).c_str());
    };
    if (config.proxy) {
        line("proxy", config.proxy->socket + ", user " + config.proxy->user);
    } else {
        line("listen", config.listen.text());
        std::string names;
        for (const auto& [name, row] : loaded.leaf->served()->names)
            names += (names.empty() ? "" : ", ") + (name.empty() ? "(any)" : name);
        line("names", names);
        line("certificate", "until " + rfc3339(loaded.leaf->not_after()));
    }
    line("policy",
         loaded.standing->policy.name + " (" + hex(policy_hash(loaded.standing->policy)) + ")");
    std::optional<UnixTime> end = end_of_collateral(*loaded.standing);
    line("collateral", std::to_string(loaded.standing->collateral.endorsements().pieces.size()) +
                           " pieces" + (end ? ", the first ends " + rfc3339(*end) : ""));
    line("tokens", loaded.standing->signer ? "signed as " + loaded.standing->signer->issuer
                                           : "none are signed");
    if (authentication == Authentication::none) line("callers", "anybody on this machine");
    for (const IssuerConfig& issuer : config.issuers)
        line("issuer", issuer.issuer + ", audience " + issuer.audience + ", keys " +
                           (issuer.jwks_file.empty() ? "by discovery" : "from a file") +
                           ", metrics " +
                           (issuer.monitoring_role.empty() ? "for none of its callers"
                                                           : "for " + issuer.monitoring_role));
}

Result<void> check(const Arguments& arguments, const Flavour& flavour) {
    const auto authentication = arguments.no_auth ? Authentication::none : Authentication::tokens;
    Config config = EOS_TRY(read_config(arguments, authentication));
    Loaded loaded = EOS_TRY(load(config, EOS_TRY(flavour.roots())));
    print_summary(config, loaded, authentication);
    if (config.proxy) EOS_TRY(os::find_user(config.proxy->user));
    const std::string digest = EOS_TRY(service_digest_text(config, *loaded.standing));
    std::printf("%-12s %s\n", "service", digest.c_str());
    return {};
}

Result<void> run(const Arguments& arguments, const Flavour& flavour) {
    const auto authentication = arguments.no_auth ? Authentication::none : Authentication::tokens;
    Config config = EOS_TRY(read_config(arguments, authentication));
    Program program(std::move(config), authentication, flavour, EOS_TRY(flavour.roots()));
    EOS_TRY(program.start());
    program.run();
    return {};
}

}  // namespace

int run_program(int argc, char** argv, const Flavour& flavour) {
    CLI::App app(flavour.description +
                 "\nPOST / with a base64 quote answers with a verdict that explains itself; "
                 "docs/attestd.md has the configuration and the API.");
    app.name(flavour.name);
    app.require_subcommand(1);
    Arguments arguments;
    auto add = [&](const char* name, const char* what) {
        CLI::App* command = app.add_subcommand(name, what);
        command->add_option("config", arguments.config, "the configuration file (JSON)")
            ->required();
        command->add_flag("--no-auth", arguments.no_auth,
                          "take requests from anybody; only with a loopback address in listen");
        if (flavour.add_options) flavour.add_options(*command);
        return command;
    };
    const CLI::App* run_command =
        add("run", "serve until SIGTERM; SIGHUP reads certificate, policy, collateral, keys again");
    add("check", "read the configuration and every file that it names, and say what they give");
    CLI11_PARSE(app, argc, argv);
    Result<void> outcome =
        run_command->parsed() ? run(arguments, flavour) : check(arguments, flavour);
    if (outcome) return 0;
    std::fprintf(stderr, "%s: %s\n", flavour.name.c_str(), outcome.error().message().c_str());
    return 1;
}

}  // namespace eos::attestd
