// SPDX-License-Identifier: AGPL-3.0-only
#include "client/platform_needs.h"

#include "client/files.h"
#include "common/attestation/endorsements/pck.h"
#include "common/attestation/evidence/quote.h"
#include "common/base/encoding.h"
#include "common/ratls/leaf.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

Result<Bytes> evidence_in(const std::filesystem::path& file) {
    Result<std::vector<x509::Certificate>> chain = read_certificates(file);
    if (!chain) return read_file(file);
    ratls::LeafClaimsView claims = EOS_TRY(ratls::read_leaf(chain->front()));
    if (!claims.evidence) return fail(no_platform, file.string() + ": no evidence in it");
    return to_bytes(claims.evidence->bytes);
}

}  // namespace

Result<PlatformNeeds> read_platform_needs(const std::filesystem::path& file) {
    Bytes bytes = EOS_TRY(evidence_in(file));
    attestation::evidence::Evidence evidence = EOS_TRY(attestation::evidence::parse_quote(bytes));
    const attestation::evidence::IntelQuote* quote =
        std::get_if<attestation::evidence::SgxQuote>(&evidence.quote());
    std::string tee = "sgx";
    if (quote == nullptr) {
        quote = std::get_if<attestation::evidence::TdxQuote>(&evidence.quote());
        tee = "tdx";
    }
    if (quote == nullptr) return fail(no_platform, file.string() + ": not evidence of Intel's");
    std::vector<x509::Certificate> chain =
        EOS_TRY(x509::parse_pem_chain(as_bytes(quote->pck_chain_pem)));
    attestation::endorsements::PckExtension platform =
        EOS_TRY(attestation::endorsements::parse_pck_extension(chain.front()));
    bool processor = chain.front().issuer().display().find("Processor") != std::string::npos;
    return PlatformNeeds{tee, hex(platform.fmspc), processor ? "processor" : "platform"};
}

}  // namespace eos::client
