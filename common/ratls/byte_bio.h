// SPDX-License-Identifier: AGPL-3.0-only
// libssl's two ends as byte buffers: what came in waits in one, what goes out gathers in the other.
#pragma once

#include <openssl/bio.h>

#include <memory>

#include "common/base/bytes.h"

namespace eos::ratls {

/// Bytes received but not yet read by libssl, and bytes written by libssl but not yet taken away.
/// Neither is bounded here: input is bounded by the peer's window, output by what is written.
class ByteBio {
  public:
    ByteBio();
    ~ByteBio();
    ByteBio(const ByteBio&) = delete;
    ByteBio& operator=(const ByteBio&) = delete;

    /// The BIO for SSL_set_bio, borrowed: this object keeps its own reference.
    BIO* handle() const { return bio_; }

    void receive(ByteView bytes);
    std::size_t unread_bytes() const { return input_.size() - input_read_; }

    ByteView output() const { return ByteView(output_).subspan(output_taken_); }
    void output_taken(std::size_t count);

    int read(MutableByteView out);
    void write(ByteView bytes) { append(output_, bytes); }

  private:
    BIO* bio_;
    Bytes input_;
    std::size_t input_read_ = 0;
    Bytes output_;
    std::size_t output_taken_ = 0;
};

}  // namespace eos::ratls
