// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/intel_collateral.h"

namespace eos::attestation::verify {
namespace {

using endorsements::SignedObject;

/// A chain of a signer that was looked at before.
struct KnownSigner {
    std::string_view pem;  ///< borrowed from the endorsements
    Result<SignerChain> chain = fail(bad_chain);
    Result<void> outcome;
};

/// Which signatures a statement comes with.
struct StatementSignatures {
    SignatureOf chain;
    SignatureOf statement;
};

class Reader {
  public:
    Reader(const PckChain* pck, const Roots& roots, Signatures& signatures)
        : pck_(pck), roots_(roots), signatures_(signatures) {}

    template <typename Content, typename Parse>
    Statement<Content> read(const SignedObject& object, const StatementSignatures& which,
                            Parse parse) {
        know_signer(object.issuer_chain_pem, which.chain);
        Statement<Content> out{signer_.chain, signer_.outcome, {}, parse(object.body)};
        if (!signer_.chain) return out;
        out.signature = signatures_.check(which.statement, [&]() -> Result<void> {
            return EOS_TRY(signer_.chain->signer.p256_key())
                .verify_raw(object.body, object.signature);
        });
        return out;
    }

  private:
    /// TCB info and QE identity usually have the same chain, which is then looked at once.
    void know_signer(std::string_view pem, SignatureOf which) {
        if (signer_.chain && signer_.pem == pem) return;
        signer_ = {pem, parse_signer_chain(pem), {}};
        if (!signer_.chain) return;
        // The same certificate, whose key was decoded before.
        if (pck_ != nullptr && signer_.chain->root == pck_->root) signer_.chain->root = pck_->root;
        signer_.outcome =
            signatures_.check(which, [&] { return check_signer_chain(*signer_.chain, roots_); });
    }

    const PckChain* pck_;
    const Roots& roots_;
    Signatures& signatures_;
    KnownSigner signer_;
};

}  // namespace

IntelCollateral read_collateral(const endorsements::Endorsements& fitting, const PckChain* pck,
                                const Roots& roots, Signatures& signatures) {
    IntelCollateral out;
    Reader reader(pck, roots, signatures);
    if (fitting.qe_identity) {
        out.qe_identity = reader.read<endorsements::QeIdentity>(
            *fitting.qe_identity, {SignatureOf::qe_identity_chain, SignatureOf::qe_identity},
            endorsements::parse_qe_identity);
    }
    if (fitting.tcb_info) {
        out.tcb_info = reader.read<endorsements::TcbInfo>(
            *fitting.tcb_info, {SignatureOf::tcb_info_chain, SignatureOf::tcb_info},
            endorsements::parse_tcb_info);
    }
    if (pck == nullptr) return out;
    if (fitting.root_ca_crl) {
        out.root_crl =
            read_list(*fitting.root_ca_crl, pck->root, SignatureOf::root_crl, signatures);
    }
    if (fitting.pck_crl) {
        out.pck_crl =
            read_list(*fitting.pck_crl, pck->intermediate, SignatureOf::pck_crl, signatures);
    }
    return out;
}

}  // namespace eos::attestation::verify
