// SPDX-License-Identifier: AGPL-3.0-only
// What the service's tests share: requests as callers write them, and who says who callers are.
#pragma once

#include "common/base/encoding.h"
#include "common/json/json.h"
#include "trusted/attestd/callers.h"
#include "trusted/attestd/request.h"

namespace eos::attestd::testing {

inline constexpr std::size_t kMaxBody = 4 * 1024 * 1024;

/// The body of a request for this quote.
inline json::Value body_for(ByteView quote) {
    return {{"quote", base64(quote)}};
}

inline Result<VerifyRequest> parse(const json::Value& body) {
    std::string text = json::compact(body);
    return parse_request(as_bytes(text), kMaxBody);
}

/// The collateral object in use among verifiers, as a file of it would be.
inline std::string collateral_file(const attestation::endorsements::Endorsements& in) {
    json::Value out = json::Value::object();
    if (in.root_ca_crl) out["root_ca_crl"] = hex(*in.root_ca_crl);
    if (in.pck_crl) out["pck_crl"] = hex(*in.pck_crl);
    auto add = [&](const std::string& name,
                   const std::optional<attestation::endorsements::SignedObject>& object) {
        if (!object) return;
        out[name] = to_string(object->body);
        out[name + "_signature"] = hex(object->signature);
        out[name + "_issuer_chain"] = object->issuer_chain_pem;
    };
    add("tcb_info", in.tcb_info);
    add("qe_identity", in.qe_identity);
    return json::compact(out);
}

inline constexpr UnixTime kTokenTime{1'780'000'000};

/// An identity provider.
struct Provider {
    explicit Provider(std::string name) : issuer(std::move(name)) {}

    std::string token(const char* kid, const json::Value& changes = json::Value::object()) const {
        json::Value claims = {{"iss", issuer},
                              {"sub", "alice"},
                              {"aud", "attestation-server"},
                              {"exp", kTokenTime.seconds + 60},
                              {"roles", {"attestation-server:client"}}};
        claims.update(changes);
        std::string text = base64url(as_bytes(json::compact({{"alg", "ES256"}, {"kid", kid}}))) +
                           "." + base64url(as_bytes(json::compact(claims)));
        return text + "." + base64url(key.sign_raw(as_bytes(text)));
    }
    KeySetPtr keys(const char* kid) const {
        return std::make_shared<const std::vector<jose::IssuerKey>>(
            std::vector<jose::IssuerKey>{{kid, key.public_key()}});
    }

    std::string issuer;
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
};

}  // namespace eos::attestd::testing
