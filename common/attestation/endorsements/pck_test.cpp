// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/pck.h"

#include <gtest/gtest.h>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::endorsements {
namespace {

using testing::kNow;
using testing::SyntheticIntel;
using x509::DerWriter;

/// A certificate with this content of the PCK extension.
x509::Certificate with_extension(ByteView value) {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    x509::DistinguishedName name = x509::DistinguishedName::common_name("PCK").value();
    x509::CertificateDraft draft({.serial = x509::Serial::random(),
                                  .issuer = name.der(),
                                  .validity = {kNow, kNow + 1},
                                  .subject = name.der(),
                                  .spki = key.public_key().spki()});
    if (!value.empty()) draft.add(oid::kPckExtension, x509::Critical::kNo, value);
    return x509::Certificate::parse(draft.sign(key)).value();
}

PckExtension sample() {
    PckExtension out;
    out.ppid.fill(std::byte{0x11});
    for (std::size_t i = 0; i < 16; ++i) out.tcb.components[i] = static_cast<std::byte>(240 + i);
    out.tcb.pce_svn = 0x1234;
    out.cpu_svn.fill(std::byte{0x22});
    out.pce_id = {std::byte{1}, std::byte{2}};
    out.fmspc.fill(std::byte{0x33});
    out.sgx_type = SgxType::scalable;
    out.platform_instance_id.emplace().fill(std::byte{0x44});
    return out;
}

TEST(PckExtension, GivesEveryField) {
    PckExtension expected = sample();
    auto found =
        parse_pck_extension(with_extension(SyntheticIntel::encode_pck_extension(expected)));
    ASSERT_TRUE(found.has_value()) << found.error().message();
    EXPECT_EQ(found->ppid, expected.ppid);
    EXPECT_EQ(found->tcb.components, expected.tcb.components);
    EXPECT_EQ(found->tcb.pce_svn, 0x1234);
    EXPECT_EQ(found->cpu_svn, expected.cpu_svn);
    EXPECT_EQ(found->pce_id, expected.pce_id);
    EXPECT_EQ(found->fmspc, expected.fmspc);
    EXPECT_EQ(found->sgx_type, SgxType::scalable);
    EXPECT_EQ(found->platform_instance_id, expected.platform_instance_id);
    EXPECT_FALSE(found->configuration.has_value());
    EXPECT_EQ(parse_pck_extension(with_extension({})).error().code(), no_pck_extension);
}

/// The elements of one SEQUENCE, whole.
std::vector<Bytes> elements(ByteView sequence) {
    x509::DerReader outer(sequence);
    x509::DerReader reader = outer.sequence().value();
    std::vector<Bytes> out;
    while (!reader.at_end()) out.push_back(to_bytes(reader.any().value().whole));
    return out;
}

Bytes sequence_of(const std::vector<Bytes>& parts) {
    DerWriter out;
    out.sequence([&] {
        for (const Bytes& part : parts) out.raw(part);
    });
    return std::move(out).take();
}

Bytes octets_field(const oid::Oid& oid, std::size_t size) {
    DerWriter out;
    out.sequence([&] { out.oid(oid).octet_string(Bytes(size, std::byte{1})); });
    return std::move(out).take();
}

Bytes integer_field(const oid::Oid& oid, std::uint64_t value) {
    DerWriter out;
    out.sequence([&] { out.oid(oid).integer(value); });
    return std::move(out).take();
}

Code code_of(const std::vector<Bytes>& fields) {
    auto out = parse_pck_extension(with_extension(sequence_of(fields)));
    return out.has_value() ? Code{"", "accepted", ""} : out.error().code();
}

TEST(PckExtension, FieldTwinsFail) {
    const std::vector<Bytes> good = elements(SyntheticIntel::encode_pck_extension(sample()));
    ASSERT_EQ(good.size(), 6u);
    EXPECT_EQ(code_of(good).name, "accepted");
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::vector<Bytes> missing = good;
        missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(code_of(missing).name, i < 5 ? bad_pck_extension.name : "accepted") << i;
        std::vector<Bytes> twice = good;
        twice.push_back(good[i]);
        EXPECT_EQ(code_of(twice), bad_pck_extension) << i;
    }
    auto replaced = [&](std::size_t at, Bytes field) {
        std::vector<Bytes> out = good;
        out[at] = std::move(field);
        return code_of(out);
    };
    EXPECT_EQ(replaced(0, octets_field(oid::kPckPpid, 15)), bad_pck_extension);
    EXPECT_EQ(replaced(0, integer_field(oid::kPckPpid, 1)), x509::unexpected_tag);
    EXPECT_EQ(replaced(2, octets_field(oid::kPckPceId, 3)), bad_pck_extension);
    EXPECT_EQ(replaced(3, octets_field(oid::kPckFmspc, 5)), bad_pck_extension);
    EXPECT_EQ(replaced(5, octets_field(oid::kPckExtension.child(8), 16)), bad_pck_extension);
    EXPECT_EQ(replaced(5, octets_field(oid::kPckTcb.child(1), 16)), bad_pck_extension);
    DerWriter type;
    const std::byte three{3};
    type.sequence(
        [&] { type.oid(oid::kPckSgxType).primitive(x509::Tag::kEnumerated, ByteView(&three, 1)); });
    EXPECT_EQ(replaced(4, to_bytes(type.view())), bad_pck_extension);
    DerWriter longer;
    longer.sequence([&] { longer.oid(oid::kPckPpid).octet_string(Bytes(16)).integer(1); });
    EXPECT_EQ(replaced(0, to_bytes(longer.view())), x509::trailing_bytes);
}

TEST(PckExtension, TcbTwinsFail) {
    const std::vector<Bytes> good = elements(SyntheticIntel::encode_pck_extension(sample()));
    x509::DerReader outer(good[1]);
    x509::DerReader field = outer.sequence().value();
    field.oid().value();
    const std::vector<Bytes> tcb = elements(field.any().value().whole);
    ASSERT_EQ(tcb.size(), 18u);
    auto code_with = [&](const std::vector<Bytes>& levels) {
        DerWriter out;
        out.sequence([&] { out.oid(oid::kPckTcb).raw(sequence_of(levels)); });
        std::vector<Bytes> all = good;
        all[1] = to_bytes(out.view());
        return code_of(all);
    };
    EXPECT_EQ(code_with(tcb).name, "accepted");
    for (std::size_t i = 0; i < tcb.size(); ++i) {
        std::vector<Bytes> missing = tcb;
        missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(code_with(missing), bad_pck_extension) << i;
    }
    std::vector<Bytes> large = tcb;
    large[3] = integer_field(oid::kPckTcb.child(4), 256);
    EXPECT_EQ(code_with(large), bad_pck_extension);
    large = tcb;
    large[16] = integer_field(oid::kPckTcbPceSvn, 65536);
    EXPECT_EQ(code_with(large), bad_pck_extension);
}

TEST(PckExtension, EveryTruncationFails) {
    Bytes whole = SyntheticIntel::encode_pck_extension(sample());
    for (std::size_t size = 1; size < whole.size(); ++size) {
        EXPECT_FALSE(parse_pck_extension(with_extension(ByteView(whole).first(size))).has_value())
            << size;
    }
    whole.push_back(std::byte{0});
    EXPECT_EQ(parse_pck_extension(with_extension(whole)).error().code(), x509::trailing_bytes);
}

}  // namespace
}  // namespace eos::attestation::endorsements
