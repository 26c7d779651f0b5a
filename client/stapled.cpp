// SPDX-License-Identifier: AGPL-3.0-only
#include "client/stapled.h"

#include <algorithm>

#include "client/http_exchange.h"
#include "common/http/authority.h"

namespace eos::client {

using attestation::endorsements::Bundle;
using attestation::endorsements::Endorsements;
using attestation::endorsements::Origin;

namespace {

bool has_any(const Endorsements& own) {
    return own.root_ca_crl || own.pck_crl || own.tcb_info || own.qe_identity ||
           !own.pieces.empty() || !own.amd.certificates.empty() || own.amd.ark_crl ||
           own.amd.ask_crl;
}

}  // namespace

Result<Bundle> fetch_stapled(const Target& target, Deadline deadline) {
    deadline = std::min(deadline, std::chrono::steady_clock::now() + kStapledLimit);
    const std::string& name = target.server_name.empty() ? target.address.host : target.server_name;
    Request request;
    request.head.authority = EOS_TRY(http::parse_authority(name, http::Scheme::kHttps));
    request.head.path = kStapledPath;
    const ratls::ClientOptions anybody{
        .server_name = target.server_name, .nonce = std::nullopt, .credential = nullptr};
    TlsChannel channel = EOS_TRY(TlsChannel::open(target.address, anybody, deadline));
    HttpExchange exchange(channel);
    Response response = EOS_TRY(
        exchange.run(std::move(request), attestation::endorsements::kMaxBundleBytes, deadline));
    if (response.status != 200) return fail(not_stapled, "HTTP " + std::to_string(response.status));
    return attestation::endorsements::parse_bundle(response.body);
}

void staple(Target& target, Deadline deadline) {
    Origin origin{
        .text = "stapled by " + target.address.host, .failure = {}, .is_judged_server = true};
    Result<Bundle> bundle = fetch_stapled(target, deadline);
    if (bundle) {
        origin.text += ", made " + rfc3339(bundle->made) + ", " +
                       std::to_string(bundle->pieces.size()) + " pieces";
        auto& pieces = target.endorsements.pieces;
        std::ranges::move(bundle->pieces, std::back_inserter(pieces));
    } else {
        origin.failure = bundle.error().message();
    }
    target.endorsements.origins.push_back(std::move(origin));
}

void staple(Target& target, Stapling rule, Deadline deadline) {
    if (rule == Stapling::kNever) return;
    if (rule == Stapling::kWithoutOwn && has_any(target.endorsements)) return;
    staple(target, deadline);
}

bool is_stapled(const Endorsements& endorsements) {
    return std::ranges::any_of(endorsements.origins, [](const Origin& origin) {
        return origin.is_judged_server && origin.failure.empty();
    });
}

}  // namespace eos::client
