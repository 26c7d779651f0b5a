// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/request.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/oid/registry.h"
#include "common/x509/signed_data.h"

namespace eos::x509 {

struct CertificateRequest::Data {
    Bytes der;
    SignedData frame;
    DistinguishedName subject;
    ByteView spki;
    std::vector<ExtensionView> extensions;
};

Result<CertificateRequest> CertificateRequest::parse(ByteView der) {
    if (der.size() > kMaxRequestBytes)
        return fail(too_large, "a request of " + std::to_string(der.size()) + " bytes");
    auto data = std::make_shared<Data>();
    data->der = to_bytes(der);
    data->frame = EOS_TRY(parse_signed(data->der));
    EOS_TRY(read_info(*data));
    return CertificateRequest(std::move(data));
}

Result<void> CertificateRequest::read_info(Data& data) {
    DerReader outer(data.frame.tbs);
    DerReader info = EOS_TRY(outer.sequence());
    if (EOS_TRY(info.u64()) != 0) return fail(bad_request, "expected version 1");
    ByteView subject = EOS_TRY(info.expect(Tag::kSequence)).whole;
    data.subject = EOS_TRY(DistinguishedName::parse(subject));
    data.spki = EOS_TRY(read_spki(info));
    // Not OPTIONAL in RFC 2986, and empty if there is nothing to ask for.
    EOS_TRY(read_attributes(data, EOS_TRY(info.enter(context_constructed(0)))));
    return info.expect_end();
}

Result<void> CertificateRequest::read_attributes(Data& data, DerReader attributes) {
    if (attributes.at_end()) return {};
    DerReader attribute = EOS_TRY(attributes.sequence());
    oid::Oid type = EOS_TRY(attribute.oid());
    if (type != oid::kExtensionRequest)
        return fail(bad_request, "the attribute " + oid::describe(type));
    DerReader values = EOS_TRY(attribute.enter(Tag::kSet));
    data.extensions = EOS_TRY(parse_extensions(EOS_TRY(values.sequence())));
    EOS_TRY(values.expect_end());
    EOS_TRY(attribute.expect_end());
    return attributes.expect_end();
}

ByteView CertificateRequest::der() const {
    return data_->der;
}
const DistinguishedName& CertificateRequest::subject() const {
    return data_->subject;
}
ByteView CertificateRequest::spki() const {
    return data_->spki;
}
std::span<const ExtensionView> CertificateRequest::extensions() const {
    return data_->extensions;
}

Result<crypto::P256PublicKey> CertificateRequest::p256_key() const {
    return decode_p256(data_->spki);
}

Result<void> CertificateRequest::verify_signature() const {
    return verify_signed(data_->frame, EOS_TRY(p256_key()));
}

const ExtensionView* CertificateRequest::find_extension(const oid::Oid& oid) const {
    auto found = std::ranges::find(data_->extensions, oid, &ExtensionView::oid);
    return found != data_->extensions.end() ? &*found : nullptr;
}

Bytes make_request(const DistinguishedName& subject, std::span<const Extension> extensions,
                   const crypto::P256PrivateKey& key) {
    DerWriter list;
    for (std::size_t i = 0; i < extensions.size(); ++i) {
        auto earlier = extensions.first(i);
        EOS_ASSERT(std::ranges::find(earlier, extensions[i].oid, &Extension::oid) == earlier.end());
        write_extension(list, extensions[i].oid, extensions[i].critical, extensions[i].value);
    }
    DerWriter info;
    info.sequence([&] {
        info.integer(0).raw(subject.der()).raw(key.public_key().spki());
        info.constructed(context_constructed(0), [&] {
            if (list.size() == 0) return;
            info.sequence([&] {
                info.oid(oid::kExtensionRequest);
                info.constructed(Tag::kSet, [&] { info.sequence([&] { info.raw(list.view()); }); });
            });
        });
    });
    return write_signed(info.view(), key);
}

}  // namespace eos::x509
