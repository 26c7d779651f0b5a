// SPDX-License-Identifier: AGPL-3.0-only
// The one place that makes report data. Whoever asks hardware for evidence must hold a ReportData,
// and the only way to get one is to name the purpose; nobody passes 64 raw bytes, so a peer can
// never have bytes of its own choice signed.
#pragma once

#include <span>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"

namespace eos::ratls {

inline constexpr Code bad_nonce{"common/ratls", "bad_nonce",
                                "the challenge nonce must have 16 to 64 bytes, but not 17"};

inline constexpr std::size_t kReportDataBytes = 64;
inline constexpr std::size_t kBinderBytes = 32;
inline constexpr std::size_t kMinNonceBytes = 16;
inline constexpr std::size_t kMaxNonceBytes = 64;
/// The deterministic form has a 17-byte string where the challenge has the nonce.
inline constexpr std::size_t kForbiddenNonceBytes = 17;

using Binder = ByteArray<kBinderBytes>;

/// What a signed report data promises.
enum class Purpose {
    kV1Deterministic,  ///< the leaf key, and the minute from which the leaf is valid
    kV1Challenge,      ///< the leaf key, the client's nonce and this handshake
    kV2Challenge,      ///< the leaf key, the client's context and this connection's exporter
    kCaCsr,  ///< a certification request for a CA key born inside, and the owner it is for
};

/// "v1-deterministic", "v1-challenge", "v2-challenge", "ca-csr": the names that policies and
/// verdicts use.
std::string_view purpose_name(Purpose purpose);

/// Checks the length of a client's nonce.
/// errors: bad_nonce.
[[nodiscard]] Result<void> check_nonce(ByteView nonce);

/// Whose evidence an exporter value is for. Each end has a label of its own, so that neither can
/// hand the other's evidence back to it.
enum class AttestedEnd { kServer, kClient };

/// The label of RFC 8446 §7.5 for evidence of that end. source: docs/formats/certificate.md 6.2.
std::string_view exporter_label(AttestedEnd end);

/// What ties evidence to one connection and no other (mode C): random bytes of whoever asked, and
/// what this connection's exporter makes of them. TlsSession::bind_channel() makes it.
struct ChannelBinding {
    ByteArray<32> context{};
    ByteArray<32> exporter{};

    friend bool operator==(const ChannelBinding&, const ChannelBinding&) = default;
};

/// What evidence of purpose ca_csr is bound to.
struct CsrBinding {
    ByteView csr_der;
    ByteArray<32> nonce{};               ///< of whoever asks
    crypto::Digest32 owner_spki_hash{};  ///< for whom the CA key was born
};

/// 64 bytes for the REPORTDATA field of a report, with the purpose they were made for. A value.
class ReportData {
  public:
    /// SHA-512(SHA-256(SPKI) ‖ "YYYY-MM-DDTHH:MMZ" of not_before).
    /// source:  docs/formats/certificate.md 3.
    static ReportData v1_deterministic(const crypto::P256PublicKey& leaf_key, UnixTime not_before);

    /// SHA-512(SHA-256(SPKI) ‖ nonce ‖ binder); always with the binder.
    /// errors:  bad_nonce.
    /// source:  docs/formats/certificate.md 3 and 5.
    [[nodiscard]] static Result<ReportData> v1_challenge(const crypto::P256PublicKey& leaf_key,
                                                         ByteView nonce, const Binder& binder);

    /// SHA-512(SHA-256(SPKI) ‖ context ‖ exporter): about a key that a leaf of this connection
    /// shows. Never about the key of a v1_challenge, whose two halves have the same lengths.
    /// source:  docs/formats/certificate.md 3 and 6.2.
    static ReportData v2_challenge(const crypto::P256PublicKey& leaf_key,
                                   const ChannelBinding& channel);

    /// SHA-512("enclaveos-ca-csr-1" ‖ 0x00 ‖ SHA-256(CSR) ‖ nonce ‖ SHA-256(owner SPKI)).
    /// source:  docs/formats/certificate.md 3.
    static ReportData ca_csr(const CsrBinding& binding);

    Purpose purpose() const { return purpose_; }
    const ByteArray<kReportDataBytes>& bytes() const { return bytes_; }

    friend bool operator==(const ReportData&, const ReportData&) = default;

  private:
    ReportData(Purpose purpose, const ByteArray<kReportDataBytes>& bytes)
        : purpose_(purpose), bytes_(bytes) {}
    Purpose purpose_;
    ByteArray<kReportDataBytes> bytes_;
};

/// The v1 handshake binder: HKDF-Expand-Label(client_handshake_traffic_secret,
/// "privasys-ratls-binder-v1", Transcript-Hash(ClientHello..ServerHello), 32).
/// in:      secret and transcript_hash: one hash of the cipher suite each.
/// source:  docs/formats/certificate.md 5; RFC 8446 §7.1.
Binder handshake_binder(crypto::HashKind hash, ByteView secret, ByteView transcript_hash);

/// Transcript-Hash(ClientHello..ServerHello) over the handshake messages as sent, each with its
/// 4-byte header: ClientHello, ServerHello, or with a HelloRetryRequest all four, of which the
/// first ClientHello counts as its synthetic message_hash. source:  RFC 8446 §4.4.1.
Bytes transcript_hash(crypto::HashKind hash, std::span<const Bytes> messages);

}  // namespace eos::ratls
