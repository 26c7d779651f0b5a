// SPDX-License-Identifier: AGPL-3.0-only
// tsm-conformance: whether a directory behaves as Linux's configfs-tsm does, and a measurement
// register as Linux's sysfs shows it. For the real ones and the emulated ones alike; what it
// expects was taken from transcripts of Linux 6.12 and, for the registers, from the source of
// Linux 6.16.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace {

using eos::Bytes;

/// A system call's result: at least 0, or minus an errno.
long outcome(long returned) {
    return returned < 0 ? -errno : returned;
}

std::string text(long value) {
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
    std::string content() const { return eos::to_string(buffer_); }

  private:
    int fd_;
    long opened_;
    Bytes buffer_;
};

constexpr std::size_t kLarge = 64 * 1024;

/// The checks of one entry, in the order of a life.
class TsmConformance {
  public:
    explicit TsmConformance(std::string root)
        : root_(std::move(root)), entry_(root_ + "/conformance-" + std::to_string(::getpid())) {}

    int run() {
        report_.expect("mkdir", outcome(::mkdir(entry_.c_str(), 0755)), 0);
        report_.expect("mkdir again", outcome(::mkdir(entry_.c_str(), 0755)), -EEXIST);
        fresh();
        access();
        one_write();
        outblob();
        odd_writes();
        old_descriptor();
        privilege_level();
        others();
        removal();
        return report_.finish(root_);
    }

  private:
    std::string path(const std::string& name) const { return entry_ + "/" + name; }

    std::string value(const std::string& name) const {
        File file(path(name), O_RDONLY);
        file.read(256);
        return file.content();
    }
    void expect_generation(const std::string& when, int generation) {
        report_.expect("generation " + when, value("generation"),
                       std::to_string(generation) + "\n");
    }

    void expect_file(const std::string& name, mode_t mode, off_t size) {
        struct stat status{};
        report_.expect("stat " + name, outcome(::stat(path(name).c_str(), &status)), 0);
        report_.expect("mode of " + name, status.st_mode & 07777, mode);
        report_.expect("size of " + name, status.st_size, size);
    }

    void fresh() {
        const std::string provider = value("provider");
        sev_ = provider == "sev_guest\n";
        report_.expect_true("provider is tdx_guest or sev_guest: " + provider,
                            sev_ || provider == "tdx_guest\n");
        expect_file("generation", 0444, 4096);
        expect_file("provider", 0444, 4096);
        expect_file("inblob", 0200, 0);
        expect_file("outblob", 0444, 0);
        struct stat status{};
        for (const char* name : {"auxblob", "privlevel", "privlevel_floor"})
            report_.expect("stat " + std::string(name),
                           outcome(::stat(path(name).c_str(), &status)), sev_ ? 0 : -ENOENT);
        expect_generation("fresh", 0);
        File out(path("outblob"), O_RDONLY);
        report_.expect("open outblob before inblob", out.opened(), 0);
        report_.expect("read outblob before inblob", out.read(kLarge), -EINVAL);
    }

    /// As an ordinary user; root may open anything that configfs itself does not refuse.
    void access() {
        report_.expect("open inblob to read", File(path("inblob"), O_RDONLY).opened(), -EACCES);
        report_.expect("open inblob to read and write", File(path("inblob"), O_RDWR).opened(),
                       -EACCES);
        report_.expect("open outblob to write", File(path("outblob"), O_WRONLY).opened(), -EACCES);
    }

    void one_write() {
        File in(path("inblob"), O_WRONLY);
        report_.expect("write 64", in.write(std::string(64, 'A')), 64);
        expect_generation("after write, before close", 0);
        in.close();
        expect_generation("after close", 1);
    }

    void outblob() {
        File out(path("outblob"), O_RDONLY);
        const long size = out.read(kLarge);
        report_.expect_true("outblob has content: " + text(size), size > 0);
        report_.expect_true("outblob holds the 64 bytes",
                            out.content().find(std::string(64, 'A')) != std::string::npos);
        report_.expect("outblob ends", out.read(10), 0);
        expect_generation("after outblob", 1);
        File again(path("outblob"), O_RDONLY);
        report_.expect("short read", again.read(100), 100);
        report_.expect("next short read", again.read(100), 100);
        if (sev_) report_.expect("open auxblob", File(path("auxblob"), O_RDONLY).opened(), 0);
    }

    void odd_writes() {
        {
            File in(path("inblob"), O_WRONLY);
            report_.expect("write 65", in.write(std::string(65, 'B')), -EFBIG);
        }
        expect_generation("after a write of 65 bytes that failed", 2);
        {
            File in(path("inblob"), O_WRONLY);
            report_.expect("write 32", in.write(std::string(32, 'B')), 32);
            report_.expect("write 32 more", in.write(std::string(32, 'B')), 32);
        }
        expect_generation("after two writes and one close", 3);
        {
            File in(path("inblob"), O_WRONLY | O_TRUNC);
            report_.expect("open to truncate", in.opened(), 0);
            report_.expect("write 10", in.write(std::string(10, 'C')), 10);
        }
        expect_generation("after 10 bytes", 4);
        // A provider that wants 64 bytes says so only now; one made for tests may take 10.
        File out(path("outblob"), O_RDONLY);
        const long size = out.read(kLarge);
        report_.expect_true("outblob of 10 bytes: " + text(size), size == -EINVAL || size > 0);
        {
            const File untouched(path("inblob"), O_WRONLY);
        }
        expect_generation("after open and close without write", 4);
    }

