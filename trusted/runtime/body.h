// SPDX-License-Identifier: AGPL-3.0-only
// Request bodies that are wanted whole, in memory that was counted before it was taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "common/base/bytes.h"
#include "trusted/runtime/exchange.h"

namespace eos::runtime {

/// How much memory a worker lends to peers. An allocation that fails would end the program, so what
/// a peer can make us hold is counted here first. Outlives its loans. threads: one.
class MemoryBudget {
  public:
    explicit MemoryBudget(std::size_t bytes) : free_(bytes) {}
    /// One borrower's share of `whole`, which outlives it: what it lends is lent by both.
    MemoryBudget(MemoryBudget& whole, std::size_t bytes) : free_(bytes), whole_(&whole) {}

    /// Bytes on loan; given back when it dies.
    class Loan {
      public:
        explicit Loan(MemoryBudget& budget) : budget_(&budget) {}
        Loan(Loan&& other) noexcept
            : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
        Loan& operator=(Loan&&) = delete;
        ~Loan() { budget_->give_back(bytes_); }

        /// Makes the loan at least `bytes`; false if the budget does not have them.
        [[nodiscard]] bool grow_to(std::size_t bytes);

      private:
        MemoryBudget* budget_;
        std::size_t bytes_ = 0;
    };

    std::size_t free_bytes() const { return free_; }

  private:
    bool take(std::size_t bytes);
    void give_back(std::size_t bytes);

    std::size_t free_;
    MemoryBudget* whole_ = nullptr;
};

/// A whole body and the loan that its memory is counted under.
struct CollectedBody {
    Bytes bytes;
    MemoryBudget::Loan loan;
};

/// When a body of known size gets its memory; one of unknown size always does as it comes.
enum class Lending : std::uint8_t {
    kAtOnce,     ///< all of it before the first byte: what was begun can be finished
    kAsItComes,  ///< for peers who might announce much and send little. It grows by being copied,
                 ///< for which up to twice its size is lent
};

/// Collects a body of the size that the head declares, or of unknown size up to `max_bytes`, and
/// then calls `then` with the exchange and the body. The body's memory is lent from `budget`; if
/// that is exhausted the answer is 503.
/// If the exchange ends first, `then` is never called.
/// returns: what to hand to the connection; its max_body_bytes is `max_bytes`, its route is not
/// set.
Dispatched collect_body(http::BodySize declared, std::size_t max_bytes, MemoryBudget& budget,
                        Exchange exchange,
                        std::move_only_function<void(Exchange, CollectedBody)> then,
                        Lending lending = Lending::kAtOnce);

}  // namespace eos::runtime
