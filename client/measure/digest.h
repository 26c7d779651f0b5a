// SPDX-License-Identifier: AGPL-3.0-only
// What the calculators share: SHA-384, and the codes of what they refuse.
#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"

namespace eos::client::measure {

using Digest48 = ByteArray<48>;

inline constexpr std::size_t kPageBytes = 4096;

inline constexpr std::string_view kLibrary = "client/measure";
inline constexpr Code bad_firmware{kLibrary, "bad_firmware",
                                   "the file is not the firmware of a confidential guest"};
inline constexpr Code bad_launch{kLibrary, "bad_launch", "a guest cannot be launched like this"};
inline constexpr Code bad_kernel{kLibrary, "bad_kernel", "the kernel is not an EFI program"};
inline constexpr Code bad_enclave_page{kLibrary, "bad_enclave_page",
                                       "the enclave cannot have this page"};
inline constexpr Code bad_sigstruct{kLibrary, "bad_sigstruct", "the file is not a SIGSTRUCT"};
inline constexpr Code other_enclave{kLibrary, "other_enclave",
                                    "the SIGSTRUCT was made for another enclave"};
inline constexpr Code bad_image{kLibrary, "bad_image", "not a well-formed OCI image layout"};
inline constexpr Code digest_mismatch{kLibrary, "digest_mismatch",
                                      "a blob is not what its name says"};
inline constexpr Code not_wasm{kLibrary, "not_wasm", "the file is not a WebAssembly module"};
inline constexpr Code bad_expectation{kLibrary, "bad_expectation",
                                      "the file does not say what is expected"};

/// SHA-384 of the bytes.
inline Digest48 sha384(ByteView bytes) {
    return to_array<48>(crypto::hash(crypto::HashKind::kSha384, bytes));
}

}  // namespace eos::client::measure
