// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/key_fetcher.h"

#include <algorithm>
#include <thread>

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

Result<std::vector<jose::IssuerKey>> discover_keys(const IssuerConfig& issuer, Reach reach,
                                                   const std::stop_token& stop) {
    FetchOptions options{
        .ca_file = issuer.ca_file, .reach = reach, .max_bytes = kMaxDiscoveryBytes, .stop = stop};
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
    : shared_(std::make_shared<Shared>()) {
    shared_->reach = reach;
    shared_->fetched = std::move(fetched);
    const Time now = Clock::now();
    for (std::size_t i = 0; i < issuers.size(); ++i) {
        if (!issuers[i].jwks_file.empty()) continue;
        shared_->rows.push_back({i, std::move(issuers[i]), now, now - kMinPause});
    }
    shared_->running = shared_->rows.size();
    for (Row& row : shared_->rows)
        std::thread([shared = shared_, &row] { run(*shared, row); }).detach();
}

KeyFetcher::~KeyFetcher() {
    std::unique_lock lock(shared_->mutex);
    shared_->stop.request_stop();
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, kMaxStop, [this] { return shared_->running == 0; });
}

bool KeyFetcher::ask(std::size_t issuer) {
    std::lock_guard lock(shared_->mutex);
    auto row = std::ranges::find(shared_->rows, issuer, &Row::index);
    if (row == shared_->rows.end()) return false;
    const Time now = Clock::now();
    // Anybody can name a key that does not exist.
    if (now - row->last < kMinPause) return row->due <= now;
    row->due = now;
    shared_->changed.notify_all();
    return true;
}

void KeyFetcher::run(Shared& shared, Row& row) {
    const std::stop_token stop = shared.stop.get_token();
    std::unique_lock lock(shared.mutex);
    while (!stop.stop_requested()) {
        const Time due = row.due;
        if (Clock::now() < due) {
            shared.changed.wait_until(lock, due);
            continue;
        }
        lock.unlock();
        Result<std::vector<jose::IssuerKey>> keys = discover_keys(row.issuer, shared.reach, stop);
        lock.lock();
        // Under the lock, so that whoever has stopped this is not called.
        if (stop.stop_requested()) break;
        const bool is_good = keys.has_value();
        shared.fetched(row.index, std::move(keys));
        row.last = Clock::now();
        row.due = row.last + (is_good ? std::chrono::seconds(row.issuer.refresh_s) : kMinPause);
    }
    --shared.running;
    shared.changed.notify_all();
}

}  // namespace eos::attestd
