// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/crl.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/oid/registry.h"
#include "common/x509/signed_data.h"

namespace eos::x509 {

struct Crl::Data {
    Bytes der;
    SignedData frame;
    DistinguishedName issuer;
    UnixTime this_update, next_update;
    std::vector<RevokedCertificate> revoked;
    std::vector<ExtensionView> extensions;
    std::optional<ByteView> number;
    ByteView authority_key_identifier;
};

namespace {

constexpr std::uint8_t kLastReason = 10;

Result<std::uint8_t> parse_reason(ByteView value) {
    DerReader outer(value);
    ByteView content = EOS_TRY(outer.expect(Tag::kEnumerated)).value;
    EOS_TRY(outer.expect_end());
    if (content.size() != 1 || std::to_integer<std::uint8_t>(content[0]) > kLastReason)
        return fail(bad_crl, "a reason code");
    return std::to_integer<std::uint8_t>(content[0]);
}

Result<RevokedCertificate> read_entry(DerReader& list) {
    DerReader fields = EOS_TRY(list.sequence());
    RevokedCertificate out;
    out.serial = EOS_TRY(Serial::from_bytes(EOS_TRY(fields.unsigned_integer())));
    out.revoked_at = EOS_TRY(fields.time());
    if (fields.at_end()) return out;
    std::vector<ExtensionView> extensions = EOS_TRY(parse_extensions(EOS_TRY(fields.sequence())));
    for (const ExtensionView& extension : extensions) {
        if (extension.oid == oid::kReasonCode) {
            out.reason = EOS_TRY(parse_reason(extension.value));
        } else if (extension.critical == Critical::kYes) {
            return fail(unknown_critical_extension, oid::describe(extension.oid) + " in an entry");
        }
    }
    EOS_TRY(fields.expect_end());
    return out;
}

Result<ByteView> parse_number(ByteView value) {
    DerReader outer(value);
    ByteView number = EOS_TRY(outer.unsigned_integer());
    EOS_TRY(outer.expect_end());
    if (number.size() > kMaxSerialBytes) return fail(bad_crl, "cRLNumber");  // RFC 5280 §5.2.3
    return number;
}

}  // namespace

Result<Crl> Crl::parse(ByteView der) {
    if (der.size() > kMaxCrlBytes)
        return fail(too_large, "a revocation list of " + std::to_string(der.size()) + " bytes");
    auto data = std::make_shared<Data>();
    data->der = to_bytes(der);
    data->frame = EOS_TRY(parse_signed(data->der));
    EOS_TRY(read_tbs(*data));
    return Crl(std::move(data));
}

Result<void> Crl::read_tbs(Data& data) {
    DerReader outer(data.frame.tbs);
    DerReader tbs = EOS_TRY(outer.sequence());
    if (EOS_TRY(tbs.u64()) != 1) return fail(bad_crl, "expected version 2");
    ByteView algorithm;
    EOS_TRY(read_algorithm(tbs, algorithm));
    if (!equal(algorithm, data.frame.algorithm))  // RFC 5280 §5.1.1.2
        return fail(bad_crl, "the signature algorithms inside and outside differ");
    ByteView issuer = EOS_TRY(tbs.expect(Tag::kSequence)).whole;
    data.issuer = EOS_TRY(DistinguishedName::parse(issuer));
    data.this_update = EOS_TRY(tbs.time());
    data.next_update = EOS_TRY(tbs.time());  // required: RFC 5280 §5.1.2.5
    if (data.next_update < data.this_update)
        return fail(bad_crl, "nextUpdate lies before thisUpdate");
    if (tbs.next_is(Tag::kSequence)) {
        DerReader list = EOS_TRY(tbs.sequence());
        if (list.at_end()) return fail(bad_crl, "an empty list is written out");  // §5.1.2.6
        while (!list.at_end()) data.revoked.push_back(EOS_TRY(read_entry(list)));
        std::ranges::sort(data.revoked, {}, &RevokedCertificate::serial);
    }
    if (!tbs.at_end()) EOS_TRY(read_extensions(data, tbs));
    return tbs.expect_end();
}

Result<void> Crl::read_extensions(Data& data, DerReader& tbs) {
    DerReader wrapper = EOS_TRY(tbs.enter(context_constructed(0)));
    data.extensions = EOS_TRY(parse_extensions(EOS_TRY(wrapper.sequence())));
    EOS_TRY(wrapper.expect_end());
    for (const ExtensionView& extension : data.extensions) {
        if (extension.oid == oid::kCrlNumber) {
            data.number = EOS_TRY(parse_number(extension.value));
        } else if (extension.oid == oid::kAuthorityKeyIdentifier) {
            data.authority_key_identifier =
                EOS_TRY(parse_authority_key_identifier(extension.value));
        } else if (extension.oid == oid::kDeltaCrlIndicator ||
                   extension.oid == oid::kIssuingDistributionPoint) {
            return fail(bad_crl, "a list of limited scope: " + oid::describe(extension.oid));
        } else if (extension.critical == Critical::kYes) {
            return fail(unknown_critical_extension, oid::describe(extension.oid));
        }
    }
    return {};
}

ByteView Crl::der() const {
    return data_->der;
}
const DistinguishedName& Crl::issuer() const {
    return data_->issuer;
}
UnixTime Crl::this_update() const {
    return data_->this_update;
}
UnixTime Crl::next_update() const {
    return data_->next_update;
}
std::optional<ByteView> Crl::number() const {
    return data_->number;
}
ByteView Crl::authority_key_identifier() const {
    return data_->authority_key_identifier;
}
std::span<const RevokedCertificate> Crl::revoked() const {
    return data_->revoked;
}

Result<void> Crl::verify_signed_by(const crypto::P256PublicKey& issuer) const {
    return verify_signed(data_->frame, issuer);
}

Result<void> Crl::verify_signed_by(const crypto::RsaPublicKey& issuer) const {
    return verify_signed(data_->frame, issuer);
}

Result<void> Crl::verify_issuer(const Certificate& issuer) const {
    if (issuer.subject() != data_->issuer)
        return fail(wrong_crl_issuer, "expected " + issuer.subject().display() + ", found " +
                                          data_->issuer.display());
    if (issuer.key_usage() && (*issuer.key_usage() & kCrlSign) == 0)
        return fail(key_usage, issuer.subject().display() + " may not sign revocation lists");
    // The issuer's key decides which algorithm the list must have.
    Result<crypto::P256PublicKey> p256 = issuer.p256_key();
    if (p256.has_value()) return verify_signed_by(*p256);
    if (Result<crypto::RsaPublicKey> rsa = issuer.rsa_key(); rsa.has_value()) {
        return verify_signed_by(*rsa);
    }
    return fail(std::move(p256).error());
}

Result<void> Crl::check_dates(UnixTime time) const {
    if (time < data_->this_update)
        return fail(not_yet_valid, "revocation list from " + rfc3339(data_->this_update));
    if (time > data_->next_update)
        return fail(expired, "revocation list until " + rfc3339(data_->next_update));
    return {};
}

Result<void> Crl::verify(const Certificate& issuer, UnixTime time) const {
    EOS_TRY(verify_issuer(issuer));
    return check_dates(time);
}

bool Crl::is_revoked(const Serial& serial) const {
    return std::ranges::binary_search(data_->revoked, serial, {}, &RevokedCertificate::serial);
}

namespace {

// TBSCertList, whole.
Bytes write_list(const CrlFields& fields, ByteView algorithm) {
    DerWriter out;
    auto write_entry = [&](const RevokedCertificate& entry) {
        out.sequence([&] {
            out.unsigned_integer(entry.serial.bytes()).time(entry.revoked_at);
            if (!entry.reason) return;
            EOS_ASSERT(*entry.reason <= kLastReason);
            std::byte reason{*entry.reason};
            DerWriter value(4);
            value.primitive(Tag::kEnumerated, ByteView(&reason, 1));
            out.sequence(
                [&] { write_extension(out, oid::kReasonCode, Critical::kNo, value.view()); });
        });
    };
    auto write_extensions = [&] {
        if (!fields.authority_key_identifier.empty()) {
            Extension aki = make_authority_key_identifier(fields.authority_key_identifier);
            write_extension(out, aki.oid, aki.critical, aki.value);
        }
        DerWriter number(12);
        number.integer(fields.number);
        write_extension(out, oid::kCrlNumber, Critical::kNo, number.view());
    };
    out.sequence([&] {
        out.integer(1);  // version 2
        out.raw(algorithm).raw(fields.issuer).time(fields.this_update).time(fields.next_update);
        if (!fields.revoked.empty())
            out.sequence([&] { std::ranges::for_each(fields.revoked, write_entry); });
        out.constructed(context_constructed(0), [&] { out.sequence(write_extensions); });
    });
    return std::move(out).take();
}

}  // namespace

Bytes make_crl(const CrlFields& fields, const crypto::P256PrivateKey& issuer_key) {
    return write_signed(write_list(fields, signature_algorithm_of(issuer_key)), issuer_key);
}

Bytes make_crl(const CrlFields& fields, const crypto::RsaPrivateKey& issuer_key) {
    return write_signed(write_list(fields, signature_algorithm_of(issuer_key)), issuer_key);
}

}  // namespace eos::x509
