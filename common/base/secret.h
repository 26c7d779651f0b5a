// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <utility>

#include "common/base/bytes.h"

namespace eos {

/// Holds a secret of fixed size (a ByteArray): wiped when it dies or is moved from, not copied, not
/// printable, compared only by crypto::equal_constant_time over view().
template <typename T>
class Secret {
  public:
    Secret() = default;
    explicit Secret(const T& value) : value_(value) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept : value_(other.value_) { other.wipe(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            value_ = other.value_;
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    /// The secret bytes, borrowed; do not keep a copy outside a Secret.
    ByteView view() const { return value_; }
    MutableByteView writable() { return value_; }

    /// A second Secret with the same value; spelt out so that copies are visible in review.
    Secret duplicate() const { return Secret(value_); }

  private:
    void wipe() { secure_wipe(value_); }
    T value_{};
};

/// A secret of a size known only at run time. Same rules.
class SecretBytes {
  public:
    SecretBytes() = default;
    explicit SecretBytes(Bytes&& value) : value_(std::move(value)) {}
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    SecretBytes(SecretBytes&& other) noexcept : value_(std::move(other.value_)) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        secure_wipe(value_);
        value_ = std::move(other.value_);
        return *this;
    }
    ~SecretBytes() { secure_wipe(value_); }

    ByteView view() const { return value_; }
    std::size_t size() const { return value_.size(); }
    SecretBytes duplicate() const { return SecretBytes(Bytes(value_)); }

  private:
    Bytes value_;
};

}  // namespace eos
