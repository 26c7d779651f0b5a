// SPDX-License-Identifier: AGPL-3.0-only
// Policy, evidence and certificates: everything without a socket.
#include "client/bindings/c/handles.h"
#include "client/foreign_evidence.h"
#include "common/ratls/appraise_leaf.h"
#include "common/ratls/foreign_constellation.h"
#include "common/x509/pem.h"

namespace eos::client::bindings::c {
namespace {

using Expected = decltype(ratls::EvidenceInput::expected);

Result<eos_verifier*> required(eos_verifier* verifier) {
    if (verifier == nullptr) return fail(bad_argument, "verifier is NULL");
    return verifier;
}

Result<std::vector<x509::Certificate>> parse_certificates(ByteView in) {
    if (in.front() != std::byte{0x30}) return x509::parse_pem_certificates(as_chars(in));
    x509::Certificate certificate = EOS_TRY(x509::Certificate::parse(in));
    return std::vector<x509::Certificate>{std::move(certificate)};
}

template <std::size_t N>
Result<ByteArray<N>> exactly(const Buffer& buffer) {
    ByteView bytes = EOS_TRY(buffer.view());
    if (bytes.size() == N) return to_array<N>(bytes);
    return fail(bad_argument, std::string(buffer.name) + ": " + std::to_string(N) + " bytes");
}

/// A binding of the caller's, with what each form takes.
struct Binding {
    explicit Binding(const eos_binding& in)
        : report_data{in.report_data, in.report_data_size, "report_data"},
          spki{in.spki, in.spki_size, "spki"},
          nonce{in.nonce, in.nonce_size, "nonce"},
          binder{in.binder, in.binder_size, "binder"},
          not_before(in.not_before) {}

    // A member that the form does not look at would be believed to be checked.
    Result<void> refuse(std::initializer_list<const Buffer*> unused) const {
        for (const Buffer* buffer : unused) {
            if (buffer->is_absent()) continue;
            return fail(bad_argument, std::string(buffer->name) + " is not part of this form");
        }
        return {};
    }
    Result<void> refuse_time() const {
        if (not_before == 0) return {};
        return fail(bad_argument, "not_before is not part of this form");
    }

    Buffer report_data, spki, nonce, binder;
    std::int64_t not_before;
};

Result<Expected> stated(const Binding& in) {
    EOS_TRY(in.refuse({&in.spki, &in.nonce, &in.binder}));
    EOS_TRY(in.refuse_time());
    return ratls::StatedReportData{EOS_TRY(exactly<ratls::kReportDataBytes>(in.report_data))};
}

Result<Expected> deterministic(const Binding& in) {
    EOS_TRY(in.refuse({&in.report_data, &in.nonce, &in.binder}));
    ByteView spki = EOS_TRY(in.spki.view());
    crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(spki));
    UnixTime time = EOS_TRY(checked_time(in.not_before));
    return ratls::BoundReportData{ratls::ReportData::v1_deterministic(key, time), time};
}

Result<Expected> challenge(const Binding& in) {
    EOS_TRY(in.refuse({&in.report_data}));
    EOS_TRY(in.refuse_time());
    ByteView spki = EOS_TRY(in.spki.view());
    crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(spki));
    ByteView nonce = EOS_TRY(in.nonce.view());
    auto binder = EOS_TRY(exactly<ratls::kBinderBytes>(in.binder));
    return ratls::BoundReportData{EOS_TRY(ratls::ReportData::v1_challenge(key, nonce, binder)),
                                  std::nullopt};
}

Result<Expected> channel(const Binding& in) {
    EOS_TRY(in.refuse({&in.report_data}));
    EOS_TRY(in.refuse_time());
    ByteView spki = EOS_TRY(in.spki.view());
    crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(spki));
    ratls::ChannelBinding binding;
    binding.context = EOS_TRY(exactly<32>(in.nonce));
    binding.exporter = EOS_TRY(exactly<32>(in.binder));
    return ratls::BoundReportData{ratls::ReportData::v2_challenge(key, binding), std::nullopt};
}

