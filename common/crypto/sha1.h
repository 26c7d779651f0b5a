// SPDX-License-Identifier: AGPL-3.0-only
// SHA-1, for protocols that name it where nothing rests on it: the handshake of WebSocket.
#pragma once

#include "common/base/bytes.h"

namespace eos::crypto {

/// SHA-1 (FIPS 180-4). Not for anything that must resist whoever chooses the input.
ByteArray<20> sha1(ByteView bytes);

}  // namespace eos::crypto
