// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/report_data.h"

#include "common/base/assert.h"

namespace eos::ratls {
namespace {

constexpr std::string_view kCaCsrDomain = "enclaveos-ca-csr-1";

// ServerHello.random of a HelloRetryRequest. RFC 8446 §4.1.3.
constexpr unsigned char kRetryRandom[32] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

// Handshake header (4), legacy_version (2), then the random.
constexpr std::size_t kRandomOffset = 6;

bool is_retry_request(ByteView server_hello) {
    return server_hello.size() >= kRandomOffset + sizeof kRetryRandom &&
           equal(server_hello.subspan(kRandomOffset, sizeof kRetryRandom),
                 std::as_bytes(std::span(kRetryRandom)));
}

}  // namespace

std::string_view purpose_name(Purpose purpose) {
    switch (purpose) {
        case Purpose::kV1Deterministic:
            return "v1-deterministic";
        case Purpose::kV1Challenge:
            return "v1-challenge";
        case Purpose::kV2Challenge:
            return "v2-challenge";
        case Purpose::kCaCsr:
            return "ca-csr";
    }
    EOS_ASSERT(false);
}

std::string_view exporter_label(AttestedEnd end) {
    return end == AttestedEnd::kServer ? "EXPORTER-privasys-ratls-attest-v2"
                                       : "EXPORTER-privasys-ratls-attest-v2-client";
}

Result<void> check_nonce(ByteView nonce) {
    if (nonce.size() < kMinNonceBytes || nonce.size() > kMaxNonceBytes ||
        nonce.size() == kForbiddenNonceBytes) {
        return fail(bad_nonce, std::to_string(nonce.size()) + " bytes");
    }
    return {};
}

ReportData ReportData::v1_deterministic(const crypto::P256PublicKey& leaf_key,
                                        UnixTime not_before) {
    std::string minute = minute_string(not_before);
    return {Purpose::kV1Deterministic, crypto::sha512({leaf_key.spki_hash(), as_bytes(minute)})};
}

Result<ReportData> ReportData::v1_challenge(const crypto::P256PublicKey& leaf_key, ByteView nonce,
                                            const Binder& binder) {
    EOS_TRY(check_nonce(nonce));
    return ReportData(Purpose::kV1Challenge, crypto::sha512({leaf_key.spki_hash(), nonce, binder}));
}

ReportData ReportData::v2_challenge(const crypto::P256PublicKey& leaf_key,
                                    const ChannelBinding& channel) {
    return {Purpose::kV2Challenge,
            crypto::sha512({leaf_key.spki_hash(), channel.context, channel.exporter})};
}

ReportData ReportData::ca_csr(const CsrBinding& binding) {
    static constexpr ByteArray<1> kEnd{};
    return {Purpose::kCaCsr,
            crypto::sha512({as_bytes(kCaCsrDomain), kEnd, crypto::sha256(binding.csr_der),
                            binding.nonce, binding.owner_spki_hash})};
}

Binder handshake_binder(crypto::HashKind hash, ByteView secret, ByteView transcript_hash) {
    Bytes binder = crypto::hkdf_expand_label(hash, secret, "privasys-ratls-binder-v1",
                                             transcript_hash, kBinderBytes);
    return to_array<kBinderBytes>(binder);
}

Bytes transcript_hash(crypto::HashKind hash, std::span<const Bytes> messages) {
    Bytes transcript;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        bool before_retry = i == 0 && messages.size() > 1 && is_retry_request(messages[1]);
        if (!before_retry) {
            append(transcript, messages[i]);
            continue;
        }
        Bytes digest = crypto::hash(hash, messages[0]);
        // message_hash (254), then the length of the digest.
        transcript.push_back(std::byte{254});
        transcript.push_back(std::byte{0});
        transcript.push_back(std::byte{0});
        transcript.push_back(static_cast<std::byte>(digest.size()));
        append(transcript, digest);
    }
    return crypto::hash(hash, transcript);
}

}  // namespace eos::ratls