Result<Expected> expected_of(const eos_binding* binding) {
    if (binding == nullptr) return Expected{};
    if (binding->struct_size != sizeof(eos_binding) || binding->reserved != 0) {
        return fail(bad_argument, "binding: struct_size is not this library's, or reserved not 0");
    }
    Binding in(*binding);
    switch (binding->form) {
        case EOS_BINDING_UNKNOWN:
            EOS_TRY(in.refuse({&in.report_data, &in.spki, &in.nonce, &in.binder}));
            EOS_TRY(in.refuse_time());
            return Expected{};
        case EOS_BINDING_REPORT_DATA:
            return stated(in);
        case EOS_BINDING_V1_DETERMINISTIC:
            return deterministic(in);
        case EOS_BINDING_V1_CHALLENGE:
            return challenge(in);
        case EOS_BINDING_V2_CHALLENGE:
            return channel(in);
        default:
            return fail(bad_argument, "binding: no such form");
    }
}

Result<std::optional<ratls::HandshakeEvidence>> handshake_of(const eos_handshake* handshake) {
    if (handshake == nullptr) return std::nullopt;
    if (handshake->struct_size != sizeof(eos_handshake)) {
        return fail(bad_argument, "handshake: struct_size is not this library's");
    }
    ByteView nonce = EOS_TRY((Buffer{handshake->nonce, handshake->nonce_size, "nonce"}.view()));
    EOS_TRY(ratls::check_nonce(nonce));
    auto binder = EOS_TRY(
        exactly<ratls::kBinderBytes>(Buffer{handshake->binder, handshake->binder_size, "binder"}));
    return ratls::HandshakeEvidence{to_bytes(nonce), binder};
}

Result<std::shared_ptr<const ratls::Credential>> credential_of(ByteView chain, ByteView key) {
    auto certificates = EOS_TRY(x509::parse_pem_certificates(as_chars(chain)));
    std::vector<Bytes> der;
    for (const x509::Certificate& certificate : certificates)
        der.push_back(to_bytes(certificate.der()));
    auto blocks =
        EOS_TRY(x509::parse_pem(as_chars(key), {.label = "PRIVATE KEY", .max_blocks = 1}));
    SecretBytes pkcs8(std::move(blocks.front().der));
    crypto::P256PrivateKey private_key = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(pkcs8.view()));
    return ratls::Credential::make(der, private_key);
}

Result<attestation::verify::Collateral> collateral_of(const eos_verifier& verifier) {
    if (!verifier.collateral_memory) return verifier.collateral;
    return verifier.collateral.having_seen(
        EOS_TRY(verifier.collateral_memory->seen(verifier.target.policy.roots)));
}

Result<int> hand_over(const eos_verifier& verifier,
                      const attestation::appraise::AttestationResult& result, eos_verdict** out) {
    EOS_TRY(learn(verifier, result));
    *out = new eos_verdict(result);
    return (*out)->status;
}

// A certificate of another project, and what it must be.
struct StoredForeign {
    const x509::Certificate& leaf;
    const std::string& server_name;
    std::optional<Bytes> nonce;
    UnixTime at;
};

// Under no handshake of ours.
Result<attestation::appraise::AttestationResult> appraise_stored_foreign(
    const eos_verifier& verifier, const StoredForeign& stored) {
    const client::Target& target = verifier.target;
    const auto endorsements = EOS_TRY(endorsements_of(verifier));
    const ForeignVerification verified = EOS_TRY(
        verify_foreign_leaf(stored.leaf, stored.nonce,
                            {endorsements, target.policy.roots, stored.at, stored.server_name}));
    return appraise_foreign(
        verified, {.event_log = nullptr, .has_anchors = !target.anchors.empty()}, target.policy);
}

}  // namespace

Result<attestation::endorsements::Endorsements> endorsements_of(const eos_verifier& verifier) {
    attestation::endorsements::Endorsements out = verifier.target.endorsements;
    if (verifier.collateral_memory) {
        out.seen_evaluation_data_number =
            EOS_TRY(verifier.collateral_memory->seen(verifier.target.policy.roots));
    }
    return out;
}

