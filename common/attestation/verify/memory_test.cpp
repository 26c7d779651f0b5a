// SPDX-License-Identifier: AGPL-3.0-only
// What one verification takes of the heap, libcrypto's part included: counted, at its height, for
// the usual inputs and for the dearest that the limits let through.
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/attestation/verify/verify.h"
#include "common/x509/crl.h"

namespace {

std::atomic<std::int64_t> g_used = 0, g_height = 0;

void count(std::int64_t bytes) {
    const std::int64_t used = g_used += bytes;
    std::int64_t height = g_height;
    while (used > height && !g_height.compare_exchange_weak(height, used)) {
    }
}
std::int64_t size_of(void* block) {
    return static_cast<std::int64_t>(malloc_usable_size(block));
}
void* take(std::size_t size) {
    void* block = std::malloc(size == 0 ? 1 : size);
    if (block != nullptr) count(size_of(block));
    return block;
}
void give_back(void* block) {
    if (block != nullptr) count(-size_of(block));
    std::free(block);
}

void* crypto_take(std::size_t size, const char*, int) {
    return size == 0 ? nullptr : take(size);
}
void* crypto_resize(void* block, std::size_t size, const char*, int) {
    if (block != nullptr) count(-size_of(block));
    void* out = std::realloc(block, size);
    if (out != nullptr) count(size_of(out));
    return out;
}
void crypto_give_back(void* block, const char*, int) {
    give_back(block);
}
// Before libcrypto takes its first byte, or it refuses.
const bool g_counts_crypto =
    CRYPTO_set_mem_functions(crypto_take, crypto_resize, crypto_give_back) == 1;

}  // namespace

void* operator new(std::size_t size) {
    void* block = take(size);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}
void operator delete(void* block) noexcept {
    give_back(block);
}
void operator delete(void* block, std::size_t) noexcept {
    give_back(block);
}

namespace eos::attestation::verify {
namespace {

using testing::kNow;
using testing::SyntheticIntel;

/// What verifying took at its height, beyond what there was before, the inputs among it.
std::int64_t height_of(ByteView quote, const endorsements::Endorsements& endorsements,
                       const Roots& roots) {
    const std::int64_t before = g_used;
    g_height = before;
    const Verification verification = verify_quote(quote, endorsements, roots, kNow);
    EXPECT_FALSE(verification.tree().children.empty());
    return g_height - before;
}

std::int64_t height_of(const SyntheticIntel& intel) {
    return height_of(intel.quote(), intel.endorsements(), intel.roots());
}

/// A statement with nearly as many values as json::Limits lets through.
json::Value many_values(json::Value statement) {
    constexpr std::size_t kValues = 60'000;
    json::Value filler = json::Value::array();
    for (std::size_t i = 0; i < kValues; ++i) filler.push_back(json::Value::object());
    statement["filler"] = std::move(filler);
    EXPECT_LT(statement.dump().size(), endorsements::kMaxCollateralBytes);
    return statement;
}

/// As many as a list of kMaxCrlBytes has room for.
std::vector<x509::Serial> many_serials() {
    constexpr std::size_t kEntryBytes = 40;
    std::vector<x509::Serial> out;
    for (std::size_t i = 0; i < x509::kMaxCrlBytes / kEntryBytes - 100; ++i) {
        out.push_back(x509::Serial::random());
    }
    return out;
}

TEST(VerificationMemory, UsualEvidenceTakesLittle) {
    ASSERT_TRUE(g_counts_crypto);
    SyntheticIntel sgx, tdx;
    tdx.make_tdx(evidence::TdReportKind::tdx15);
    for (const SyntheticIntel* intel : {&sgx, &tdx}) {
        height_of(*intel);  // what libcrypto makes once and keeps
        const std::int64_t height = height_of(*intel);
        EXPECT_GT(height, 1024);
        EXPECT_LT(height, kUsualVerificationBytes);
        std::printf("[ heap     ] %lld KiB\n", static_cast<long long>(height / 1024));
    }
}

TEST(VerificationMemory, TheDearestInputsStayBelowTheBound) {
    SyntheticIntel intel;
    intel.make_tdx(evidence::TdReportKind::tdx15);
    intel.tcb_info = many_values(intel.tcb_info);
    intel.qe_identity = many_values(intel.qe_identity);
    intel.root_revoked = many_serials();
    intel.pck_revoked = many_serials();
    ASSERT_GT(intel.pck_crl().size(), x509::kMaxCrlBytes / 10 * 8);
    ASSERT_LT(intel.pck_crl().size(), x509::kMaxCrlBytes);
    const std::int64_t height = height_of(intel);
    EXPECT_GT(height, kUsualVerificationBytes);
    EXPECT_LT(height, kMaxVerificationBytes);
    std::printf("[ heap     ] %lld KiB\n", static_cast<long long>(height / 1024));
}

TEST(VerificationMemory, NothingIsKept) {
    SyntheticIntel intel;
    const Bytes quote = intel.quote();
    const endorsements::Endorsements endorsements = intel.endorsements();
    const Roots roots = intel.roots();
    height_of(quote, endorsements, roots);
    const std::int64_t before = g_used;
    for (int i = 0; i < 20; ++i) height_of(quote, endorsements, roots);
    EXPECT_EQ(g_used, before);
}

}  // namespace
}  // namespace eos::attestation::verify
