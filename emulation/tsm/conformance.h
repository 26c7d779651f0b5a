// SPDX-License-Identifier: AGPL-3.0-only
// What the parts of tsm-conformance share: files by their system calls, and a count of what is as
// expected.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/encoding.h"

namespace eos::emulation::tsm {

/// A system call's result: at least 0, or minus an errno.
inline long outcome(long returned) {
    return returned < 0 ? -errno : returned;
}

inline std::string text(long value) {
    if (value >= 0) return std::to_string(value);
    const char* name = ::strerrorname_np(static_cast<int>(-value));
    return name == nullptr ? std::to_string(value) : name;
}

/// Counts what is as expected and prints what is not.
class Report {
  public:
    void expect(const std::string& what, long found, long expected) {
        note(found == expected, what + ": " + text(found) + ", expected " + text(expected));
    }
    void expect(const std::string& what, const std::string& found, const std::string& expected) {
        note(found == expected, what + ": '" + found + "', expected '" + expected + "'");
    }
    void expect_true(const std::string& what, bool holds) { note(holds, what); }
    void not_checked(const std::string& what) { std::printf("not checked: %s\n", what.c_str()); }

    int finish(const std::string& of) const {
        std::printf("%s: %d checks, %d failed\n", of.c_str(), checks_, failed_);
        return failed_ == 0 && checks_ > 0 ? 0 : 1;
    }

  private:
    void note(bool holds, const std::string& line) {
        ++checks_;
        if (holds) return;
        ++failed_;
        std::printf("FAILED %s\n", line.c_str());
    }

    int checks_ = 0;
    int failed_ = 0;
};

/// A file that is closed with this object, or before.
class File {
  public:
    File(const std::string& path, int flags)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)), opened_(outcome(fd_)) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(); }

    int fd() const { return fd_; }
    /// 0, or why it could not be opened.
    long opened() const { return std::min(opened_, 0L); }
    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    long read(std::size_t size) {
        buffer_.resize(size);
        const long got = outcome(::read(fd_, buffer_.data(), size));
        buffer_.resize(static_cast<std::size_t>(std::max(got, 0L)));
        return got;
    }
    long write(const std::string& value) {
        return outcome(::write(fd_, value.data(), value.size()));
    }
    std::string content() const { return to_string(buffer_); }

  private:
    int fd_;
    long opened_;
    Bytes buffer_;
};

inline constexpr std::size_t kLarge = 64 * 1024;

}  // namespace eos::emulation::tsm
