// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/tls_identity.h"

#include <algorithm>

#include "common/x509/pem.h"
#include "trusted/os/files.h"

namespace eos::attestd {
namespace {

constexpr std::size_t kMaxChainBytes = 256 * 1024;
constexpr std::size_t kMaxNames = 64;

inline constexpr Code no_challenge{"trusted/attestd", "no_challenge",
                                   "this server's key is not attested: no challenge is answered"};

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

/// Those of the configuration, else those of the certificate. A wildcard names no host.
Result<std::vector<std::string>> names_of(const Config& config, const x509::Certificate& leaf) {
    std::vector<std::string> out;
    const std::vector<std::string>& from =
        config.names.empty() ? leaf.subject_alt_name().dns_names : config.names;
    for (const std::string& name : from) {
        if (!name.starts_with("*.")) out.push_back(lower(name));
    }
    if (out.size() > kMaxNames) return fail(bad_config, "more than 64 names");
    if (out.empty() && !from.empty()) {
        return fail(bad_config, "the certificate has a wildcard only: put the hosts in names");
    }
    return out;
}

/// Without a name of its own the server answers whoever connects without naming one.
std::shared_ptr<const runtime::Served> serve(std::vector<std::string> names) {
    auto out = std::make_shared<runtime::Served>();
    if (names.empty()) names.emplace_back();
    out->platform_name = names.front();
    for (const std::string& name : names) {
        runtime::ServedName row;
        row.name = name;
        out->names.emplace(name, std::move(row));
    }
    return out;
}

}  // namespace

Result<std::shared_ptr<FileLeaf>> FileLeaf::load(const Config& config) {
    Bytes text = EOS_TRY(os::read_file(config.certificate_file, kMaxChainBytes));
    Result<std::vector<x509::Certificate>> chain = x509::parse_pem_certificates(as_chars(text));
    if (!chain) return fail(std::move(chain).error().within(config.certificate_file));
    crypto::P256PrivateKey key = EOS_TRY(os::read_private_key(config.key_file));
    std::vector<Bytes> der;
    for (const x509::Certificate& certificate : *chain) der.push_back(to_bytes(certificate.der()));
    Result<std::shared_ptr<const ratls::Credential>> credential = ratls::Credential::make(der, key);
    if (!credential) return fail(std::move(credential).error().within(config.certificate_file));
    std::vector<std::string> names = EOS_TRY(names_of(config, chain->front()));
    return std::shared_ptr<FileLeaf>(new FileLeaf(*std::move(credential), serve(std::move(names)),
                                                  chain->front().validity().not_after));
}

void FileLeaf::leaf(const ratls::HandshakeOffer& offer,
                    runtime::Done<runtime::CredentialPtr> done) const {
    if (offer.nonce) return done(fail(no_challenge));
    done(credential_);
}

}  // namespace eos::attestd
