// SPDX-License-Identifier: AGPL-3.0-only
// Verifying published evidence, as multiples of the signatures that nobody can leave out, in the
// same run: with collateral that was just read, with collateral at hand, and a second time.
// usage: bench-evidence-verify CORPUS_FOLDER
#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "client/evidence_cases.h"
#include "client/files.h"
#include "common/attestation/verify/roots.h"
#include "common/base/assert.h"
#include "common/crypto/p256.h"

namespace eos::client {
namespace {

namespace verify = attestation::verify;

constexpr int kRounds = 11;
constexpr int kCallsPerRound = 50;
/// Of TDX and SGX evidence: PCK certificate and CA, quoting enclave, quote, TCB info and its
/// signer, identity, two revocation lists.
constexpr double kIntelSignatures = 9;

// CPU time of this thread: what others do on the machine is not in it.
double cpu_us() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

template <typename Work>
double per_call_us(Work work) {
    const double start = cpu_us();
    for (int i = 0; i < kCallsPerRound; ++i) work();
    return (cpu_us() - start) / kCallsPerRound;
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

/// One P-256 verification by libcrypto of a short message, with a key that is ready for use.
class OneSignature {
  public:
    ~OneSignature() { EVP_MD_CTX_free(context_); }
    OneSignature() = default;
    OneSignature(const OneSignature&) = delete;
    OneSignature& operator=(const OneSignature&) = delete;

    void operator()() const {
        EOS_ASSERT(EVP_DigestVerifyInit(context_, nullptr, EVP_sha256(), nullptr, key_.handle()) ==
                       1 &&
                   EVP_DigestVerify(context_, as_uchars(signature_), signature_.size(),
                                    as_uchars(message_), message_.size()) == 1);
    }

  private:
    crypto::P256PrivateKey key_ = crypto::P256PrivateKey::generate();
    Bytes message_ = Bytes(384, std::byte{1});
    Bytes signature_ = key_.sign_der(message_);
    EVP_MD_CTX* context_ = EVP_MD_CTX_new();
};

struct Inputs {
    const EvidenceCase& one;
    Bytes evidence;
    Bytes collateral;  ///< the file as it was published; empty for AMD
    attestation::endorsements::Endorsements endorsements;
    verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});

    bool verify_cold() const {
        if (collateral.empty()) return verify_with(endorsements, nullptr);
        const auto parsed = attestation::endorsements::parse_endorsements(collateral);
        EOS_ASSERT(parsed.has_value());
        return verify_with(*parsed, nullptr);
    }
    bool verify_again(verify::SignatureMemo* memo) const { return verify_with(endorsements, memo); }

  private:
    bool verify_with(const attestation::endorsements::Endorsements& with,
                     verify::SignatureMemo* memo) const {
        return verify::verify_quote(evidence, with, roots, *one.time, memo).evidence() != nullptr;
    }
};

Result<Inputs> load(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    Inputs out{.one = one,
               .evidence = std::move(loaded.evidence),
               .collateral = {},
               .endorsements = std::move(loaded.endorsements)};
    for (const std::string& file : one.files) {
        if (file.find("collateral/") != file.npos && file.ends_with(".json"))
            out.collateral = EOS_TRY(read_file(folder / file));
    }
    return out;
}

void measure(const Inputs& in) {
    const OneSignature one_signature;
    verify::BoundedSignatureMemo memo(4);
    EOS_ASSERT(in.verify_cold() && in.verify_again(&memo));
    std::vector<double> cold, at_hand, again, floor;
    for (int round = 0; round < kRounds; ++round) {
        floor.push_back(per_call_us([&] { one_signature(); }));
        cold.push_back(per_call_us([&] { EOS_ASSERT(in.verify_cold()); }));
        at_hand.push_back(per_call_us([&] { EOS_ASSERT(in.verify_again(nullptr)); }));
        again.push_back(per_call_us([&] { EOS_ASSERT(in.verify_again(&memo)); }));
    }
    const double one = median(floor);
    std::printf("%-24s cold %7.0f us = %5.1f P-256", in.one.id.c_str(), median(cold),
                median(cold) / one);
    if (!in.collateral.empty())
        std::printf(" (%.2f x nine, target 1.25)", median(cold) / (one * kIntelSignatures));
    std::printf("; parsed before %7.0f us = %5.1f; the same again %6.1f us = %.2f, target 0.1\n",
                median(at_hand), median(at_hand) / one, median(again), median(again) / one);
}

int run(const std::filesystem::path& folder) {
    const auto cases = read_cases(folder);
    if (!cases) {
        std::printf("skipped: no corpus (%s)\n", cases.error().message().c_str());
        return 0;
    }
    for (const char* id : {"sgx-dcapqvl-sample", "tdx4-dcapqvl-near", "tdx5-automata-alibaba",
                           "snp2-milan-virtee", "snp3-genoa-veraison"}) {
        const auto one = std::ranges::find(*cases, id, &EvidenceCase::id);
        if (one == cases->end()) continue;
        const auto inputs = load(folder, *one);
        EOS_ASSERT(inputs.has_value());
        measure(*inputs);
    }
    return 0;
}

}  // namespace
}  // namespace eos::client

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: bench-evidence-verify CORPUS_FOLDER\n");
        return 2;
    }
    return eos::client::run(argv[1]);
}
