// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/socket_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <optional>

namespace eos::os {
namespace {

struct Pair {
    Pair() {
        std::array<int, 2> fds{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
        stream.emplace(UniqueFd(fds[0]));
        peer = UniqueFd(fds[1]);
    }
    /// All that has arrived.
    Bytes arrived() const {
        Bytes out;
        ByteArray<4096> piece;
        for (;;) {
            const ssize_t count = ::recv(peer.get(), piece.data(), piece.size(), 0);
            if (count <= 0) return out;
            append(out, ByteView(piece).first(static_cast<std::size_t>(count)));
        }
    }

    std::optional<SocketStream> stream;
    UniqueFd peer;
};

TEST(SocketStream, SendsAtOnceAndSaysThatThereIsRoomAgain) {
    Pair pair;
    const Bytes window(SocketStream::kWindowBytes, std::byte{1});
    pair.stream->send(window);
    EXPECT_EQ(pair.arrived(), window);
    EXPECT_TRUE(pair.stream->needs_flush()) << "or nobody would be told to go on";
    EXPECT_EQ(pair.stream->writable_bytes(), SocketStream::kWindowBytes);
    pair.stream->flush();
    EXPECT_FALSE(pair.stream->needs_flush());
}

TEST(SocketStream, ASmallMessageThatWentOutWantsNothingMore) {
    Pair pair;
    pair.stream->send(as_bytes("first"));
    EXPECT_EQ(pair.arrived(), to_bytes(as_bytes("first")));
    EXPECT_FALSE(pair.stream->needs_flush()) << "or every answer would be gone over twice";
}

TEST(SocketStream, KeepsWhatThePeerDoesNotTakeInOrder) {
    Pair pair;
    Bytes sent;
    std::byte next{0};
    while (pair.stream->writable_bytes() >= 1000) {
        const Bytes piece(1000, next);
        next = static_cast<std::byte>(std::to_integer<unsigned>(next) + 1);
        pair.stream->send(piece);
        append(sent, piece);
        ASSERT_LT(sent.size(), std::size_t{16} << 20) << "the system takes everything";
    }
    pair.stream->flush();
    EXPECT_TRUE(pair.stream->needs_flush());
    Bytes got;
    while (got.size() < sent.size()) {
        const Bytes more = pair.arrived();
        ASSERT_FALSE(more.empty());
        append(got, more);
        pair.stream->flush();
    }
    EXPECT_EQ(got, sent);
    EXPECT_FALSE(pair.stream->needs_flush());
    EXPECT_EQ(pair.stream->writable_bytes(), SocketStream::kWindowBytes);
}

TEST(SocketStream, ABrokenConnectionTakesNothing) {
    Pair pair;
    pair.peer = UniqueFd();
    pair.stream->send(as_bytes("to nobody"));
    EXPECT_TRUE(pair.stream->is_broken());
    EXPECT_EQ(pair.stream->writable_bytes(), 0U);
}

}  // namespace
}  // namespace eos::os
