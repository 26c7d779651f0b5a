// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/pck_extension.h"

#include <utility>

#include "common/oid/registry.h"
#include "common/x509/der.h"

namespace eos::emulation::quoting {

namespace {

using x509::DerWriter;

constexpr std::byte kSgxTypeScalable{1};

/// SEQUENCE { OBJECT IDENTIFIER, what `value` writes }.
template <typename Value>
void entry(DerWriter& out, const oid::Oid& oid, Value&& value) {
    out.sequence([&] {
        out.oid(oid);
        std::forward<Value>(value)();
    });
}

void octets(DerWriter& out, const oid::Oid& oid, ByteView value) {
    entry(out, oid, [&] { out.octet_string(value); });
}

void flag(DerWriter& out, const oid::Oid& oid, std::uint8_t value) {
    const std::byte content{value};
    entry(out, oid, [&] { out.primitive(x509::Tag::kBoolean, ByteView(&content, 1)); });
}

void tcb(DerWriter& out, const sgx_cpu::CpuIdentity& cpu) {
    std::uint32_t arc = 1;
    for (std::byte svn : cpu.cpu_svn) {
        entry(out, oid::kPckTcb.child(arc++),
              [&] { out.integer(std::to_integer<std::uint64_t>(svn)); });
    }
    entry(out, oid::kPckTcbPceSvn, [&] { out.integer(cpu.pce_svn); });
    octets(out, oid::kPckTcbCpuSvn, cpu.cpu_svn);
}

void configuration(DerWriter& out) {
    flag(out, oid::kPckDynamicPlatform, 0x00);
    flag(out, oid::kPckCachedKeys, 0x00);
    flag(out, oid::kPckSmtEnabled, 0xff);
}

}  // namespace

Bytes pck_extension(const sgx_cpu::CpuIdentity& cpu) {
    DerWriter out;
    out.sequence([&] {
        octets(out, oid::kPckPpid, cpu.ppid);
        entry(out, oid::kPckTcb, [&] { out.sequence([&] { tcb(out, cpu); }); });
        octets(out, oid::kPckPceId, cpu.pce_id);
        octets(out, oid::kPckFmspc, cpu.fmspc);
        entry(out, oid::kPckSgxType,
              [&] { out.primitive(x509::Tag::kEnumerated, ByteView(&kSgxTypeScalable, 1)); });
        octets(out, oid::kPckPlatformInstanceId, cpu.platform_instance_id);
        entry(out, oid::kPckConfiguration, [&] { out.sequence([&] { configuration(out); }); });
    });
    return std::move(out).take();
}

}  // namespace eos::emulation::quoting
