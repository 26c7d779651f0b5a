// SPDX-License-Identifier: AGPL-3.0-only
// Takes the requests of a FUSE file system and has them answered. libfuse's own loop has ten
// threads, which as many waiting readers use up, and it keeps no order: here as many requests wait
// as there are, and what a program closed is closed before anything that it did after that.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/bytes.h"

struct fuse;
struct fuse_session;

namespace eos::emulation::tsm {

/// Requests beyond these wait for one of them.
inline constexpr std::size_t kMaxFuseThreads = 1024;

/// Threads that answer. Its end waits for the answers that are under way and takes no requests on:
/// the unmounting, which comes after it, fails those.
class FuseLoop {
  public:
    /// in: fuse: mounted; outlives this object.
    explicit FuseLoop(::fuse* fuse);
    ~FuseLoop();
    FuseLoop(const FuseLoop&) = delete;
    FuseLoop& operator=(const FuseLoop&) = delete;

  private:
    void receive();
    bool wait_for_request() const;
    void hand_on(Bytes request);
    void work();
    void answer(Bytes& request);

    ::fuse_session* session_;
    int stop_;  ///< an eventfd
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Bytes> queue_;
    std::size_t idle_ = 0;
    bool ended_ = false;
    std::vector<std::thread> workers_;
    std::thread receiver_;
};

}  // namespace eos::emulation::tsm
