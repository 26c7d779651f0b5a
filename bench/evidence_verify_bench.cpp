// SPDX-License-Identifier: AGPL-3.0-only
// Verifying published evidence, as multiples of the signatures that nobody can leave out, in the
// same run: with collateral that was just read, with collateral that is known from evidence of the
// same platform, and a second time.
// usage: bench-evidence-verify CORPUS_FOLDER
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "bench/evidence_peers.h"
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

/// A signature verified by libcrypto alone, in the quickest way that it has: key, algorithms and
/// context are ready.
class Signature {
  public:
    Signature(EVP_PKEY* key, const char* hash)
        : key_(key), hash_(EVP_MD_fetch(nullptr, hash, nullptr)) {
        EVP_MD_CTX* signer = EVP_MD_CTX_new();
        std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key_));
        signature_.resize(size);
        EOS_ASSERT(EVP_DigestSignInit(signer, nullptr, hash_, nullptr, key_) == 1 &&
                   EVP_DigestSign(signer, as_writable_uchars(signature_), &size,
                                  as_uchars(message_), message_.size()) == 1);
        signature_.resize(size);
        EVP_MD_CTX_free(signer);
        context_ = EVP_PKEY_CTX_new(key_, nullptr);
        EOS_ASSERT(EVP_PKEY_verify_init(context_) == 1 &&
                   EVP_PKEY_CTX_set_signature_md(context_, hash_) == 1);
    }
    ~Signature() {
        EVP_PKEY_CTX_free(context_);
        EVP_MD_free(hash_);
        EVP_PKEY_free(key_);
    }
    Signature(const Signature&) = delete;
    Signature& operator=(const Signature&) = delete;

    void verify() const {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        EOS_ASSERT(
            EVP_Digest(message_.data(), message_.size(), digest, &size, hash_, nullptr) == 1 &&
            EVP_PKEY_verify(context_, as_uchars(signature_), signature_.size(), digest, size) == 1);
    }

  private:
    EVP_PKEY* key_;
    EVP_MD* hash_;
    EVP_PKEY_CTX* context_ = nullptr;
    Bytes message_ = Bytes(384, std::byte{1});
    Bytes signature_;
};

/// What nobody can leave out, per kind of evidence.
struct Floors {
    Signature p256{EVP_EC_gen("P-256"), "SHA2-256"};
    Signature p384{EVP_EC_gen("P-384"), "SHA2-384"};
    Signature rsa{EVP_RSA_gen(4096), "SHA2-384"};

    /// Of TDX and SGX evidence: PCK certificate and CA, quoting enclave, quote, TCB info and its
    /// signer, identity, two revocation lists.
    void intel() const {
        for (int i = 0; i < 9; ++i) p256.verify();
    }
    /// The same where the collateral is known: PCK certificate, quoting enclave, quote.
    void intel_known() const {
        for (int i = 0; i < 3; ++i) p256.verify();
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
    Bytes file;  ///< the collateral as it was published; empty for AMD
    verify::Collateral collateral;
    verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});

    bool is_amd() const { return file.empty(); }
    /// From the pieces, as the vendor's service gives them and as the peers are given them.
    bool verify_cold() const { return verify_with(collateral.endorsements(), nullptr); }
    /// From the file that somebody put them into, in JSON.
    bool verify_cold_file() const {
        auto parsed = attestation::endorsements::parse_endorsements(file);
        EOS_ASSERT(parsed.has_value());
        return verify_with(*std::move(parsed), nullptr);
    }
    /// As for other evidence of this platform: the memo, which knows nothing, keeps what the
    /// collateral knows of this evidence out.
    bool verify_known_platform() const {
        NoMemo memo;
        return verify_with(collateral, &memo);
    }
    bool verify_again() const { return verify_with(collateral, nullptr); }

  private:
    class NoMemo final : public verify::SignatureMemo {
      public:
        verify::SignatureSet begin(const crypto::Digest32&) override { return {}; }
        void end(const crypto::Digest32&, verify::SignatureSet) override {}
    };
    bool verify_with(const verify::Collateral& with, verify::SignatureMemo* memo) const {
        return verify::verify_quote(evidence, with, roots, *one.time, memo).evidence() != nullptr;
    }
};

Result<Inputs> load(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    Inputs out{.one = one,
               .evidence = std::move(loaded.evidence),
               .file = {},
               .collateral = std::move(loaded.endorsements)};
    for (const std::string& file : one.files) {
        if (file.find("collateral/") != file.npos && file.ends_with(".json"))
            out.file = EOS_TRY(read_file(folder / file));
    }
    return out;
}

struct Measured {
    std::vector<double> p256, floor, cold, cold_file, known_floor, known, again;
};

void measure_round(const Inputs& in, const Floors& floors, Measured& out) {
    out.p256.push_back(per_call_us([&] { floors.p256.verify(); }));
    out.floor.push_back(per_call_us([&] { in.is_amd() ? floors.amd() : floors.intel(); }));
    out.cold.push_back(per_call_us([&] { EOS_ASSERT(in.verify_cold()); }));
    out.again.push_back(per_call_us([&] { EOS_ASSERT(in.verify_again()); }));
    if (in.is_amd()) return;
    out.cold_file.push_back(per_call_us([&] { EOS_ASSERT(in.verify_cold_file()); }));
    out.known_floor.push_back(per_call_us([&] { floors.intel_known(); }));
    out.known.push_back(per_call_us([&] { EOS_ASSERT(in.verify_known_platform()); }));
}

void measure(const Inputs& in, const Floors& floors) {
    EOS_ASSERT(in.verify_cold() && in.verify_known_platform() && in.verify_again());
    Measured all;
    for (int round = 0; round < kRounds; ++round) measure_round(in, floors, all);
    auto print = [&](const char* what, double us, double floor, double target) {
        std::printf("%-22s %-28s %6.1f us, floor %6.1f us, ratio %5.2f, target %.2f: %s\n",
                    in.one.id.c_str(), what, us, floor, us / floor, target,
                    us / floor <= target ? "met" : "MISSED");
    };
    print("cold", median(all.cold), median(all.floor), in.is_amd() ? 1.1 : 1.25);
    if (!in.is_amd()) print("cold, out of a file", median(all.cold_file), median(all.floor), 1.25);
    if (!in.is_amd()) print("known collateral", median(all.known), median(all.known_floor), 1.3);
    print("the same again (one P-256)", median(all.again), median(all.p256), 0.1);
}

int run(const std::filesystem::path& folder) {
    const auto cases = read_cases(folder);
    if (!cases) {
        std::printf("skipped: no corpus (%s)\n", cases.error().message().c_str());
        return 0;
    }
    const Floors floors;
    const Peers peers = Peers::find();
    for (const char* id : {"sgx-dcapqvl-sample", "tdx4-dcapqvl-near", "tdx5-automata-alibaba",
                           "snp2-milan-virtee", "snp3-genoa-veraison"}) {
        const auto one = std::ranges::find(*cases, id, &EvidenceCase::id);
        if (one == cases->end()) continue;
        const auto inputs = load(folder, *one);
        EOS_ASSERT(inputs.has_value());
        measure(*inputs, floors);
        peers.compare(folder, *one, per_call_us([&] { EOS_ASSERT(inputs->verify_cold()); }));
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
