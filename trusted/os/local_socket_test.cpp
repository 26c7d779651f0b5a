// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/local_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace eos::os {
namespace {

namespace fs = std::filesystem;

class LocalSocket : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path() / "local-socket-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    void TearDown() override { fs::remove_all(folder); }
    fs::path folder;
};

TEST_F(LocalSocket, IsFoundWithItsModeWhateverTheUmask) {
    for (const mode_t umask : {0, 077}) {
        for (const mode_t mode : {0600, 0666}) {
            const mode_t before = ::umask(umask);
            const Result<UniqueFd> listening = listen_local(folder / "s", mode);
            ::umask(before);
            ASSERT_TRUE(listening) << listening.error().message();
            EXPECT_EQ(fs::status(folder / "s").permissions(), fs::perms(mode));
            const Result<UniqueFd> connected = connect_local(folder / "s");
            ASSERT_TRUE(connected) << connected.error().message();
            EXPECT_EQ(local_peer(connected->get())->user, ::geteuid());
        }
    }
}

TEST_F(LocalSocket, ReplacesWhatWasLeftBehindAndNothingElse) {
    std::ofstream(folder / "file") << "kept";
    EXPECT_EQ(listen_local(folder / "file", 0600).error().code(), local_socket_unusable);
    EXPECT_TRUE(fs::is_regular_file(folder / "file"));
    EXPECT_EQ(listen_local(folder / std::string(200, 'x'), 0600).error().code(),
              local_socket_unusable);
    EXPECT_EQ(listen_local("", 0600).error().code(), local_socket_unusable);
    EXPECT_EQ(listen_local(folder / "none" / "s", 0600).error().code(), local_socket_unusable);
    {
        ASSERT_TRUE(listen_local(folder / "s", 0600));
    }
    EXPECT_EQ(connect_local(folder / "s").error().code(), nobody_listens);
    EXPECT_EQ(connect_local(folder / "none").error().code(), nobody_listens);
}

TEST(LocalPeer, IsThisProcessAtTheEndOfItsOwnPair) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const UniqueFd one(pair[0]);
    const UniqueFd other(pair[1]);
    const Result<LocalPeer> peer = local_peer(one.get());
    ASSERT_TRUE(peer) << peer.error().message();
    EXPECT_EQ(peer->user, ::geteuid());
    EXPECT_EQ(peer->process, ::getpid());
}

TEST(LocalPeer, NobodyIsThereWithoutAConnection) {
    const UniqueFd alone(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(local_peer(alone.get()).error().code(), unknown_peer);
    EXPECT_EQ(local_peer(-1).error().code(), unknown_peer);
}

TEST(FindUser, TakesNamesAndNumbers) {
    EXPECT_EQ(find_user("root").value(), 0u);
    EXPECT_EQ(find_user("4711").value(), 4711u);
    EXPECT_EQ(find_user("").error().code(), unknown_user);
    EXPECT_EQ(find_user("no such user").error().code(), unknown_user);
    EXPECT_EQ(find_user("12x").error().code(), unknown_user);
    EXPECT_EQ(find_user("-1").error().code(), unknown_user);
    EXPECT_EQ(find_user("99999999999").error().code(), unknown_user);
}

}  // namespace
}  // namespace eos::os
