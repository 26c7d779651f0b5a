// SPDX-License-Identifier: AGPL-3.0-only
// What the service shows in its handshakes. Today a certificate of files; inside a TEE it will be a
// leaf of the runtime's minter, which takes the place of leaf() here.
#pragma once

#include <memory>

#include "common/ratls/tls_session.h"
#include "trusted/attestd/config.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/served.h"

namespace eos::attestd {

/// Where leaves come from.
class LeafSource {
  public:
    virtual ~LeafSource() = default;
    /// The names that connections can be opened to.
    virtual std::shared_ptr<const runtime::Served> served() const = 0;
    /// As runtime::ConnectionServices::leaf().
    virtual void leaf(std::shared_ptr<const runtime::Served> served,
                      const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                      runtime::Done<runtime::CredentialPtr> done) = 0;
};

/// A certificate and key of files. A challenge (extension 0xFFBB) is refused: nothing attests this
/// key.
class FileLeaf final : public LeafSource {
  public:
    /// errors:  those of reading the files; ratls::bad_credential; bad_config (no usable name).
    [[nodiscard]] static Result<std::shared_ptr<FileLeaf>> load(const Config& config);

    std::shared_ptr<const runtime::Served> served() const override { return served_; }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address,
              runtime::Done<runtime::CredentialPtr> done) override;

    UnixTime not_after() const { return not_after_; }

  private:
    FileLeaf(runtime::CredentialPtr credential, std::shared_ptr<const runtime::Served> served,
             UnixTime not_after)
        : credential_(std::move(credential)), served_(std::move(served)), not_after_(not_after) {}

    runtime::CredentialPtr credential_;
    std::shared_ptr<const runtime::Served> served_;
    UnixTime not_after_;
};

}  // namespace eos::attestd
