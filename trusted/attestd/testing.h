// SPDX-License-Identifier: AGPL-3.0-only
// What the service's tests share: requests as callers write them.
#pragma once

#include "common/base/encoding.h"
#include "common/json/json.h"
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

}  // namespace eos::attestd::testing
