// SPDX-License-Identifier: AGPL-3.0-only
// Verifying published evidence, as multiples of the signatures that nobody can leave out, in the
// same run: with collateral that was just read, with collateral at hand, and a second time.
// usage: bench-evidence-verify CORPUS_FOLDER
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "client/evidence_cases.h"
#include "client/files.h"
#include "common/attestation/verify/roots.h"
#include "common/base/assert.h"

namespace eos::client {
namespace {

namespace verify = attestation::verify;

constexpr int kRounds = 11;
constexpr int kCallsPerRound = 50;

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

/// A signature by a key that is ready for use, verified by libcrypto alone.
class Signature {
  public:
    Signature(EVP_PKEY* key, const EVP_MD* hash) : key_(key), hash_(hash) {
        EOS_ASSERT(key_ != nullptr && context_ != nullptr);
        std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key_));
        signature_.resize(size);
        EOS_ASSERT(EVP_DigestSignInit(context_, nullptr, hash_, nullptr, key_) == 1 &&
                   EVP_DigestSign(context_, as_writable_uchars(signature_), &size,
                                  as_uchars(message_), message_.size()) == 1);
        signature_.resize(size);
    }
    ~Signature() {
        EVP_MD_CTX_free(context_);
        EVP_PKEY_free(key_);
    }
    Signature(const Signature&) = delete;
    Signature& operator=(const Signature&) = delete;

    void verify() const {
        EOS_ASSERT(EVP_DigestVerifyInit(context_, nullptr, hash_, nullptr, key_) == 1 &&
                   EVP_DigestVerify(context_, as_uchars(signature_), signature_.size(),
                                    as_uchars(message_), message_.size()) == 1);
    }

  private:
    EVP_PKEY* key_;
    const EVP_MD* hash_;
    EVP_MD_CTX* context_ = EVP_MD_CTX_new();
    Bytes message_ = Bytes(384, std::byte{1});
    Bytes signature_;
};

/// What nobody can leave out, per kind of evidence.
struct Floors {
    Signature p256{EVP_EC_gen("P-256"), EVP_sha256()};
    Signature p384{EVP_EC_gen("P-384"), EVP_sha384()};
    Signature rsa{EVP_RSA_gen(4096), EVP_sha384()};

    /// Of TDX and SGX evidence: PCK certificate and CA, quoting enclave, quote, TCB info and its
    /// signer, identity, two revocation lists.
    void intel() const {
        for (int i = 0; i < 9; ++i) p256.verify();
    }
    /// Of SNP: the report, the VCEK, the ASK.
    void amd() const {
        p384.verify();
        rsa.verify();
        rsa.verify();
    }
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

void measure(const Inputs& in, const Floors& floors) {
    verify::BoundedSignatureMemo memo(4);
    EOS_ASSERT(in.verify_cold() && in.verify_again(&memo));
    const bool is_amd = in.collateral.empty();
    std::vector<double> cold, at_hand, again, floor, one;
    for (int round = 0; round < kRounds; ++round) {
        one.push_back(per_call_us([&] { floors.p256.verify(); }));
        floor.push_back(per_call_us([&] { is_amd ? floors.amd() : floors.intel(); }));
        cold.push_back(per_call_us([&] { EOS_ASSERT(in.verify_cold()); }));
        at_hand.push_back(per_call_us([&] { EOS_ASSERT(in.verify_again(nullptr)); }));
        again.push_back(per_call_us([&] { EOS_ASSERT(in.verify_again(&memo)); }));
    }
    std::printf(
        "%-22s cold %4.0f us, floor %4.0f us, ratio %.2f, target %s; read before %4.0f us; "
        "the same again %5.1f us, %.2f x P-256, target 0.1\n",
        in.one.id.c_str(), median(cold), median(floor), median(cold) / median(floor),
        is_amd ? "1.1" : "1.25", median(at_hand), median(again), median(again) / median(one));
}

int run(const std::filesystem::path& folder) {
    const auto cases = read_cases(folder);
    if (!cases) {
        std::printf("skipped: no corpus (%s)\n", cases.error().message().c_str());
        return 0;
    }
    const Floors floors;
    for (const char* id : {"sgx-dcapqvl-sample", "tdx4-dcapqvl-near", "tdx5-automata-alibaba",
                           "snp2-milan-virtee", "snp3-genoa-veraison"}) {
        const auto one = std::ranges::find(*cases, id, &EvidenceCase::id);
        if (one == cases->end()) continue;
        const auto inputs = load(folder, *one);
        EOS_ASSERT(inputs.has_value());
        measure(*inputs, floors);
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
