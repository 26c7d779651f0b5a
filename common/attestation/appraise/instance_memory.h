// SPDX-License-Identifier: AGPL-3.0-only
// What a Relying Party remembers of the instances it accepted, so that it notices when one comes
// back with older state or runs twice. A value: whoever has files and a clock keeps it.
// source: docs/formats/instance-memory.md.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace eos::attestation::appraise {

inline constexpr Code bad_instance_memory{"common/attestation/appraise", "bad_instance_memory",
                                          "what was remembered of instances contradicts itself"};
inline constexpr Code instance_memory_full{"common/attestation/appraise", "instance_memory_full",
                                           "no further instance can be remembered"};

inline constexpr std::size_t kMaxSeenInstances = 1024;
inline constexpr std::size_t kMaxSeenBootIds = 32;  ///< of an instance; the newest are kept
inline constexpr std::size_t kMaxSeenNames = 64;    ///< of an instance; for people only
inline constexpr std::size_t kMaxInstanceMemoryBytes = 32 * 1024 * 1024;

/// Extension .3 of our own: which instance, which start of it, and how new its state was when the
/// leaf was minted. source: docs/formats/certificate.md 2.
struct InstanceClaim {
    ByteArray<16> id{};
    ByteArray<16> boot_id{};
    std::uint64_t generation = 0;
    friend bool operator==(const InstanceClaim&, const InstanceClaim&) = default;
};

/// What was seen of one instance.
struct SeenInstance {
    /// The highest, under whatever name: all leaves of an instance carry the generation of its one
    /// state.
    std::uint64_t generation = 0;
    std::vector<ByteArray<16>> boot_ids;  ///< in the order first seen, at least one
    std::set<std::string> names;          ///< under which it was asked for; "" without a name
    UnixTime last_seen;
    friend bool operator==(const SeenInstance&, const SeenInstance&) = default;
};

/// One accepted verdict's instance, under the name that was asked for.
struct Sighting {
    InstanceClaim claim;
    std::string server_name;
    UnixTime time;
};

/// All of them. Plain data.
class InstanceMemory {
  public:
    /// in:     what text() wrote.
    /// errors: those of json::parse; json::missing_member, unknown_member, wrong_type,
    ///         out_of_range; bad_encoding; bad_time; bad_instance_memory (a version, an instance or
    ///         a boot id twice, no boot id).
    /// bound:  kMaxInstanceMemoryBytes, kMaxSeenInstances.
    [[nodiscard]] static Result<InstanceMemory> parse(ByteView text);

    /// JSON: docs/formats/instance-memory.md.
    std::string text() const;

    /// The instance, or nullptr.
    const SeenInstance* find(const ByteArray<16>& id) const;
    const std::map<ByteArray<16>, SeenInstance>& instances() const { return instances_; }

    /// Notes what an accepted verdict said. Never lowers a generation.
    /// errors: instance_memory_full. Nothing is dropped to make room: whoever can show many
    ///         instances could else have one forgotten.
    [[nodiscard]] Result<void> remember(const Sighting& sighting);

    /// returns: whether it was known.
    bool forget(const ByteArray<16>& id) { return instances_.erase(id) != 0; }

    friend bool operator==(const InstanceMemory&, const InstanceMemory&) = default;

  private:
    std::map<ByteArray<16>, SeenInstance> instances_;
};

}  // namespace eos::attestation::appraise
