// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/event_log/replay.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::attestation::event_log {
namespace {

Digest48 sha384(ByteView bytes) {
    return to_array<48>(crypto::hash(crypto::HashKind::kSha384, bytes));
}

Digest48 extended(const Digest48& value, const Digest48& digest) {
    ByteArray<96> both;
    std::ranges::copy(value, both.begin());
    std::ranges::copy(digest, both.begin() + 48);
    return sha384(both);
}

/// Positions in the log of a register's measured events.
std::vector<std::size_t> events_of(const EventLog& log, std::size_t rtmr) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < log.events.size(); ++i) {
        if (log.events[i].rtmr == rtmr && is_measured(log.events[i])) out.push_back(i);
    }
    return out;
}

/// Tries what could have happened to one register's events, within a number of extends.
class Search {
  public:
    Search(const EventLog& log, std::size_t rtmr, const Digest48& quoted)
        : log_(log), indices_(events_of(log, rtmr)), quoted_(quoted) {
        for (std::size_t index : indices_) digests_.push_back(log.events[index].digest);
    }

    std::optional<Suspect> run() {
        Digest48 before{};
        for (std::size_t k = 0; k < digests_.size(); ++k) {
            if (before == quoted_) return suspect(k, Cause::after_quote);
            if (std::optional<Suspect> found = try_at(before, k)) return found;
            before = extended(before, digests_[k]);
        }
        return {};
    }

  private:
    std::optional<Suspect> try_at(const Digest48& before, std::size_t k) {
        if (replays(before, {}, k + 1)) return suspect(k, Cause::not_measured);
        const Digest48 of_data = sha384(log_.events[indices_[k]].data);
        if (replays(before, {of_data}, k + 1)) return suspect(k, Cause::altered);
        if (k + 1 < digests_.size() && replays(before, {digests_[k + 1], digests_[k]}, k + 2)) {
            return suspect(k, Cause::swapped);
        }
        return {};
    }

    /// Whether `value`, the digests `inserted`, then all from `next` on give the quoted value.
    bool replays(Digest48 value, std::initializer_list<Digest48> inserted, std::size_t next) {
        const std::size_t cost = inserted.size() + digests_.size() - next;
        if (cost > budget_) return false;
        budget_ -= cost;
        for (const Digest48& digest : inserted) value = extended(value, digest);
        for (std::size_t i = next; i < digests_.size(); ++i) value = extended(value, digests_[i]);
        return value == quoted_;
    }

    std::optional<Suspect> suspect(std::size_t k, Cause cause) const {
        return Suspect{indices_[k], cause};
    }

    const EventLog& log_;
    std::vector<std::size_t> indices_;
    std::vector<Digest48> digests_;
    const Digest48& quoted_;
    std::size_t budget_ = kMaxSuspectExtends;
};

std::string describe_side(const std::optional<Event>& event) {
    if (!event) return "no further event";
    return describe(*event) + " (" + hex(event->digest) + ")";
}

}  // namespace

Rtmrs replay(const EventLog& log) {
    Rtmrs out{};
    for (const Event& event : log.events) {
        if (is_measured(event)) out[event.rtmr] = extended(out[event.rtmr], event.digest);
    }
    return out;
}

std::optional<Suspect> find_suspect(const EventLog& log, std::size_t rtmr, const Digest48& quoted) {
    if (replay(log)[rtmr] == quoted) return {};
    return Search(log, rtmr, quoted).run();
}

std::optional<Difference> first_difference(const EventLog& expected, const EventLog& found) {
    for (std::size_t rtmr = 0; rtmr < kRtmrCount; ++rtmr) {
        const std::vector<std::size_t> ours = events_of(expected, rtmr);
        const std::vector<std::size_t> theirs = events_of(found, rtmr);
        for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
            Difference difference{rtmr, i, {}, {}};
            if (i < ours.size()) difference.expected = expected.events[ours[i]];
            if (i < theirs.size()) difference.found = found.events[theirs[i]];
            if (!difference.expected || !difference.found ||
                difference.expected->digest != difference.found->digest) {
                return difference;
            }
        }
    }
    return {};
}

std::string describe(const Difference& difference) {
    return "event " + std::to_string(difference.position) + " of RTMR" +
           std::to_string(difference.rtmr) + ": expected " + describe_side(difference.expected) +
           ", found " + describe_side(difference.found);
}

}  // namespace eos::attestation::event_log