Result<void> learn(const eos_verifier& verifier,
                   const attestation::appraise::AttestationResult& result) {
    if (!verifier.collateral_memory) return {};
    return verifier.collateral_memory->learn(verifier.target.policy.roots, result);
}

}  // namespace eos::client::bindings::c

using namespace eos;                       // NOLINT(google-build-using-namespace)
using namespace eos::client::bindings::c;  // NOLINT(google-build-using-namespace)

int eos_verifier_create(const void* policy, size_t policy_size, eos_verifier** verifier,
                        eos_error** error) {
    if (verifier != nullptr) *verifier = nullptr;
    return guarded(error, [&]() -> Result<int> {
        if (verifier == nullptr) return fail(bad_argument, "verifier is NULL");
        ByteView text = EOS_TRY((Buffer{policy, policy_size, "policy"}.view()));
        auto made = std::make_unique<eos_verifier>();
        made->target.policy = EOS_TRY(attestation::appraise::parse_policy(text));
        *verifier = made.release();
        return EOS_OK;
    });
}

int eos_verifier_set_collateral(eos_verifier* verifier, const void* json, size_t json_size,
                                eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        client::Target& target = EOS_TRY(required(verifier))->target;
        ByteView text = EOS_TRY((Buffer{json, json_size, "collateral"}.view()));
        target.endorsements = EOS_TRY(attestation::endorsements::parse_endorsements(text));
        verifier->collateral = target.endorsements;
        return EOS_OK;
    });
}

int eos_verifier_set_anchors(eos_verifier* verifier, const void* certificates,
                             size_t certificates_size, eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        client::Target& target = EOS_TRY(required(verifier))->target;
        ByteView in = EOS_TRY((Buffer{certificates, certificates_size, "certificates"}.view()));
        target.anchors = EOS_TRY(parse_certificates(in));
        return EOS_OK;
    });
}

int eos_verifier_set_client(eos_verifier* verifier, const void* chain, size_t chain_size,
                            const void* key, size_t key_size, eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        client::Target& target = EOS_TRY(required(verifier))->target;
        ByteView chain_pem = EOS_TRY((Buffer{chain, chain_size, "chain"}.view()));
        ByteView key_pem = EOS_TRY((Buffer{key, key_size, "key"}.view()));
        target.credential = EOS_TRY(credential_of(chain_pem, key_pem));
        return EOS_OK;
    });
}

int eos_verifier_set_memory(eos_verifier* verifier, const char* folder, eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        eos_verifier& changed = *EOS_TRY(required(verifier));
        changed.collateral_memory.reset();
        changed.target.memory.reset();
        if (folder == nullptr) return EOS_OK;
        const std::filesystem::path home(folder);
        std::error_code unreadable;
        if (!std::filesystem::is_directory(home, unreadable))
            return fail(bad_argument, "folder: there is no such folder");
        changed.collateral_memory.emplace(home);
        changed.target.memory =
            std::make_shared<const client::MemoryFile>(home / "seen-instances.json");
        return EOS_OK;
    });
}

int eos_verifier_set_stapled(eos_verifier* verifier, int when, eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        client::Stapling& rule = EOS_TRY(required(verifier))->stapling;
        switch (when) {
            case EOS_STAPLED_NEVER:
                rule = client::Stapling::kNever;
                return EOS_OK;
            case EOS_STAPLED_WITHOUT_OWN:
                rule = client::Stapling::kWithoutOwn;
                return EOS_OK;
            case EOS_STAPLED_ALWAYS:
                rule = client::Stapling::kAlways;
                return EOS_OK;
            default:
                return fail(bad_argument, "when: one of enum eos_stapled");
        }
    });
}

void eos_verifier_destroy(eos_verifier* verifier) {
    delete verifier;
}

