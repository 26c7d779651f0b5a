// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-proxy-unattested: the proxy without a minter, for tests and benches of forwarding
// alone. Its leaves sign themselves and hold no evidence, so no verifier accepts one.
#include <unistd.h>

#include <cstdio>
#include <map>

#include "common/crypto/p256.h"
#include "trusted/os/files.h"
#include "trusted/os/system_clock.h"
#include "trusted/runtime/responses.h"
#include "trusted/runtime/router.h"
#include "trusted/virtual/proxy/program.h"

namespace {

using namespace eos;
using namespace eos::cvm;
using namespace eos::cvm::proxy;

/// Evidence that is none.
class NoEvidence final : public runtime::EvidenceSource {
  public:
    void request(const ratls::ReportData&, runtime::Done<Bytes> done) override {
        done(to_bytes("no evidence"));
    }
};

/// Leaves of its own, and an API that says no more than that it runs.
class OwnLeaves final : public LoopLink {
  public:
    explicit OwnLeaves(LoopPlace place) : place_(place), router_(authorizer_) {
        router_.add({.pattern = "/healthz",
                     .names = runtime::RouteNames::kPlatform,
                     .access = runtime::Access::kAnyone,
                     .summary = "the program answers"},
                    [](runtime::RoutedRequest request) -> runtime::Dispatched {
                        runtime::respond_json(request.exchange, 200, {{"status", "ok"}});
                        return {};
                    });
    }
    void take(const MintedStatePtr& state) override { cache_.retain(*state->served); }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>&, runtime::Done<runtime::CredentialPtr> done) override {
        const runtime::ServedName* name = served->find(offer.server_name);
        done(cache_.get(*served, *name, offer.scheme, place_.clock.now()));
    }
    runtime::RequestDispatcher& api() override { return router_; }

  private:
    class AnyoneOnly final : public runtime::Authorizer {
      public:
        runtime::Permission decide(runtime::Access access, const runtime::ConnectionInfo&,
                                   const http::RequestHead&) const override {
            return access == runtime::Access::kAnyone ? runtime::Permission::kGranted
                                                      : runtime::Permission::kRefused;
        }
        std::string_view challenge() const override { return "None"; }
    };

    const LoopPlace place_;
    runtime::LeafCache cache_;
    AnyoneOnly authorizer_;
    runtime::Router router_;
};

/// Serves what a file says.
class FileMinter final : public MinterLink {
  public:
    explicit FileMinter(std::string path) : path_(std::move(path)) {}

    Result<void> start(os::EventLoop&, Changed changed) override {
        changed_ = std::move(changed);
        return read();
    }
    std::unique_ptr<LoopLink> for_loop(LoopPlace place) override {
        return std::make_unique<OwnLeaves>(place);
    }
    void reload(runtime::Done<void> done) override { done(read()); }

  private:
    Result<void> read() {
        const Bytes text = EOS_TRY(os::read_file(path_, kMaxConfigBytes));
        auto state = std::make_shared<MintedState>();
        state->config = EOS_TRY(parse_config(text));
        if (!epoch_) {
            NoEvidence evidence;
            runtime::make_epoch(evidence, clock_, [&](auto made) { epoch_ = *made; });
        }
        auto served = std::make_shared<runtime::Served>();
        served->assurance = "process";
        served->instance.generation = ++generation_;
        served->platform_name = state->config.platform.name;
        served->names[served->platform_name] = {.name = served->platform_name, .epoch = epoch_};
        for (const RouteConfig& route : state->config.routes) {
            served->names[route.hostname] = {.name = route.hostname,
                                             .kind = runtime::NameKind::kApp,
                                             .app = route.name,
                                             .values = {},
                                             .epoch = epoch_};
        }
        for (auto& [name, row] : served->names) row.tag = runtime::name_tag(row, *served);
        tag_routes(state->config, *served);
        state->served = std::move(served);
        changed_(std::move(state));
        return {};
    }
    /// A route's own settings are among the values of its leaf where there is a minter.
    static void tag_routes(const Config& config, runtime::Served& served) {
        for (const RouteConfig& route : config.routes) {
            Config alone;
            alone.routes = {route};
            runtime::ServedName& row = served.names.at(route.hostname);
            row.tag = crypto::sha256({ByteView(row.tag), as_bytes(config_json(alone))});
        }
    }

    const std::string path_;
    const os::SystemClock clock_;
    Changed changed_;
    std::shared_ptr<const runtime::KeyEpoch> epoch_;
    std::uint64_t generation_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: enclave-os-proxy-unattested CONFIG\n");
        return 2;
    }
    std::fprintf(stderr, "enclave-os-proxy-unattested: attests nothing, protects nothing\n");
    FileMinter minter(argv[1]);
    os::LineSink lines(STDERR_FILENO);
    Program program(minter, "", lines);
    const Result<void> outcome = program.run();
    if (outcome) return 0;
    std::fprintf(stderr, "enclave-os-proxy-unattested: %s\n", outcome.error().message().c_str());
    return 1;
}
