// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/provisioning.h"

#include "common/base/encoding.h"
#include "trusted/runtime/host_name.h"

namespace eos::runtime {

Result<CaKeyRequest> PendingAuthority::begin(const CaRequester& requester) {
    if (!is_host_name(requester.platform_name)) {
        return fail(bad_ca, "the platform name must be a DNS name in lower case");
    }
    auto key = crypto::P256PrivateKey::generate();
    Bytes csr = make_ca_request(key);
    ratls::ReportData report_data =
        ratls::ReportData::ca_csr({csr, requester.nonce, requester.owner_key_hash});
    pending_.emplace(Pending{std::move(key), requester});
    return CaKeyRequest{std::move(csr), report_data};
}

Result<Authority> PendingAuthority::complete(const crypto::Digest32& owner_key_hash,
                                             std::string_view chain_pem, UnixTime now) const {
    if (!pending_ || pending_->requester.owner_key_hash != owner_key_hash)
        return fail(no_pending_request);
    std::vector<Bytes> chain =
        EOS_TRY(check_ca_chain(chain_pem, {.key = pending_->key.public_key(),
                                           .platform_name = pending_->requester.platform_name,
                                           .now = now}));
    return Authority{std::move(chain), pending_->key.to_pkcs8(), CaKeyOrigin::kBornInside};
}

Result<void> check_token(std::string_view given, ByteView token) {
    Result<ByteArray<16>> bytes = array_from_hex<16>(given);
    if (!bytes || !crypto::equal_constant_time(*bytes, token)) return fail(wrong_token);
    return {};
}

}  // namespace eos::runtime
