// SPDX-License-Identifier: AGPL-3.0-only
// The intermediate CA: its key is born here, its certificate comes from the operator and is checked
// before use.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "common/x509/certificate.h"
#include "trusted/runtime/ownership.h"
#include "trusted/runtime/served.h"

namespace eos::runtime {

inline constexpr Code bad_ca{"trusted/runtime", "bad_ca",
                             "the CA certificate is not one that can be used here"};
inline constexpr Code name_not_permitted{"trusted/runtime", "name_not_permitted",
                                         "the CA may not certify that host name"};

inline constexpr std::int64_t kMaxCaLifeSeconds = 90 * kSecondsPerDay;
// The operator's clock and the time at which the certificate was backdated may differ from ours.
inline constexpr std::int64_t kCaLifeSlackSeconds = kSecondsPerDay;

/// A certification request for a CA key, DER.
Bytes make_ca_request(const crypto::P256PrivateKey& key);

/// What an intermediate must be for.
struct CaDemands {
    const crypto::P256PublicKey& key;  ///< that was born here, or is imported with it
    std::string_view platform_name;
    UnixTime now;
};

/// Checks a chain, intermediate first, and returns the DER of what is sent to clients: everything
/// but a self-signed root. in:      pem: at most 4 certificates. errors:  bad_ca (another key, not
/// a CA with path length 0, no name constraints, expired or too long a life, a
///          certificate that does not sign the one before), name_not_permitted, those of
///          x509::parse_pem_certificates.
[[nodiscard]] Result<std::vector<Bytes>> check_ca_chain(std::string_view pem,
                                                        const CaDemands& demands);

/// Whether the intermediate's name constraints permit the name.
/// errors: name_not_permitted.
[[nodiscard]] Result<void> check_permitted(const x509::Certificate& intermediate,
                                           std::string_view name);

/// The stored CA in the form in which it signs.
/// errors: those of x509::Certificate::parse and crypto::bad_key.
[[nodiscard]] Result<std::shared_ptr<const LeafIssuer>> make_issuer(const Authority& authority);

/// The intermediate's certificate.
/// errors: those of x509::Certificate::parse.
[[nodiscard]] Result<x509::Certificate> intermediate_of(const Authority& authority);

}  // namespace eos::runtime