int eos_verify_evidence(const eos_verifier* verifier, const void* evidence, size_t evidence_size,
                        const eos_binding* binding, int64_t time, eos_verdict** verdict,
                        eos_error** error) {
    if (verdict != nullptr) *verdict = nullptr;
    return guarded(error, [&]() -> Result<int> {
        if (verifier == nullptr || verdict == nullptr) {
            return fail(bad_argument, "verifier or verdict is NULL");
        }
        UnixTime at = EOS_TRY(checked_time(time));
        ratls::EvidenceInput input;
        input.evidence = EOS_TRY((Buffer{evidence, evidence_size, "evidence"}.view()));
        input.expected = EOS_TRY(expected_of(binding));
        const client::Target& target = verifier->target;
        const auto collateral = EOS_TRY(collateral_of(*verifier));
        return hand_over(*verifier, ratls::appraise_evidence(input, collateral, target.policy, at),
                         verdict);
    });
}

int eos_verify_certificate(const eos_verifier* verifier, const void* chain, size_t chain_size,
                           const char* server_name, const eos_handshake* handshake, int64_t time,
                           eos_verdict** verdict, eos_error** error) {
    if (verdict != nullptr) *verdict = nullptr;
    return guarded(error, [&]() -> Result<int> {
        if (verifier == nullptr || verdict == nullptr) {
            return fail(bad_argument, "verifier or verdict is NULL");
        }
        UnixTime at = EOS_TRY(checked_time(time));
        ByteView in = EOS_TRY((Buffer{chain, chain_size, "chain"}.view()));
        const std::vector<x509::Certificate> certificates = EOS_TRY(parse_certificates(in));
        const std::string name = EOS_TRY(checked_name(server_name, "server_name"));
        // In a handshake with our challenge nobody else's certificate has anything to say.
        if (handshake == nullptr && client::is_foreign(certificates.front())) {
            const StoredForeign stored{certificates.front(), name, std::nullopt, at};
            return hand_over(*verifier, EOS_TRY(appraise_stored_foreign(*verifier, stored)),
                             verdict);
        }
        std::vector<Bytes> der;
        for (const x509::Certificate& certificate : certificates)
            der.push_back(to_bytes(certificate.der()));
        const client::Target& target = verifier->target;
        ratls::LeafInput input{.chain = der,
                               .anchors = target.anchors,
                               .server_name = name,
                               .handshake = EOS_TRY(handshake_of(handshake))};
        const auto collateral = EOS_TRY(collateral_of(*verifier));
        return hand_over(*verifier, ratls::appraise_leaf(input, collateral, target.policy, at),
                         verdict);
    });
}

int eos_verify_foreign_certificate(const eos_verifier* verifier, const void* chain,
                                   size_t chain_size, const char* server_name, const void* nonce,
                                   size_t nonce_size, int64_t time, eos_verdict** verdict,
                                   eos_error** error) {
    if (verdict != nullptr) *verdict = nullptr;
    return guarded(error, [&]() -> Result<int> {
        if (verifier == nullptr || verdict == nullptr) {
            return fail(bad_argument, "verifier or verdict is NULL");
        }
        const UnixTime at = EOS_TRY(checked_time(time));
        const ByteView in = EOS_TRY((Buffer{chain, chain_size, "chain"}.view()));
        const std::vector<x509::Certificate> certificates = EOS_TRY(parse_certificates(in));
        const std::string name = EOS_TRY(checked_name(server_name, "server_name"));
        if (!client::is_foreign(certificates.front())) {
            return fail(ratls::no_foreign_evidence, "see eos_verify_certificate()");
        }
        StoredForeign stored{certificates.front(), name, std::nullopt, at};
        if (const Buffer given{nonce, nonce_size, "nonce"}; !given.is_absent()) {
            stored.nonce =
                to_bytes(EOS_TRY(exactly<std::tuple_size_v<ratls::ConstellationNonce>>(given)));
        }
        return hand_over(*verifier, EOS_TRY(appraise_stored_foreign(*verifier, stored)), verdict);
    });
}
