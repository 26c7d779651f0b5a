// SPDX-License-Identifier: AGPL-3.0-only
// What the service shows in its handshakes: a certificate of files. In a TEE it makes none, and the
// proxy in front of it shows a leaf with evidence (docs/adr/0014).
#pragma once

#include <memory>

#include "common/ratls/tls_session.h"
#include "trusted/attestd/config.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/served.h"

namespace eos::attestd {

/// A certificate and key of files. A challenge (extension 0xFFBB) is refused: nothing attests this
/// key.
class FileLeaf {
  public:
    /// errors:  those of reading the files; ratls::bad_credential; bad_config (no usable name).
    [[nodiscard]] static Result<std::shared_ptr<FileLeaf>> load(const Config& config);

    /// The names that connections can be opened to.
    std::shared_ptr<const runtime::Served> served() const { return served_; }
    /// For runtime::ConnectionServices::leaf().
    void leaf(const ratls::HandshakeOffer& offer, runtime::Done<runtime::CredentialPtr> done) const;

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
