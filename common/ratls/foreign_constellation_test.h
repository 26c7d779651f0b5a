// SPDX-License-Identifier: AGPL-3.0-only
// A Constellation of the tests' own: the certificates and documents that it would make.
#pragma once

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/oid/registry.h"
#include "common/ratls/foreign_constellation.h"
#include "common/x509/builder.h"

namespace eos::ratls::testing {

inline ConstellationNonce the_nonce() {
    ConstellationNonce out;
    out.fill(std::byte{0x5c});
    return out;
}

inline const crypto::P256PrivateKey& leaf_key() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}

inline crypto::Digest32 key_hash() {
    return crypto::sha256(leaf_key().public_key().spki());
}

/// What the evidence must bind.
inline crypto::Digest32 bound() {
    return crypto::sha256({key_hash(), the_nonce()});
}

inline ByteArray<64> report_data(const crypto::Digest32& digest) {
    ByteArray<64> out{};
    std::ranges::copy(digest, out.begin());
    return out;
}

/// A self-signed certificate of leaf_key() with these extensions.
inline x509::Certificate certificate(const std::vector<x509::Extension>& extensions) {
    const auto name = x509::DistinguishedName::common_name("Constellation").value();
    x509::CertificateDraft draft({.serial = x509::Serial::random(),
                                  .issuer = name.der(),
                                  .validity = {UnixTime{0}, UnixTime{4'000'000'000}},
                                  .subject = name.der(),
                                  .spki = leaf_key().public_key().spki()});
    for (const x509::Extension& extension : extensions) draft.add(extension);
    return x509::Certificate::parse(draft.sign(leaf_key())).value();
}

inline Result<ConstellationLeaf> read(const oid::Oid& variant, std::string_view document) {
    return read_constellation_leaf(
        certificate({{variant, x509::Critical::kNo, to_bytes(document)}}));
}

/// Azure's virtual TPM, or another with a key like its.
struct FakeTpm {
    crypto::RsaPrivateKey key = crypto::RsaPrivateKey::generate(2048);
    std::array<crypto::Digest32, 24> pcrs{};

    /// What the paravisor says of the key, and the hardware binds.
    std::string runtime_data() const {
        return json::compact({{"keys",
                               {{{"kid", "HCLAkPub"},
                                 {"kty", "RSA"},
                                 {"e", "AQAB"},
                                 {"n", base64url(key.public_key().modulus())}}}}});
    }

    /// TPMS_ATTEST over all PCRs of bank SHA-256.
    Bytes attest(ByteView nonce) const {
        Bytes values;
        for (const crypto::Digest32& pcr : pcrs) append(values, pcr);
        Writer out;
        out.u32be(0xff544347).u16be(0x8018).u16be(0);
        out.u16be(static_cast<std::uint16_t>(nonce.size())).bytes(nonce).zeros(8 + 4 + 4);
        out.u8(1).u64be(0).u32be(1).u16be(0x000b).u8(3).u8(0xff).u8(0xff).u8(0xff);
        out.u16be(32).bytes(crypto::sha256(values));
        return std::move(out).take();
    }

    /// One quote, as the document has it.
    json::Value quote(ByteView nonce) const {
        const Bytes message = attest(nonce);
        const Bytes signature = key.sign_pkcs1_sha256(message);
        Writer wrapped;
        wrapped.u16be(0x0014).u16be(0x000b).u16be(static_cast<std::uint16_t>(signature.size()));
        wrapped.bytes(signature);
        json::Value values = json::Value::object();
        for (std::size_t i = 0; i < pcrs.size(); ++i) values[std::to_string(i)] = base64(pcrs[i]);
        return {{"quote", base64(message)},
                {"raw_sig", base64(wrapped.view())},
                {"pcrs", {{"hash", 11}, {"pcrs", values}}}};
    }

    /// The whole document; a quote of another bank comes first.
    json::Value document(const json::Value& instance_info) const {
        const std::string info = json::compact(instance_info);
        json::Value other = quote({});
        other["pcrs"]["hash"] = 4;
        json::Value quotes = json::Value::array();
        quotes.push_back(std::move(other));
        quotes.push_back(quote(crypto::sha256({as_bytes(info), bound()})));
        return {{"Attestation", {{"ak_pub", ""}, {"event_log", ""}, {"quotes", quotes}}},
                {"InstanceInfo", base64(as_bytes(info))},
                {"UserData", base64(key_hash())}};
    }
};

/// RSA keys are slow to make: one for a whole test program.
inline const FakeTpm& fake_tpm() {
    static const FakeTpm tpm;
    return tpm;
}

}  // namespace eos::ratls::testing
