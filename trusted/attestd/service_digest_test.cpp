// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/service_digest.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "common/base/encoding.h"

namespace eos::attestd {
namespace {

// printf 'enclave-os-attestd 1\nexecutable %064d\nconfiguration %064d\npolicy %064d\n' 0 0 0 |
//   sha256sum
constexpr const char* kOfZeros = "e0b9e4dd0f7f7b51ab4fa9bda2cffe772bc27835410f4d43dc208182f6529e80";

TEST(ServiceDigest, IsOfTheDocumentedText) {
    EXPECT_EQ(hex(service_digest({})), kOfZeros);
}

TEST(ServiceDigest, EveryPartCountsInItsPlace) {
    const crypto::Digest32 one = crypto::sha256(as_bytes("one"));
    const crypto::Digest32 executable = service_digest({.executable = one});
    const crypto::Digest32 configuration = service_digest({.configuration = one});
    const crypto::Digest32 policy = service_digest({.policy = one});
    EXPECT_NE(executable, service_digest({}));
    EXPECT_NE(executable, configuration);
    EXPECT_NE(executable, policy);
    EXPECT_NE(configuration, policy);
}

TEST(ServiceDigest, TheExecutableIsTheOneThatRuns) {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(own_executable_digest().value(), crypto::sha256(as_bytes(text)));
}

}  // namespace
}  // namespace eos::attestd
