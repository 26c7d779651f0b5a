// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/registers.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "common/attestation/event_log/replay.h"
#include "common/crypto/hash.h"

namespace eos::emulation::tsm {
namespace {

Bytes value_of(const Registers& registers, const char* name) {
    Bytes out(100);
    const int size = registers.read(*Registers::file(name), out, 0);
    out.resize(static_cast<std::size_t>(size));
    return out;
}

TEST(Registers, boot_as_the_boot_log_says) {
    const Registers registers;
    EXPECT_EQ(registers.rtmrs(), attestation::event_log::replay(boot_log()));
    for (const char* name : {"rtmr0:sha384", "rtmr1:sha384", "rtmr2:sha384", "mrtd:sha384"})
        EXPECT_FALSE(all_zero(value_of(registers, name))) << name;
    EXPECT_EQ(value_of(registers, "rtmr3:sha384"), Bytes(48));
}

TEST(Registers, a_write_of_48_bytes_extends) {
    Registers registers;
    const RegisterFile& rtmr3 = *Registers::file("rtmr3:sha384");
    const Bytes digest(48, std::byte{7});
    EXPECT_EQ(registers.write(rtmr3, digest, 0), 48);
    EXPECT_EQ(value_of(registers, "rtmr3:sha384"),
              crypto::hash(crypto::HashKind::kSha384, concat({Bytes(48), digest})));
}

TEST(Registers, other_writes_are_refused_as_sysfs_does) {
    Registers registers;
    const RegisterFile& rtmr3 = *Registers::file("rtmr3:sha384");
    EXPECT_EQ(registers.write(rtmr3, Bytes(47), 0), -EINVAL);
    EXPECT_EQ(registers.write(rtmr3, Bytes(47), 1), -EINVAL);
    EXPECT_EQ(registers.write(rtmr3, Bytes(48), 48), -EFBIG);
    EXPECT_EQ(registers.write(rtmr3, Bytes(), 0), 0);
    EXPECT_EQ(value_of(registers, "rtmr3:sha384"), Bytes(48));
    EXPECT_LT(registers.write(*Registers::file("mrtd:sha384"), Bytes(48), 0), 0);
    EXPECT_EQ(Registers::file("rtmr4:sha384"), nullptr);
}

TEST(Registers, reads_may_be_short) {
    const Registers registers;
    Bytes part(8);
    EXPECT_EQ(registers.read(*Registers::file("mrtd:sha384"), part, 44), 4);
    EXPECT_EQ(registers.read(*Registers::file("mrtd:sha384"), part, 48), 0);
    EXPECT_EQ(registers.read(*Registers::file("mrtd:sha384"), part, 1000), 0);
}

}  // namespace
}  // namespace eos::emulation::tsm
