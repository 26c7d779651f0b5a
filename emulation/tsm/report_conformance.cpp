// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/report_conformance.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "common/base/codec.h"
#include "emulation/tsm/conformance.h"

namespace eos::emulation::tsm {

namespace {

constexpr unsigned kMaxPrivilegeLevel = 3;

/// SIGALRM again and again, so that one comes while a system call waits.
class Ticking {
  public:
    Ticking() {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGALRM, &action, &before_);
        constexpr timeval kTick{.tv_sec = 0, .tv_usec = 50'000};
        const itimerval timer{.it_interval = kTick, .it_value = kTick};
        ::setitimer(ITIMER_REAL, &timer, nullptr);
    }
    Ticking(const Ticking&) = delete;
    Ticking& operator=(const Ticking&) = delete;
    ~Ticking() {
        const itimerval none{};
        ::setitimer(ITIMER_REAL, &none, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

  private:
    struct sigaction before_{};
};

/// What to do if not even an entry can be made.
std::string advice(long error) {
    switch (-error) {
        case ENXIO:
            return "no provider is registered: load the module tdx_guest or sev-guest";
        case ENOENT:
            return "there is no such directory: mount configfs on /sys/kernel/config and load the "
                   "module tdx_guest or sev-guest, in a TDX or SEV-SNP guest";
        case EACCES:
        case EPERM:
            return "run this as root";
        default:
            return "this is no configfs-tsm";
    }
}

/// The VMPL of an SEV-SNP report over `report_data`, or -1 for anything else.
/// source: AMD 56860, ATTESTATION_REPORT.
long vmpl_of(const std::string& report, const std::string& report_data) {
    constexpr std::size_t kVmplAt = 0x30;
    constexpr std::size_t kReportDataAt = 0x50;
    constexpr std::size_t kReportSize = 0x4a0;
    if (report.size() != kReportSize) return -1;
    if (report.compare(kReportDataAt, report_data.size(), report_data) != 0) return -1;
    Reader reader(as_bytes(report).subspan(kVmplAt));
    return reader.u32le().value_or(0);
}

/// The checks of one entry, in the order of a life.
class TsmConformance {
  public:
    TsmConformance(std::string root, InterruptCheck interrupt)
        : root_(std::move(root)),
          entry_(root_ + "/conformance-" + std::to_string(::getpid())),
          interrupt_(interrupt) {}

    int run() {
        const long made = outcome(::mkdir(entry_.c_str(), 0755));
        if (made < 0) {
            std::printf("FAILED mkdir %s: %s: %s. Nothing else was checked.\n", entry_.c_str(),
                        text(made).c_str(), advice(made).c_str());
            return 1;
        }
        report_.expect("mkdir again", outcome(::mkdir(entry_.c_str(), 0755)), -EEXIST);
        fresh();
        access();
        privilege_level();
        one_write();
        outblob();
        odd_writes();
        duplicates();
        old_descriptor();
        if (interrupt_ == InterruptCheck::kYes) interrupted_wait();
        changed_modes();
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
    void expect_generation(const std::string& when) {
        report_.expect("generation " + when, value("generation"),
                       std::to_string(generation_) + "\n");
    }

    void expect_mode(const std::string& name, mode_t mode) {
        struct stat status{};
        report_.expect("stat " + name, outcome(::stat(path(name).c_str(), &status)), 0);
        report_.expect("mode of " + name, status.st_mode & 07777, mode);
    }
    void expect_file(const std::string& name, mode_t mode, off_t size) {
        expect_mode(name, mode);
        struct stat status{};
        ::stat(path(name).c_str(), &status);
        report_.expect("size of " + name, status.st_size, size);
    }
    bool is_listed() const {
        bool found = false;
        ::DIR* directory = ::opendir(root_.c_str());
        while (const ::dirent* entry = directory == nullptr ? nullptr : ::readdir(directory))
            found = found || root_ + "/" + entry->d_name == entry_;
        if (directory != nullptr) ::closedir(directory);
        return found;
    }

    void fresh() {
        const std::string provider = value("provider");
        sev_ = provider == "sev_guest\n";
        report_.expect_true("provider is tdx_guest or sev_guest: " + provider,
                            sev_ || provider == "tdx_guest\n");
        report_.expect_true("readdir lists the entry", is_listed());
        expect_file("generation", 0444, 4096);
        expect_file("provider", 0444, 4096);
        expect_file("inblob", 0200, 0);
        expect_file("outblob", 0444, 0);
        struct stat status{};
        for (const char* name : {"auxblob", "privlevel", "privlevel_floor"})
            report_.expect("stat " + std::string(name),
                           outcome(::stat(path(name).c_str(), &status)), sev_ ? 0 : -ENOENT);
        expect_generation("fresh");
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

    long write_level(const std::string& level) const {
        return File(path("privlevel"), O_WRONLY).write(level);
    }

    /// A level that the guest may ask for: at VMPL 2 there is no report of a lower one.
    void privilege_level() {
        File level(path("privlevel"), O_WRONLY);
        report_.expect("open privlevel", level.opened(), sev_ ? 0 : -ENOENT);
        if (!sev_) return;
        const std::string floor = value("privlevel_floor");
        const unsigned long lowest = std::strtoul(floor.c_str(), nullptr, 10);
        report_.expect("privlevel_floor", floor, std::to_string(lowest) + "\n");
        report_.expect_true("privlevel_floor is at most 3", lowest <= kMaxPrivilegeLevel);
        report_.expect("write 9 to privlevel", level.write("9"), -EINVAL);
        if (lowest > 0)
            report_.expect("write less than privlevel_floor", write_level("0"), -EINVAL);
        expect_generation("after a bad privlevel");
        level_ = std::max(lowest, 1UL);
        report_.expect("write to privlevel", write_level(std::to_string(level_) + "\n"), 2);
        ++generation_;
        expect_generation("after privlevel");
    }

    void one_write() {
        File in(path("inblob"), O_WRONLY);
        report_.expect("write 64", in.write(std::string(64, 'A')), 64);
        expect_generation("after write, before close");
        in.close();
        ++generation_;
        expect_generation("after close");
    }

    void outblob() {
        File out(path("outblob"), O_RDONLY);
        const long size = out.read(kLarge);
        report_.expect_true("outblob has content: " + text(size), size > 0);
        report_.expect_true("outblob holds the 64 bytes",
                            out.content().find(std::string(64, 'A')) != std::string::npos);
        if (sev_) snp_blobs(out.content());
        report_.expect("outblob ends", out.read(10), 0);
        expect_generation("after outblob");
        File again(path("outblob"), O_RDONLY);
        report_.expect("short read", again.read(100), 100);
        report_.expect("next short read", again.read(100), 100);
    }

    void snp_blobs(const std::string& report) {
        const long vmpl = vmpl_of(report, std::string(64, 'A'));
        if (vmpl < 0) report_.not_checked("the VMPL: outblob is no report of SEV-SNP");
        if (vmpl >= 0) report_.expect("VMPL of the report", vmpl, static_cast<long>(level_));
        File auxiliary(path("auxblob"), O_RDONLY);
        report_.expect("open auxblob", auxiliary.opened(), 0);
        const long size = auxiliary.read(kLarge);
        report_.expect_true("auxblob can be read, if to nothing: " + text(size), size >= 0);
        report_.expect("auxblob ends", auxiliary.read(10), 0);
    }

    void odd_writes() {
        {
            File in(path("inblob"), O_WRONLY);
            report_.expect("write 65", in.write(std::string(65, 'B')), -EFBIG);
        }
        ++generation_;
        expect_generation("after a write of 65 bytes that failed");
        {
            File in(path("inblob"), O_WRONLY);
            report_.expect("write 32", in.write(std::string(32, 'B')), 32);
            report_.expect("write 32 more", in.write(std::string(32, 'B')), 32);
        }
        ++generation_;
        expect_generation("after two writes and one close");
        {
            File in(path("inblob"), O_WRONLY | O_TRUNC);
            report_.expect("open to truncate", in.opened(), 0);
            report_.expect("write 10", in.write(std::string(10, 'C')), 10);
        }
        ++generation_;
        expect_generation("after 10 bytes");
        // A provider that wants 64 bytes says so only now; one made for tests may take 10.
        File out(path("outblob"), O_RDONLY);
        const long size = out.read(kLarge);
        report_.expect_true("outblob of 10 bytes: " + text(size), size == -EINVAL || size > 0);
        {
            const File untouched(path("inblob"), O_WRONLY);
        }
        expect_generation("after open and close without write");
    }

    void duplicates() {
        File in(path("inblob"), O_WRONLY);
        report_.expect("write 32", in.write(std::string(32, 'd')), 32);
        const int copy = ::dup(in.fd());
        report_.expect("write 16 to a duplicate", outcome(::write(copy, "dddddddddddddddd", 16)),
                       16);
        ::close(copy);
        expect_generation("after the close of a duplicate");
        report_.expect("write the rest", in.write(std::string(16, 'd')), 16);
        in.close();
        ++generation_;
        expect_generation("after the last close");
        File out(path("outblob"), O_RDONLY);
        out.read(kLarge);
        report_.expect_true("outblob holds what was written through both",
                            out.content().find(std::string(64, 'd')) != std::string::npos);
    }

    void write_inblob(char fill) {
        File in(path("inblob"), O_WRONLY);
        in.write(std::string(64, fill));
        ++generation_;
    }

    void old_descriptor() {
        write_inblob('D');
        File out(path("outblob"), O_RDONLY);
        report_.expect("read 50 of outblob", out.read(50), 50);
        write_inblob('E');
        expect_generation("after two more");
        const long rest = out.read(kLarge);
        report_.expect_true("the rest of the older outblob: " + text(rest), rest > 0);
        report_.expect_true("an open outblob stays the older one",
                            out.content().find(std::string(64, 'E')) == std::string::npos);
    }

    long read_while_signals_come() {
        File out(path("outblob"), O_RDONLY);
        const Ticking signals;
        return out.read(kLarge);
    }

    /// A signal ends the wait of tdx_guest for its host, who keeps the request until it has
    /// answered. sev_guest waits for the firmware whatever comes.
    void interrupted_wait() {
        constexpr int kAttempts = 5;  // the machine may be quicker than a signal at times
        long found = 1;
        for (int i = 0; found > 0 && i < (sev_ ? 1 : kAttempts); ++i) {
            write_inblob(static_cast<char>('a' + i));
            found = read_while_signals_come();
        }
        if (sev_) {
            report_.expect_true("no signal ends the wait for outblob: " + text(found), found > 0);
            return;
        }
        report_.expect("a signal ends the wait for outblob", found, -EINTR);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        long next = -EBUSY;
        while (next == -EBUSY && std::chrono::steady_clock::now() < deadline) {
            next = File(path("outblob"), O_RDONLY).read(kLarge);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        report_.expect_true("then EBUSY, if anything, and outblob again: " + text(next), next > 0);
    }

    /// configfs lets modes be changed and goes by them, for root, too; what there is no function
    /// for stays impossible.
    void changed_modes() {
        const std::string out = path("outblob");
        const std::string in = path("inblob");
        report_.expect("chmod 0222 outblob", outcome(::chmod(out.c_str(), 0222)), 0);
        expect_mode("outblob", 0222);
        report_.expect("open it to read", File(out, O_RDONLY).opened(), -EACCES);
        report_.expect("open it to write", File(out, O_WRONLY).opened(), -EACCES);
        report_.expect("chmod 0444 outblob", outcome(::chmod(out.c_str(), 0444)), 0);
        report_.expect("open it again", File(out, O_RDONLY).opened(), 0);
        report_.expect("chmod 0600 inblob", outcome(::chmod(in.c_str(), 0600)), 0);
        report_.expect("open it to read", File(in, O_RDONLY).opened(), -EACCES);
        report_.expect("chmod 0700 entry", outcome(::chmod(entry_.c_str(), 0700)), 0);
        expect_mode("", 0700);
        report_.expect("chown", outcome(::chown(in.c_str(), ::geteuid(), ::getegid())), 0);
        const timespec times[2]{{.tv_sec = 1'000, .tv_nsec = 0}, {.tv_sec = 2'000, .tv_nsec = 0}};
        report_.expect("utimensat", outcome(::utimensat(AT_FDCWD, in.c_str(), times, 0)), 0);
        struct stat status{};
        ::stat(in.c_str(), &status);
        report_.expect("time of change", status.st_mtim.tv_sec, 2'000);
    }

    void others() {
        const std::string in = path("inblob");
        const std::string other = path("other");
        report_.expect("create a file", File(path("foo"), O_CREAT | O_WRONLY).opened(), -EACCES);
        report_.expect("unlink inblob", outcome(::unlink(in.c_str())), -EPERM);
        report_.expect("mkdir inside", outcome(::mkdir(path("sub").c_str(), 0755)), -EPERM);
        report_.expect("rename inblob", outcome(::rename(in.c_str(), other.c_str())), -EPERM);
        report_.expect("rename the entry",
                       outcome(::rename(entry_.c_str(), (entry_ + "-other").c_str())), -EPERM);
        report_.expect("link", outcome(::link(in.c_str(), other.c_str())), -EPERM);
        report_.expect("symlink", outcome(::symlink("inblob", other.c_str())), -EPERM);
        report_.expect("mkfifo", outcome(::mkfifo(other.c_str(), 0600)), -EPERM);
    }

    /// What was read once can be read on; what was only opened is gone.
    void removal() {
        write_inblob('F');
        File begun(path("outblob"), O_RDONLY);
        report_.expect("read 50 of outblob", begun.read(50), 50);
        File generation(path("generation"), O_RDONLY);
        report_.expect("read 1 of generation", generation.read(1), 1);
        File in(path("inblob"), O_WRONLY);
        File out(path("outblob"), O_RDONLY);
        report_.expect("rmdir with open files", outcome(::rmdir(entry_.c_str())), 0);
        report_.expect("read of an outblob that was not read before", out.read(10), -ENOENT);
        const long rest = begun.read(kLarge);
        report_.expect_true("read of one that was: " + text(rest), rest > 0);
        const long digits = generation.read(256);
        report_.expect_true("read of a generation that was: " + text(digits), digits > 0);
        report_.expect("write to inblob", in.write(std::string(64, 'G')), 64);
        report_.expect("rmdir again", outcome(::rmdir(entry_.c_str())), -ENOENT);
    }

    std::string root_;
    std::string entry_;
    InterruptCheck interrupt_;
    bool sev_ = false;
    unsigned long level_ = 0;
    int generation_ = 0;
    Report report_;
};

}  // namespace

int check_reports(const std::string& directory, InterruptCheck interrupt) {
    return TsmConformance(directory, interrupt).run();
}

}  // namespace eos::emulation::tsm
