// SPDX-License-Identifier: AGPL-3.0-only
// The two generations of leaves. Their numbers collide: one identifier means different things in
// each, so the scheme is known before a value is read. source: docs/formats/certificate.md §2, §6.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/oid/oid.h"

namespace eos::ratls {

/// Which generation a leaf is of. It follows from the mode, never from the leaf.
enum class LeafScheme : std::uint8_t {
    kV1,  ///< carries hardware evidence (modes A and B)
    kV2,  ///< carries none: it is asked for inside the connection (mode C)
};

/// Which leaf a name shows where the handshake brings no challenge.
enum class Profile : std::uint8_t {
    kAuto,  ///< of the second generation to who offers its ALPN name, else of the first
    kV1,    ///< of the first: also clients of that generation may offer the name
};
inline constexpr std::string_view kProfileWords[] = {"auto", "v1"};

/// The number that a value of the first generation has in the second; nothing if it has none. Our
/// own arc is the same in both.
std::optional<oid::Oid> v2_number(const oid::Oid& v1);

/// The other way. What programs and policies name is always the first generation's number.
std::optional<oid::Oid> v1_number(const oid::Oid& v2);

}  // namespace eos::ratls
