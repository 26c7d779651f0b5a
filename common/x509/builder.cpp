// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/builder.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/oid/registry.h"
#include "common/x509/signed_data.h"

namespace eos::x509 {
namespace {

// Tags, lengths, version and algorithm around the parts of a TBSCertificate.
constexpr std::size_t kFrameBytes = 48;

Serial serial_of(const CaOptions& options) {
    return options.serial ? *options.serial : Serial::random();
}

Result<void> add_ca_extensions(CertificateDraft& draft, const CaOptions& options,
                               const crypto::P256PublicKey& subject_key) {
    draft.add(make_basic_constraints({.is_ca = true, .path_length = options.path_length}));
    draft.add(make_key_usage(kKeyCertSign | kCrlSign));
    draft.add(make_subject_key_identifier(subject_key));
    if (options.name_constraints)
        draft.add(EOS_TRY(make_name_constraints(*options.name_constraints)));
    return {};
}

}  // namespace

CertificateDraft::CertificateDraft(const CertificateFields& fields) {
    DerWriter serial(kMaxSerialBytes + 3);
    serial.unsigned_integer(fields.serial.bytes());
    serial_ = std::move(serial).take();
    constexpr std::size_t kValidityBytes = 40;
    DerWriter body(fields.issuer.size() + kValidityBytes + fields.subject.size() +
                   fields.spki.size());
    body.raw(fields.issuer);
    body.sequence([&] { body.time(fields.validity.not_before).time(fields.validity.not_after); });
    body.raw(fields.subject).raw(fields.spki);
    body_ = std::move(body).take();
}

CertificateDraft& CertificateDraft::add(const oid::Oid& oid, Critical critical, ByteView value) {
    EOS_ASSERT(std::ranges::find(added_, oid) == added_.end());
    added_.push_back(oid);
    write_extension(extensions_, oid, critical, value);
    return *this;
}

crypto::Digest32 CertificateDraft::contents_digest() const {
    return crypto::sha256({serial_, body_, extensions_.view()});
}

Bytes CertificateDraft::tbs() const {
    DerWriter algorithm(16);
    write_ecdsa_with_sha256(algorithm);
    return tbs_for(algorithm.view());
}

Bytes CertificateDraft::tbs_for(ByteView algorithm) const {
    DerWriter out(algorithm.size() + serial_.size() + body_.size() + extensions_.size() +
                  kFrameBytes);
    out.sequence([&] {
        out.constructed(context_constructed(0), [&] { out.integer(2); });  // version 3
        out.raw(serial_);
        out.raw(algorithm).raw(body_);
        if (extensions_.size() == 0) return;
        out.constructed(context_constructed(3), [&] {
            out.header(Tag::kSequence, extensions_.size()).raw(extensions_.view());
        });
    });
    return std::move(out).take();
}

Bytes CertificateDraft::sign(const crypto::P256PrivateKey& issuer_key) const {
    return write_signed(tbs(), issuer_key);
}

Bytes CertificateDraft::sign(const crypto::RsaPrivateKey& issuer_key) const {
    return write_signed(tbs_for(signature_algorithm_of(issuer_key)), issuer_key);
}

Result<Certificate> make_root_ca(const CaOptions& options, const crypto::P256PrivateKey& key) {
    CertificateDraft draft({.serial = serial_of(options),
                            .issuer = options.subject.der(),
                            .validity = options.validity,
                            .subject = options.subject.der(),
                            .spki = key.public_key().spki()});
    EOS_TRY(add_ca_extensions(draft, options, key.public_key()));
    for (const Extension& extension : options.more_extensions) draft.add(extension);
    return Certificate::parse(draft.sign(key));
}

Result<Certificate> make_intermediate_ca(const CaOptions& options,
                                         const crypto::P256PublicKey& subject_key,
                                         const Certificate& issuer,
                                         const crypto::P256PrivateKey& issuer_key) {
    EOS_ASSERT(equal(issuer.spki(), issuer_key.public_key().spki()));
    CertificateDraft draft({.serial = serial_of(options),
                            .issuer = issuer.subject_tlv(),
                            .validity = options.validity,
                            .subject = options.subject.der(),
                            .spki = subject_key.spki()});
    EOS_TRY(add_ca_extensions(draft, options, subject_key));
    if (!issuer.subject_key_identifier().empty())
        draft.add(make_authority_key_identifier(issuer.subject_key_identifier()));
    for (const Extension& extension : options.more_extensions) draft.add(extension);
    return Certificate::parse(draft.sign(issuer_key));
}

}  // namespace eos::x509
