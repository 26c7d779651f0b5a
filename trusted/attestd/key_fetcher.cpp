// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/key_fetcher.h"

#include <algorithm>

namespace eos::attestd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxDiscoveryBytes = 64 * 1024;

/// A member of a discovery document.
Result<std::string> member(const json::Value& document, const char* name) {
    if (!document.is_object()) return fail(bad_discovery, "not an object");
    auto found = document.find(name);
    const auto* text = found == document.end() ? nullptr : found->get_ptr<const std::string*>();
    if (text == nullptr) return fail(bad_discovery, name);
    return *text;
}

}  // namespace

Result<std::vector<jose::IssuerKey>> discover_keys(const IssuerConfig& issuer, Reach reach) {
    FetchOptions options{
        .ca_file = issuer.ca_file, .reach = reach, .max_bytes = kMaxDiscoveryBytes};
    std::string base = issuer.issuer;
    if (base.ends_with('/')) base.pop_back();
    Bytes text = EOS_TRY(fetch(base + "/.well-known/openid-configuration", options));
    json::Value document =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxDiscoveryBytes, .depth = 16}));
    if (EOS_TRY(member(document, "issuer")) != issuer.issuer) {
        return fail(bad_discovery, "it is of another issuer than " + issuer.issuer);
    }
    options.max_bytes = jose::kMaxKeySetBytes;
    return jose::parse_key_set(EOS_TRY(fetch(EOS_TRY(member(document, "jwks_uri")), options)));
}

KeyFetcher::KeyFetcher(std::vector<IssuerConfig> issuers, Reach reach, Fetched fetched)
    : reach_(reach), fetched_(std::move(fetched)) {
    for (std::size_t i = 0; i < issuers.size(); ++i) {
        if (!issuers[i].jwks_file.empty()) continue;
        rows_.push_back({i, std::move(issuers[i]), Clock::now(), Clock::now() - kMinPause});
    }
    thread_ = std::jthread([this] { run(); });
}

KeyFetcher::~KeyFetcher() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
}

bool KeyFetcher::ask(std::size_t issuer) {
    std::lock_guard lock(mutex_);
    auto row = std::ranges::find(rows_, issuer, &Row::index);
    if (row == rows_.end()) return false;
    const Time now = Clock::now();
    // Anybody can name a key that does not exist.
    if (now - row->last < kMinPause) return row->due <= now;
    row->due = now;
    changed_.notify_all();
    return true;
}

void KeyFetcher::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        auto next = std::ranges::min_element(rows_, {}, &Row::due);
        if (next == rows_.end()) {
            changed_.wait(lock);
            continue;
        }
        if (Clock::now() < next->due) {
            changed_.wait_until(lock, next->due);
            continue;
        }
        const IssuerConfig issuer = next->issuer;
        const std::size_t index = next->index;
        lock.unlock();
        Result<std::vector<jose::IssuerKey>> keys = discover_keys(issuer, reach_);
        const bool is_good = keys.has_value();
        fetched_(index, std::move(keys));
        lock.lock();
        next->last = Clock::now();
        next->due = next->last + (is_good ? std::chrono::seconds(issuer.refresh_s) : kMinPause);
    }
}

}  // namespace eos::attestd
