// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/ingress/data_link.h"

#include <gtest/gtest.h>

#include "boundary/test_block.h"

namespace eos::mini {
namespace {

using namespace boundary;

class DataLinkTest : public ::testing::Test {
  protected:
    // What the host finds in the ring now, as text; "" for each message that is not ConnData.
    std::vector<std::string> taken() {
        std::vector<std::string> out;
        while (auto message = host_.receive_data().value()) {
            const auto* data = std::get_if<ConnData>(&*message);
            out.push_back(data == nullptr ? "" : to_string(data->bytes));
        }
        host_.flush();
        return out;
    }

    TestBlock block_{{.data_ring_bytes = kMinRingBytes}};
    NoSignals signals_;
    TrustedWorkerEndpoint trusted_{block_.layout(), 0, signals_};
    HostWorkerEndpoint host_{block_.layout(), 0, signals_};
    DataLink link_{trusted_};
};

TEST_F(DataLinkTest, WhatFindsNoRoomFollowsInOrder) {
    std::vector<std::string> sent;
    for (int i = 0; i < 40; ++i) {
        sent.push_back(std::to_string(i) + std::string(10'000, 'x'));
        link_.send_data(1, as_bytes(sent.back()));
    }
    std::vector<std::string> received;
    for (int turn = 0; turn < 40 && received.size() < sent.size(); ++turn) {
        trusted_.flush();
        for (std::string& text : taken()) received.push_back(std::move(text));
        link_.turn();
    }
    EXPECT_EQ(received, sent);
    EXPECT_FALSE(link_.is_broken());
}

// Named after what it stops: a host that opens connection after connection and takes no answer.
TEST_F(DataLinkTest, AHostThatTakesNothingAndGoesOnAskingEndsTheProgram) {
    std::size_t count = 0;
    while (!link_.is_broken() && count < 2 * kMaxUnsentMessages)
        link_.send_close(++count, ConnClose::How::kAbort);
    EXPECT_TRUE(link_.is_broken());
    EXPECT_GT(count, kMaxUnsentMessages);
    EXPECT_LT(count, kMaxUnsentMessages + kMinRingBytes / frame_bytes(9) + 2);
}

}  // namespace
}  // namespace eos::mini
