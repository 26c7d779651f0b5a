// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/host_services/sealing_keys.h"

#include "common/crypto/random.h"

namespace eos::mini {

Result<std::unique_ptr<SgxSealingKeys>> SgxSealingKeys::make_source(
    const platform::Platform& platform) {
    // A report aimed at nobody: only its body is read, which says who we are.
    sgx_arch::TargetInfo nobody;
    nobody.attributes.flags = sgx_arch::kAttributeInit;
    platform::Report bytes =
        EOS_TRY(platform.report(sgx_arch::encode(nobody), platform::ReportData{}));
    sgx_arch::Report report = EOS_TRY(sgx_arch::parse_report(bytes));
    return std::unique_ptr<SgxSealingKeys>(new SgxSealingKeys(platform, report.body));
}

// The request for a key with this identifier, at the security version of this CPU and enclave.
sgx_arch::KeyRequest SgxSealingKeys::request(const sgx_arch::KeyId& key_id) const {
    sgx_arch::KeyRequest request;
    request.key_name = sgx_arch::kKeyNameSeal;
    request.key_policy = sgx_arch::kKeyPolicyMrEnclave;
    request.isv_svn = self_.isv_svn;
    request.cpu_svn = self_.cpu_svn;
    // DEBUG is masked in, so that a debug launch of the same code never gets the key; of XFRM only
    // the legacy bits, or the host could lock us out by its choice of features.
    request.attribute_mask.flags = sgx_arch::kAttributeInit | sgx_arch::kAttributeDebug;
    request.attribute_mask.xfrm = sgx_arch::kXfrmLegacy;
    request.key_id = key_id;
    return request;
}

Result<runtime::SealingKey> SgxSealingKeys::make() {
    ByteArray<sgx_arch::kKeyRequestBytes> encoded =
        sgx_arch::encode(request(crypto::random_array<32>()));
    platform::Key key = EOS_TRY(platform_.get_key(encoded));
    return runtime::SealingKey{std::move(key), to_bytes(encoded)};
}

Result<runtime::SealingKeyBytes> SgxSealingKeys::derive(ByteView stored) {
    sgx_arch::KeyRequest parsed = EOS_TRY(sgx_arch::parse_key_request(stored));
    // The host gives the request back. Only the security versions and the identifier may differ
    // from ours: with DEBUG left out of the mask, a debug launch of this code could have made the
    // state.
    sgx_arch::KeyRequest ours = request(parsed.key_id);
    ours.cpu_svn = parsed.cpu_svn;
    ours.isv_svn = parsed.isv_svn;
    if (parsed != ours) {
        return fail(platform::key_refused, "the stored key request is not one of ours");
    }
    return platform_.get_key(sgx_arch::encode(parsed));
}

}  // namespace eos::mini
