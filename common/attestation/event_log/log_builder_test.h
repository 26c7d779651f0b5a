// SPDX-License-Identifier: AGPL-3.0-only
// Crypto-agile logs made byte by byte, for tests.
#pragma once

#include <vector>

#include "common/attestation/event_log/event_log.h"
#include "common/base/codec.h"
#include "common/crypto/hash.h"

namespace eos::attestation::event_log::testing {

inline Digest48 sha384(ByteView bytes) {
    return to_array<48>(crypto::hash(crypto::HashKind::kSha384, bytes));
}

/// An event whose digest is that of its data.
inline Event event_of(std::size_t rtmr, std::uint32_t type, std::string_view data) {
    return {rtmr, type, sha384(as_bytes(data)), {}, to_bytes(data)};
}

/// What a header announces, and what its records then carry.
struct Announced {
    std::uint16_t id = 0x000c;
    std::uint16_t size = 48;
};

inline Bytes header(const std::vector<Announced>& algorithms) {
    Writer spec;
    spec.text(std::string_view("Spec ID Event03\0", 16)).u32le(0).u8(0).u8(2).u8(0).u8(2);
    spec.u32le(static_cast<std::uint32_t>(algorithms.size()));
    for (const Announced& algorithm : algorithms) spec.u16le(algorithm.id).u16le(algorithm.size);
    spec.u8(0);
    Writer out;
    out.u32le(1).u32le(kEvNoAction).zeros(20);
    out.u32le(static_cast<std::uint32_t>(spec.size())).bytes(spec.view());
    return std::move(out).take();
}

/// A record with one SHA-384 digest.
inline Bytes record(const Event& event) {
    Writer out;
    out.u32le(static_cast<std::uint32_t>(event.rtmr + 1)).u32le(event.type).u32le(1);
    out.u16le(0x000c).bytes(event.digest);
    out.u32le(static_cast<std::uint32_t>(event.data.size())).bytes(event.data);
    return std::move(out).take();
}

inline Bytes ccel_of(const std::vector<Event>& events) {
    Bytes out = header({{}});
    for (const Event& event : events) append(out, record(event));
    return out;
}

/// A boot in small: every register but RTMR3 is used.
inline std::vector<Event> small_boot() {
    return {event_of(0, kEvEfiAction, "one"),
            event_of(0, kEvSeparator, std::string_view("\0\0\0\0", 4)),
            event_of(1, kEvEfiAction, "Calling EFI Application from Boot Option"),
            event_of(2, 0x0000000d, "kernel_cmdline: quiet"),
            event_of(0, kEvEfiAction, "two"),
            event_of(1, kEvEfiAction, "Exit Boot Services Invocation")};
}

}  // namespace eos::attestation::event_log::testing
