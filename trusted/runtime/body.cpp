// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/body.h"

#include <algorithm>
#include <utility>

#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

constexpr std::size_t kGrowthBytes = 64 * 1024;
constexpr unsigned kRetryAfterSeconds = 5;
constexpr std::string_view kBusy = "too many request bodies are being received; try again";

class BodyCollector final : public RequestHandler {
  public:
    BodyCollector(Exchange exchange, MemoryBudget::Loan loan, std::size_t max_bytes,
                  std::move_only_function<void(Exchange, CollectedBody)> then)
        : exchange_(std::move(exchange)),
          loan_(std::move(loan)),
          max_bytes_(max_bytes),
          then_(std::move(then)) {}

    void reserve(std::size_t bytes) { body_.reserve(bytes); }

    BodyFlow on_body(ByteView piece) override {
        const std::size_t wanted = body_.size() + piece.size();
        if (wanted > body_.capacity()) {
            // Doubling, but counted: the old and the new buffer exist at once while it is copied.
            const std::size_t capacity =
                std::min(std::max({2 * body_.capacity(), wanted, kGrowthBytes}),
                         std::max(wanted, max_bytes_));
            if (!loan_.grow_to(body_.capacity() + capacity)) {
                respond_busy(exchange_, kBusy, kRetryAfterSeconds);
                return BodyFlow::kMore;
            }
            body_.reserve(capacity);
        }
        append(body_, piece);
        return BodyFlow::kMore;
    }

    void on_end() override { then_(std::move(exchange_), {std::move(body_), std::move(loan_)}); }

  private:
    Exchange exchange_;
    MemoryBudget::Loan loan_;
    const std::size_t max_bytes_;
    std::move_only_function<void(Exchange, CollectedBody)> then_;
    Bytes body_;
};

}  // namespace

bool MemoryBudget::take(std::size_t bytes) {
    if (bytes > free_ || (whole_ != nullptr && !whole_->take(bytes))) return false;
    free_ -= bytes;
    return true;
}

void MemoryBudget::give_back(std::size_t bytes) {
    free_ += bytes;
    if (whole_ != nullptr) whole_->give_back(bytes);
}

bool MemoryBudget::Loan::grow_to(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    if (!budget_->take(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
}

Dispatched collect_body(http::BodySize declared, std::size_t max_bytes, MemoryBudget& budget,
                        Exchange exchange,
                        std::move_only_function<void(Exchange, CollectedBody)> then,
                        Lending lending) {
    if (declared.bytes > max_bytes) {
        respond_error(exchange, 413, "the limit here is " + std::to_string(max_bytes) + " bytes");
        return {};
    }
    MemoryBudget::Loan loan(budget);
    const auto size = static_cast<std::size_t>(declared.bytes);
    const std::size_t at_once = lending == Lending::kAtOnce ? size : 0;
    if (!loan.grow_to(at_once)) {
        respond_busy(exchange, kBusy, kRetryAfterSeconds);
        return {};
    }
    const std::size_t most = declared.kind == http::BodyKind::kKnown ? size : max_bytes;
    auto collector = std::make_unique<BodyCollector>(std::move(exchange), std::move(loan), most,
                                                     std::move(then));
    collector->reserve(at_once);
    return {std::move(collector), max_bytes, {}};
}

}  // namespace eos::runtime
