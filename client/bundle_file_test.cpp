// SPDX-License-Identifier: AGPL-3.0-only
#include "client/bundle_file.h"

#include <gtest/gtest.h>

#include "client/files.h"
#include "common/attestation/verify/synthetic_intel_test.h"

namespace eos::client {
namespace {

class BundleFile : public ::testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove(file_); }
    std::string refusal_of(std::string_view text) const {
        EXPECT_TRUE(write_file(file_, as_bytes(text), {}).has_value());
        const auto bundle = read_bundle(file_);
        return bundle ? "" : bundle.error().message();
    }

    const std::filesystem::path file_ = std::filesystem::path(::testing::TempDir()) / "a.bundle";
};

TEST_F(BundleFile, CollateralThatIsNoneIsToldHowToBecomeOne) {
    EXPECT_EQ(refusal_of(R"({"tcb_info": "{}", "qe_identity": "{}"})"),
              "no bundle: make one with `enclavectl bundle make --import " + file_.string() +
                  " --out NEW`");
    EXPECT_EQ(refusal_of(R"({"format": "enclave-os-collateral-bundle"})").find("no bundle"),
              std::string::npos);
    EXPECT_NE(refusal_of("neither").find(file_.string()), std::string::npos);
    EXPECT_EQ(read_bundle(file_ / "gone").error().code(), file_unreadable);
}

TEST_F(BundleFile, ABundleIsRead) {
    const attestation::testing::SyntheticIntel intel;
    const auto pieces =
        to_pieces(intel.endorsements(), attestation::testing::kNow, "a test").value();
    const std::string text =
        attestation::endorsements::write_bundle(pieces, attestation::testing::kNow,
                                                crypto::P256PrivateKey::generate())
            .value();
    EXPECT_EQ(refusal_of(text), "");
    EXPECT_EQ(read_bundle(file_).value().pieces.size(), pieces.size());
}

}  // namespace
}  // namespace eos::client
