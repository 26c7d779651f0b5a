// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/mint_link.h"

#include <utility>

#include "trusted/virtual/proxy/platform_api.h"

namespace eos::cvm::proxy {
namespace {

/// What one loop lends to bodies of API requests.
constexpr std::size_t kBodyBytes = 4 * 1024 * 1024;

class MintLoop final : public LoopLink, private MintPort {
  public:
    MintLoop(LoopPlace place, os::EventLoop& client_loop, MintClient& client)
        : place_(place),
          client_loop_(client_loop),
          client_(client),
          mint_({place.loop, place.clock, client_loop, client}),
          context_{*this, bodies_, place.clock, place.program},
          authorizer_(*this),
          router_(authorizer_) {
        add_attest_route(router_, context_);
        add_status_routes(router_, context_);
        add_config_routes(router_, context_);
        add_owner_routes(router_, context_);
    }

    void take(const MintedStatePtr& state) override {
        state_ = state;
        if (state->served) mint_.retain(*state->served);
    }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address,
              runtime::Done<runtime::CredentialPtr> done) override {
        mint_.leaf(std::move(served), offer, peer_address, std::move(done));
    }
    runtime::RequestDispatcher& api() override { return router_; }

  private:
    const MintedStatePtr& state() const override { return state_; }
    void on_client(std::move_only_function<void(MintClient&)> question) override {
        client_loop_.post(
            [&client = client_, question = std::move(question)]() mutable { question(client); });
    }
    void back_here(std::move_only_function<void()> task) override {
        place_.loop.post(std::move(task));
    }
    WorkerMint& mint() override { return mint_; }

    const LoopPlace place_;
    os::EventLoop& client_loop_;
    MintClient& client_;
    MintedStatePtr state_;
    WorkerMint mint_;
    runtime::MemoryBudget bodies_{kBodyBytes};
    const ApiContext context_;
    const OwnerAuthorizer authorizer_;
    runtime::Router router_;
};

}  // namespace

MintLink::MintLink(std::string socket_path, uid_t minter_user, const os::Log& log)
    : socket_path_(std::move(socket_path)), minter_user_(minter_user), log_(log) {}

MintLink::~MintLink() = default;

Result<void> MintLink::start(os::EventLoop& loop, Changed changed) {
    loop_ = &loop;
    client_.emplace(
        MintClient::Parts{loop, clock_, log_, socket_path_, minter_user_, std::move(changed)});
    client_->start();
    return {};
}

void MintLink::turn() {
    client_->turn();
}

std::optional<std::uint64_t> MintLink::next_deadline_ms() const {
    return client_->next_deadline_ms();
}

std::unique_ptr<LoopLink> MintLink::for_loop(LoopPlace place) {
    return std::make_unique<MintLoop>(place, *loop_, *client_);
}

void MintLink::reload(runtime::Done<void> done) {
    client_->reload(std::move(done));
}

}  // namespace eos::cvm::proxy
