// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <openssl/x509.h>

#include "common/base/assert.h"
#include "common/base/bytes.h"

namespace eos::fuzz {

/// Aborts unless OpenSSL reads `der` as a whole and writes it to the same bytes.
template <typename T>
void expect_openssl_agrees(ByteView der, T* (*d2i)(T**, const unsigned char**, long),
                           int (*i2d)(const T*, unsigned char**), void (*destroy)(T*)) {
    const unsigned char* p = as_uchars(der);
    T* theirs = d2i(nullptr, &p, static_cast<long>(der.size()));
    EOS_ASSERT(theirs != nullptr && p == as_uchars(der) + der.size());
    unsigned char* again = nullptr;
    int size = i2d(theirs, &again);
    EOS_ASSERT(size >= 0);
    EOS_ASSERT(equal(der, std::as_bytes(std::span(again, static_cast<std::size_t>(size)))));
    OPENSSL_free(again);
    destroy(theirs);
}

}  // namespace eos::fuzz
