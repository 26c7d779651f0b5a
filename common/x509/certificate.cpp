// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/certificate.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/x509/signed_data.h"

namespace eos::x509 {

namespace {

/// A key that is decoded when somebody first asks for it.
/// threads: any.
template <typename Key>
class LazyKey {
  public:
    LazyKey() = default;
    LazyKey(const LazyKey&) = delete;
    LazyKey& operator=(const LazyKey&) = delete;
    ~LazyKey() { delete key_.load(std::memory_order_relaxed); }

    template <typename Decode>
    const Result<Key>& get(Decode decode) const {
        const Result<Key>* known = key_.load(std::memory_order_acquire);
        if (known != nullptr) return *known;
        // Whoever comes first is right: all decode the same.
        auto made = std::make_unique<const Result<Key>>(decode());
        if (!key_.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) {
            return *known;
        }
        return *made.release();
    }

  private:
    mutable std::atomic<const Result<Key>*> key_{nullptr};
};

}  // namespace

struct Certificate::Data {
    Bytes der;
    SignedData frame;
    ByteView serial_tlv, issuer_tlv, validity_tlv, subject_tlv, spki_tlv;
    Serial serial;
    Validity validity;
    DistinguishedName issuer, subject;
    std::vector<ExtensionView> extensions;
    std::optional<BasicConstraints> basic_constraints;
    std::optional<std::uint16_t> key_usage;
    std::optional<std::vector<oid::Oid>> extended_key_usage;
    SubjectAltName subject_alt_name;
    std::optional<NameConstraints> name_constraints;
    ByteView authority_key_identifier, subject_key_identifier;
    LazyKey<crypto::P256PublicKey> p256_key;
    LazyKey<crypto::RsaPublicKey> rsa_key;
};

namespace {

// The next element whole, without moving on: its parts are read after this.
Result<ByteView> peek_whole(DerReader in) {
    return EOS_TRY(in.any()).whole;
}

Result<Validity> read_validity(DerReader& in) {
    DerReader fields = EOS_TRY(in.sequence());
    Validity out;
    out.not_before = EOS_TRY(fields.time());
    out.not_after = EOS_TRY(fields.time());
    EOS_TRY(fields.expect_end());
    if (out.not_after < out.not_before)
        return fail(bad_certificate, "notAfter lies before notBefore");
    return out;
}

}  // namespace

Serial Serial::random() {
    auto bytes = crypto::random_array<16>();
    bytes[0] &= std::byte{0x7f};
    bytes[15] |= std::byte{1};  // never zero
    return *from_bytes(bytes);
}

Result<Serial> Serial::from_bytes(ByteView magnitude) {
    while (!magnitude.empty() && magnitude[0] == std::byte{0}) magnitude = magnitude.subspan(1);
    if (magnitude.size() > kMaxSerialBytes)
        return fail(bad_certificate, "the serial number is longer than 20 bytes");
    Serial out;
    std::ranges::copy(magnitude, out.bytes_.begin());
    out.size_ = magnitude.size();
    return out;
}

std::string Serial::hex() const {
    return size_ == 0 ? "00" : eos::hex(bytes());
}

std::strong_ordering operator<=>(const Serial& a, const Serial& b) {
    if (a.size_ != b.size_) return a.size_ <=> b.size_;
    return a.bytes_ <=> b.bytes_;  // zeros behind both
}

Result<Certificate> Certificate::parse(ByteView der) {
    if (der.size() > kMaxCertificateBytes)
        return fail(too_large, "a certificate of " + std::to_string(der.size()) + " bytes");
    auto data = std::make_shared<Data>();
    data->der = to_bytes(der);
    data->frame = EOS_TRY(parse_signed(data->der));
    EOS_TRY(read_tbs(*data));
    return Certificate(std::move(data));
}

Result<void> Certificate::read_tbs(Data& data) {
    DerReader outer(data.frame.tbs);
    DerReader tbs = EOS_TRY(outer.sequence());
    bool has_version = tbs.next_is(context_constructed(0));
    if (has_version) {
        DerReader version = EOS_TRY(tbs.enter(context_constructed(0)));
        // 1 would be version 2, which nobody issues; 0 is the default and hence not written.
        if (EOS_TRY(version.u64()) != 2) return fail(bad_certificate, "expected version 1 or 3");
        EOS_TRY(version.expect_end());
    }
    data.serial_tlv = EOS_TRY(peek_whole(tbs));
    data.serial = EOS_TRY(Serial::from_bytes(EOS_TRY(tbs.unsigned_integer())));
    ByteView algorithm;
    EOS_TRY(read_algorithm(tbs, algorithm));
    if (!equal(algorithm, data.frame.algorithm))  // RFC 5280 §4.1.1.2
        return fail(bad_certificate, "the signature algorithms inside and outside differ");
    data.issuer_tlv = EOS_TRY(tbs.expect(Tag::kSequence)).whole;
    data.issuer = EOS_TRY(DistinguishedName::parse(data.issuer_tlv));
    if (data.issuer.is_empty()) return fail(bad_certificate, "the issuer has no name");
    data.validity_tlv = EOS_TRY(peek_whole(tbs));
    data.validity = EOS_TRY(read_validity(tbs));
    data.subject_tlv = EOS_TRY(tbs.expect(Tag::kSequence)).whole;
    data.subject = EOS_TRY(DistinguishedName::parse(data.subject_tlv));
    data.spki_tlv = EOS_TRY(read_spki(tbs));
    if (has_version && !tbs.at_end()) EOS_TRY(read_extensions(data, tbs));
    return tbs.expect_end();
}

Result<void> Certificate::read_extensions(Data& data, DerReader& tbs) {
    // issuerUniqueID [1] and subjectUniqueID [2] must not be used (RFC 5280 §4.1.2.8): refused.
    DerReader wrapper = EOS_TRY(tbs.enter(context_constructed(3)));
    DerReader list = EOS_TRY(wrapper.sequence());
    EOS_TRY(wrapper.expect_end());
    data.extensions = EOS_TRY(parse_extensions(list));
    for (const ExtensionView& extension : data.extensions) {
        Result<void> decoded = decode_extension(data, extension);
        if (!decoded) return fail(std::move(decoded).error().within(oid::describe(extension.oid)));
    }
    return {};
}

Result<void> Certificate::decode_extension(Data& data, const ExtensionView& extension) {
    const oid::Oid& oid = extension.oid;
    ByteView value = extension.value;
    if (oid == oid::kBasicConstraints) {
        data.basic_constraints = EOS_TRY(parse_basic_constraints(value));
    } else if (oid == oid::kKeyUsage) {
        data.key_usage = EOS_TRY(parse_key_usage(value));
    } else if (oid == oid::kExtendedKeyUsage) {
        data.extended_key_usage = EOS_TRY(parse_extended_key_usage(value));
    } else if (oid == oid::kSubjectAltName) {
        data.subject_alt_name = EOS_TRY(parse_subject_alt_name(value));
    } else if (oid == oid::kNameConstraints) {
        data.name_constraints = EOS_TRY(parse_name_constraints(value));
    } else if (oid == oid::kAuthorityKeyIdentifier) {
        data.authority_key_identifier = EOS_TRY(parse_authority_key_identifier(value));
    } else if (oid == oid::kSubjectKeyIdentifier) {
        data.subject_key_identifier = EOS_TRY(parse_subject_key_identifier(value));
    }
    return {};
}

ByteView Certificate::der() const {
    return data_->der;
}
ByteView Certificate::tbs() const {
    return data_->frame.tbs;
}
ByteView Certificate::serial_tlv() const {
    return data_->serial_tlv;
}
ByteView Certificate::issuer_tlv() const {
    return data_->issuer_tlv;
}
ByteView Certificate::validity_tlv() const {
    return data_->validity_tlv;
}
ByteView Certificate::subject_tlv() const {
    return data_->subject_tlv;
}
ByteView Certificate::spki_tlv() const {
    return data_->spki_tlv;
}
const Serial& Certificate::serial() const {
    return data_->serial;
}
const Validity& Certificate::validity() const {
    return data_->validity;
}
const DistinguishedName& Certificate::issuer() const {
    return data_->issuer;
}
const DistinguishedName& Certificate::subject() const {
    return data_->subject;
}
const oid::Oid& Certificate::signature_algorithm() const {
    return data_->frame.algorithm_oid;
}
ByteView Certificate::signature_algorithm_tlv() const {
    return data_->frame.algorithm;
}
ByteView Certificate::signature() const {
    return data_->frame.signature;
}
std::span<const ExtensionView> Certificate::extensions() const {
    return data_->extensions;
}
const std::optional<BasicConstraints>& Certificate::basic_constraints() const {
    return data_->basic_constraints;
}
std::optional<std::uint16_t> Certificate::key_usage() const {
    return data_->key_usage;
}
const std::optional<std::vector<oid::Oid>>& Certificate::extended_key_usage() const {
    return data_->extended_key_usage;
}
const SubjectAltName& Certificate::subject_alt_name() const {
    return data_->subject_alt_name;
}
const std::optional<NameConstraints>& Certificate::name_constraints() const {
    return data_->name_constraints;
}
ByteView Certificate::authority_key_identifier() const {
    return data_->authority_key_identifier;
}
ByteView Certificate::subject_key_identifier() const {
    return data_->subject_key_identifier;
}

Result<crypto::P256PublicKey> Certificate::p256_key() const {
    return data_->p256_key.get([this] { return decode_p256(data_->spki_tlv); });
}

Result<crypto::P384PublicKey> Certificate::p384_key() const {
    return decode_p384(data_->spki_tlv);
}

Result<crypto::RsaPublicKey> Certificate::rsa_key() const {
    return data_->rsa_key.get([this] { return decode_rsa_spki(data_->spki_tlv); });
}

Result<void> Certificate::verify_signed_by(const crypto::P256PublicKey& issuer) const {
    return verify_signed(data_->frame, issuer);
}

Result<void> Certificate::verify_signed_by(const crypto::RsaPublicKey& issuer) const {
    return verify_signed(data_->frame, issuer);
}

const ExtensionView* Certificate::find_extension(const oid::Oid& oid) const {
    auto found = std::ranges::find(data_->extensions, oid, &ExtensionView::oid);
    return found != data_->extensions.end() ? &*found : nullptr;
}

bool Certificate::is_ca() const {
    return data_->basic_constraints && data_->basic_constraints->is_ca;
}

crypto::Digest32 Certificate::contents_digest(const oid::Oid& left_out) const {
    crypto::Sha256 hash;
    for (ByteView tlv : {serial_tlv(), issuer_tlv(), validity_tlv(), subject_tlv(), spki_tlv()})
        hash.update(tlv);
    for (const ExtensionView& extension : data_->extensions) {
        if (extension.oid != left_out) hash.update(extension.whole);
    }
    return hash.finish();
}

}  // namespace eos::x509
