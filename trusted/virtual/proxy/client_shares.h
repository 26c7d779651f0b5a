// SPDX-License-Identifier: AGPL-3.0-only
// How much of what all clients share each client network has, and whether it may have more.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::cvm::proxy {

inline constexpr Code share_taken{"trusted/virtual/proxy", "share_taken",
                                  "the client network has its share; the rest is for others"};

/// Units of a capacity, counted by client network. A network may take one more while it has, with
/// that one, no more than `percent` of what it and nobody has: alone it gets that part of the
/// whole, and the more the others have the less it is. One that has none is never refused.
/// bound:   an entry for each network that has some, and kSpareEntries.
/// threads: one.
class ClientShares {
    using Counts = std::map<ByteArray<16>, std::size_t>;

  public:
    static constexpr std::size_t kSpareEntries = 64;

    /// One unit, which is given back when this dies. Outlived by the shares.
    class Lease {
      public:
        Lease() = default;
        Lease(Lease&& other) noexcept
            : shares_(std::exchange(other.shares_, nullptr)), entry_(other.entry_) {}
        Lease& operator=(Lease&& other) noexcept {
            give_back();
            shares_ = std::exchange(other.shares_, nullptr);
            entry_ = other.entry_;
            return *this;
        }
        ~Lease() { give_back(); }

        void give_back() {
            if (shares_ != nullptr) std::exchange(shares_, nullptr)->give_back(entry_);
        }

      private:
        friend class ClientShares;
        Lease(ClientShares& shares, Counts::iterator entry) : shares_(&shares), entry_(entry) {}

        ClientShares* shares_ = nullptr;
        Counts::iterator entry_;
    };

    /// in: 1 to 100; 100: nobody is refused.
    explicit ClientShares(std::uint64_t percent) : percent_(percent) {}
    ClientShares(const ClientShares&) = delete;
    ClientShares& operator=(const ClientShares&) = delete;

    /// Takes one. Where nothing is left nobody is refused here: that is for whoever has none to
    /// give, and to say to all alike.
    /// in:      network: as os::network_of() says. capacity: of all together, at present.
    /// errors:  share_taken.
    [[nodiscard]] Result<Lease> take(const ByteArray<16>& network, std::size_t capacity);

    /// By all networks.
    std::size_t taken() const { return taken_; }

  private:
    bool may_have(std::size_t count, std::size_t capacity) const;
    void give_back(Counts::iterator entry);

    const std::uint64_t percent_;
    Counts counts_;
    /// Of networks that have none any more, so that a request on its own allocates nothing.
    std::vector<Counts::node_type> spare_;
    std::size_t taken_ = 0;
};

}  // namespace eos::cvm::proxy
