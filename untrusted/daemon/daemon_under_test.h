// SPDX-License-Identifier: AGPL-3.0-only
// The real daemon as a child process of a test, and a client's socket. In no program.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon::testing {

inline constexpr std::chrono::seconds kPatience{
    30};  // an event that does not come by then is a bug

/// A child program, its standard error line by line, and its end.
class ChildProgram {
  public:
    struct Options {
        std::vector<std::string> arguments;  ///< the first is the program
        rlim_t max_descriptors = 0;          ///< 0: as inherited
    };

    explicit ChildProgram(const Options& options) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        lines_in_ = UniqueFd(ends[0]);
        UniqueFd lines_out(ends[1]);
        std::vector<std::string> words = options.arguments;
        std::vector<char*> pointers;
        for (std::string& word : words) pointers.push_back(word.data());
        pointers.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(lines_out.get(), STDERR_FILENO);
            ::dup2(lines_out.get(), STDOUT_FILENO);
            const rlimit limit{options.max_descriptors, options.max_descriptors};
            if (options.max_descriptors != 0) ::setrlimit(RLIMIT_NOFILE, &limit);
            ::execv(pointers[0], pointers.data());
            ::_exit(127);
        }
        lines_out.reset();
        reader_ = std::thread([this] { read_lines(); });
    }
    ~ChildProgram() {
        if (!status_) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        reader_.join();
    }
    ChildProgram(const ChildProgram&) = delete;
    ChildProgram& operator=(const ChildProgram&) = delete;

    pid_t pid() const { return pid_; }
    void signal(int number) const { ::kill(pid_, number); }

    /// The first line, at or after line number `from`, that holds `what`; an empty one if none came
    /// in time or the program ended without it.
    std::string wait_for_line(const std::string& what, std::size_t from = 0) {
        std::unique_lock lock(mutex_);
        std::string found;
        changed_.wait_for(lock, kPatience, [&] {
            for (std::size_t i = from; i < lines_.size(); ++i) {
                if (lines_[i].find(what) == std::string::npos) continue;
                found = lines_[i];
                return true;
            }
            return at_end_;
        });
        return found;
    }
    std::size_t line_count() {
        std::lock_guard lock(mutex_);
        return lines_.size();
    }
    std::string all_lines() {
        std::lock_guard lock(mutex_);
        std::string out;
        for (const std::string& line : lines_) out += line + "\n";
        return out;
    }

    /// The exit code, or minus the signal that ended it.
    int wait_for_exit() {
        wait_for_line("a line that never comes");  // until standard error is closed
        int status = 0;
        ::waitpid(pid_, &status, 0);
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        return *status_;
    }

  private:
    void read_lines() {
        std::string partial;
        char chunk[4096];
        for (ssize_t got = 0; (got = ::read(lines_in_.get(), chunk, sizeof(chunk))) > 0;) {
            partial.append(chunk, static_cast<std::size_t>(got));
            std::lock_guard lock(mutex_);
            for (std::size_t end = 0; (end = partial.find('\n')) != std::string::npos;) {
                lines_.push_back(partial.substr(0, end));
                partial.erase(0, end + 1);
            }
            changed_.notify_all();
        }
        std::lock_guard lock(mutex_);
        at_end_ = true;
        changed_.notify_all();
    }

    UniqueFd lines_in_;
    pid_t pid_ = -1;
    std::optional<int> status_;
    std::thread reader_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> lines_;
    bool at_end_ = false;
};

/// A client's TCP connection. Reads and writes wait at most kPatience.
class TestClient {
  public:
    explicit TestClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval limit{.tv_sec = kPatience.count(), .tv_usec = 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        connected_ =
            ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    }

    bool connected() const { return connected_; }
    int fd() const { return fd_.get(); }

    bool send(std::string_view text) {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    /// Sends without waiting until the system takes no more for `quiet`; how much it took.
    std::size_t send_until_stuck(std::size_t most, std::chrono::milliseconds quiet) {
        const std::string chunk(64 * 1024, 'x');
        std::size_t sent = 0;
        while (sent < most) {
            pollfd entry{fd_.get(), POLLOUT, 0};
            if (::poll(&entry, 1, static_cast<int>(quiet.count())) == 0) break;
            const ssize_t got = ::send(fd_.get(), chunk.data(), std::min(chunk.size(), most - sent),
                                       MSG_NOSIGNAL | MSG_DONTWAIT);
            if (got < 0 && errno != EAGAIN) break;
            if (got > 0) sent += static_cast<std::size_t>(got);
        }
        return sent;
    }

    void end_sending() { ::shutdown(fd_.get(), SHUT_WR); }
    void reset() {
        const linger at_once{1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        fd_.reset();
    }

    /// Exactly so many bytes; fewer if the connection ended before.
    std::string receive(std::size_t size) {
        std::string out(size, '\0');
        std::size_t got = 0;
        while (got < size) {
            const ssize_t more = ::recv(fd_.get(), out.data() + got, size - got, 0);
            last_error_ = more < 0 ? errno : 0;
            if (more <= 0) break;
            got += static_cast<std::size_t>(more);
        }
        out.resize(got);
        return out;
    }
    /// Up to and without the next newline.
    std::string receive_line() {
        std::string out;
        for (std::string c = receive(1); !c.empty() && c != "\n"; c = receive(1)) out += c;
        return out;
    }
    std::string receive_all() {
        std::string out;
        for (std::string more = receive(65536);; more = receive(65536)) {
            out += more;
            if (more.size() < 65536) return out;
        }
    }
    /// The errno of the last receive, 0 if it ended in order.
    int last_error() const { return last_error_; }

  private:
    UniqueFd fd_;
    bool connected_ = false;
    int last_error_ = 0;
};

}  // namespace eos::daemon::testing
