// SPDX-License-Identifier: AGPL-3.0-only
// What the state holds after each of its generations, known to the one who writes it and to the
// one who checks it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::crash {

inline constexpr unsigned kRecordCount = 8;

/// A value by its making: large ones are cheap to compare.
struct Value {
    std::uint64_t made_in = 0;  ///< generation
    std::size_t size_bytes = 0;

    std::string text(const std::string& name) const {
        std::string out = name + " of generation " + std::to_string(made_in) + ".";
        for (std::size_t i = out.size(); i < size_bytes; ++i)
            out += static_cast<char>('a' + (i * i + made_in) % 26);
        return out;
    }
    friend bool operator==(const Value&, const Value&) = default;
};
using State = std::map<std::string, Value>;

/// The change that leads to `generation`: a name with its new value, or with none.
inline std::map<std::string, std::optional<Value>> change_to(std::uint64_t generation,
                                                             const State& before) {
    std::map<std::string, std::optional<Value>> out;
    for (unsigned i = 0; i < kRecordCount; ++i) {
        const std::uint64_t dice = (generation * 2654435761U + i * 40503U) >> 4;
        const std::string name = "record/" + std::to_string(i);
        if (dice % 3 == 0) {
            // One to three blobs, or a few bytes.
            out[name] = Value{generation, dice % 7 == 0 ? 60'000 + dice % 90'000 : dice % 300};
        } else if (dice % 11 == 1 && before.contains(name)) {
            out[name] = std::nullopt;
        }
    }
    out["always"] = Value{generation, 40};
    return out;
}

inline State after(State state, std::uint64_t generation) {
    for (auto& [name, value] : change_to(generation, state)) {
        if (value) {
            state[name] = *value;
        } else {
            state.erase(name);
        }
    }
    return state;
}

/// One word for a whole state: names and contents.
class Fingerprint {
  public:
    void add(const std::string& name, ByteView content) {
        hash_.update(as_bytes(name));
        hash_.update(crypto::sha256(content));
    }
    std::string finish() { return hex(hash_.finish()); }

  private:
    crypto::Sha256 hash_;
};

inline std::string fingerprint(const State& state) {
    Fingerprint out;
    for (const auto& [name, value] : state) out.add(name, as_bytes(value.text(name)));
    return out.finish();
}

}  // namespace eos::crash