    void write_inblob(char fill) {
        File in(path("inblob"), O_WRONLY);
        in.write(std::string(64, fill));
    }

    void old_descriptor() {
        write_inblob('D');
        File out(path("outblob"), O_RDONLY);
        report_.expect("read 50 of outblob", out.read(50), 50);
        write_inblob('E');
        expect_generation("after two more", 6);
        const long rest = out.read(kLarge);
        report_.expect_true("the rest of the older outblob: " + text(rest), rest > 0);
        report_.expect_true("an open outblob stays the older one",
                            out.content().find(std::string(64, 'E')) == std::string::npos);
    }

    void privilege_level() {
        File level(path("privlevel"), O_WRONLY);
        report_.expect("open privlevel", level.opened(), sev_ ? 0 : -ENOENT);
        if (!sev_) return;
        report_.expect("write 9 to privlevel", level.write("9"), -EINVAL);
        expect_generation("after a bad privlevel", 6);
        level.close();
        File good(path("privlevel"), O_WRONLY);
        report_.expect("write 1 to privlevel", good.write("1\n"), 2);
        expect_generation("after privlevel", 7);
    }

    void others() {
        report_.expect("create a file", File(path("foo"), O_CREAT | O_WRONLY).opened(), -EACCES);
        report_.expect("unlink inblob", outcome(::unlink(path("inblob").c_str())), -EPERM);
        report_.expect("mkdir inside", outcome(::mkdir(path("sub").c_str(), 0755)), -EPERM);
    }

    void removal() {
        File out(path("outblob"), O_RDONLY);
        report_.expect("rmdir with an open file", outcome(::rmdir(entry_.c_str())), 0);
        report_.expect("read of it", out.read(10), -ENOENT);
        report_.expect("rmdir again", outcome(::rmdir(entry_.c_str())), -ENOENT);
    }

    std::string root_;
    std::string entry_;
    bool sev_ = false;
    Report report_;
};

/// RTMR3. Extends it: the machine's RTMR3 is another one afterwards.
class RegisterConformance {
  public:
    explicit RegisterConformance(std::string directory)
        : directory_(std::move(directory)), path_(directory_ + "/rtmr3:sha384") {}

    int run() {
        for (const char* name : {"mrconfigid", "mrowner", "mrownerconfig", "mrtd:sha384"})
            expect_file(name, 0444);
        for (const char* name : {"rtmr0:sha384", "rtmr1:sha384", "rtmr2:sha384", "rtmr3:sha384"})
            expect_file(name, 0644);
        report_.expect("open mrtd to write", File(directory_ + "/mrtd:sha384", O_WRONLY).opened(),
                       -EACCES);
        const Bytes before = value();
        report_.expect("size", static_cast<long>(before.size()), 48);
        report_.expect("write 47", write(std::string(47, 'x')), -EINVAL);
        report_.expect("write nothing", write(""), 0);
        report_.expect_true("refused writes extend nothing", value() == before);
        const std::string digest(48, 'x');
        report_.expect("write 48", write(digest), 48);
        const Bytes extended = eos::crypto::hash(eos::crypto::HashKind::kSha384,
                                                 eos::concat({before, eos::as_bytes(digest)}));
        report_.expect_true("the register is SHA-384(register, digest)", value() == extended);
        report_.expect("write 49: sysfs cuts it", write(std::string(49, 'x')), 48);
        return report_.finish(directory_);
    }

  private:
    void expect_file(const std::string& name, mode_t mode) {
        struct stat status{};
        report_.expect("stat " + name, outcome(::stat((directory_ + "/" + name).c_str(), &status)),
                       0);
        report_.expect("mode of " + name, status.st_mode & 07777, mode);
        report_.expect("size of " + name, status.st_size, 48);
    }
    Bytes value() const {
        File file(path_, O_RDONLY);
        file.read(kLarge);
        return eos::to_bytes(file.content());
    }
    long write(const std::string& value) const { return File(path_, O_WRONLY).write(value); }

    std::string directory_;
    std::string path_;
    Report report_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Whether configfs-tsm behaves as Linux's does.", "tsm-conformance");
    std::string reports = "/sys/kernel/config/tsm/report";
    std::string registers;
    app.add_option("reports", reports)->capture_default_str();
    app.add_option("--extend-registers", registers,
                   "Also the measurement registers in this directory; RTMR3 is extended for good");
    CLI11_PARSE(app, argc, argv);
    const int tsm = TsmConformance(reports).run();
    if (registers.empty()) return tsm;
    return std::max(tsm, RegisterConformance(registers).run());
}
