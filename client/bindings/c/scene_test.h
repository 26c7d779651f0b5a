// SPDX-License-Identifier: AGPL-3.0-only
// Evidence, leaves and policies of a synthetic Intel, in the shapes that the C interface takes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "client/bindings/c/handles.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/json/json.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/report_data.h"
#include "common/x509/pem.h"

namespace eos::client::bindings::c {

inline constexpr std::int64_t kTime = attestation::testing::kNow.seconds;

/// Calls a handle's destructor function.
template <auto Destroy>
struct Destroyer {
    void operator()(auto* handle) const { Destroy(handle); }
};
using VerifierHandle = std::unique_ptr<eos_verifier, Destroyer<eos_verifier_destroy>>;
using VerdictHandle = std::unique_ptr<eos_verdict, Destroyer<eos_verdict_destroy>>;
using ConnectionHandle = std::unique_ptr<eos_connection, Destroyer<eos_connection_close>>;

/// An error parameter; each use of out() forgets the error before.
class ErrorOut {
  public:
    ErrorOut() = default;
    ~ErrorOut() { eos_error_destroy(error_); }
    ErrorOut(const ErrorOut&) = delete;
    ErrorOut& operator=(const ErrorOut&) = delete;

    eos_error** out() {
        eos_error_destroy(error_);
        error_ = nullptr;
        return &error_;
    }
    std::string message() const { return eos_error_message(error_); }
    std::string code() const { return eos_error_code(error_); }

  private:
    eos_error* error_ = nullptr;
};

/// A leaf certificate with its key.
struct Leaf {
    crypto::P256PrivateKey key;
    Bytes der;
    std::string pem;
};

/// A platform, and policies that accept its enclave.
struct Scene {
    attestation::testing::SyntheticIntel intel;
    ratls::Instance instance;  ///< that leaves name

    Scene() { intel.report.report_data.fill(std::byte{0x3c}); }

    /// For leaves: nothing is waived but what needs collateral.
    attestation::appraise::Policy leaf_policy() const {
        using namespace attestation::appraise;
        Policy policy;
        policy.name = "lab";
        policy.roots = intel.roots();
        policy.identity = {{MrEnclavePin{intel.report.mr_enclave}, {}}};
        policy.bindings.insert(std::string(kBindingV1Deterministic));
        policy.waivers = {"crl.pck", "crl.root", "qe.identity", "tcb.level"};
        return policy;
    }

    /// For evidence without a certificate.
    attestation::appraise::Policy evidence_policy() const {
        attestation::appraise::Policy policy = leaf_policy();
        policy.bindings.insert(std::string(attestation::appraise::kBindingReportData));
        policy.leaf_binding = attestation::appraise::LeafBindingRule::optional;
        policy.waivers.insert("assurance");
        return policy;
    }

    /// Through JSON, as every caller of the library must.
    VerifierHandle verifier(const attestation::appraise::Policy& policy) const {
        std::string text = json::compact(attestation::appraise::policy_to_json(policy));
        eos_verifier* made = nullptr;
        eos_error* error = nullptr;
        int status = eos_verifier_create(text.data(), text.size(), &made, &error);
        EXPECT_EQ(status, EOS_OK) << eos_error_message(error);
        eos_error_destroy(error);
        return VerifierHandle(made);
    }

    Leaf deterministic_leaf() {
        crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
        auto bound = ratls::ReportData::v1_deterministic(key.public_key(), minted_at());
        return mint(std::move(key), evidence_for(bound));
    }

    Leaf bound_leaf(ByteView nonce, const ratls::Binder& binder) {
        crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
        auto bound = ratls::ReportData::v1_challenge(key.public_key(), nonce, binder).value();
        return mint(std::move(key), evidence_for(bound));
    }

    /// For mode C: without evidence.
    Leaf channel_leaf() {
        crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
        return mint(std::move(key), {}, ratls::LeafScheme::kV2);
    }

    /// What a server of mode C answers about that leaf's key.
    Bytes channel_evidence(const Leaf& leaf, const ratls::ChannelBinding& channel) {
        intel.report.report_data =
            ratls::ReportData::v2_challenge(leaf.key.public_key(), channel).bytes();
        return intel.quote();
    }

  private:
    // A whole minute, as leaves have it.
    static UnixTime minted_at() { return {kTime - kTime % 60 - 60}; }

    Bytes evidence_for(const ratls::ReportData& bound) {
        intel.report.report_data = bound.bytes();
        return intel.quote();
    }

    Leaf mint(crypto::P256PrivateKey key, const Bytes& quote,
              ratls::LeafScheme scheme = ratls::LeafScheme::kV1) const {
        ratls::LeafContent content;
        content.scheme = scheme;
        content.name = "shop.example.test";
        content.not_before = minted_at();
        content.not_after = minted_at() + 600;
        content.evidence = quote;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "production";
        content.instance = instance;
        Bytes der = ratls::mint_leaf(content, key, nullptr);
        std::string text = x509::encode_pem("CERTIFICATE", der);
        return {std::move(key), std::move(der), std::move(text)};
    }
};

}  // namespace eos::client::bindings::c
