// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/doctor.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "common/base/time.h"
#include "untrusted/daemon/quote_client.h"
#include "untrusted/daemon/shared_block.h"
#include "untrusted/daemon/state_directory.h"
#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

namespace fs = std::filesystem;
using Verdict = Finding::Verdict;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kNeededBytes = 64 * kMiB;
constexpr std::uint64_t kComfortableBytes = 1024 * kMiB;
constexpr UnixTime kEarliestSaneTime{1735689600};  // 2025-01-01: older than this program
constexpr UnixTime kLatestSaneTime{4102444800};    // 2100-01-01
constexpr Milliseconds kQuoteSourcePatience{10'000};
constexpr Milliseconds kSlowQuoteSource{1'000};

Finding ok(std::string subject, std::string text) {
    return {Verdict::kOk, std::move(subject), std::move(text), {}};
}

Finding examine_user() {
    if (::geteuid() != 0) return ok("user", "not root");
    return {Verdict::kWarn, "user", "running as root, which nothing here needs",
            "run as a user of its own, as packaging/systemd/enclave-os-mini.service does"};
}

Finding examine_state_directory(const fs::path& directory) {
    std::error_code error;
    if (fs::exists(fs::symlink_status(directory, error))) {
        auto checked = check_state_directory(directory);
        if (checked) return ok("state directory", directory.string());
        return {Verdict::kFail, "state directory", checked.error().message(),
                "name another with --state-dir, or correct this one"};
    }
    const fs::path parent = fs::absolute(directory, error).parent_path();
    if (::access(parent.c_str(), W_OK | X_OK) == 0) {
        return ok("state directory", directory.string() + " will be made at the first start");
    }
    return {Verdict::kFail, "state directory", system_error_text(parent.string()),
            "make " + directory.string() + " for this user with mode 0700, or use --state-dir"};
}

Finding examine_disk(const fs::path& directory) {
    std::error_code error;
    fs::path place = fs::absolute(directory, error);
    while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
    struct statvfs info{};
    if (::statvfs(place.c_str(), &info) != 0) {
        return {Verdict::kFail, "disk", system_error_text(place.string()), "check --state-dir"};
    }
    const std::uint64_t free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
    const std::string text = std::to_string(free_bytes / kMiB) + " MiB free at " + place.string();
    if (free_bytes >= kComfortableBytes) return ok("disk", text);
    return {free_bytes < kNeededBytes ? Verdict::kFail : Verdict::kWarn, "disk", text,
            "free space there; 1 GiB is comfortable"};
}

/// The process that holds RocksDB's lock, or 0.
pid_t lock_holder(const fs::path& database) {
    UniqueFd fd(::open((database / "LOCK").c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (!fd || ::fcntl(fd.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
    return lock.l_pid;
}

Finding examine_database(const fs::path& directory) {
    const fs::path database = directory / "blobs";
    std::error_code error;
    if (!fs::exists(database / "CURRENT", error)) {
        return ok("database", "none yet: the next start is a first start");
    }
    if (auto probed = BlobDatabase::probe({.directory = database}); !probed) {
        return {Verdict::kFail, "database", probed.error().message(),
                "restore the whole state directory from a backup (docs/operator-guide.md)"};
    }
    if (pid_t holder = lock_holder(database); holder != 0) {
        return {Verdict::kWarn, "database",
                "in use by process " + std::to_string(holder) + ", perhaps a running daemon",
                "stop that process before another daemon is started on this directory"};
    }
    return ok("database", "opens");
}

Finding examine_quote_source(const std::string& socket) {
    QuoteClient client(socket);
    const auto started = std::chrono::steady_clock::now();
    auto info = client.target_info(started + kQuoteSourcePatience);
    if (!info) {
        return {Verdict::kFail, "quote source", info.error().message(),
                "start aesmd (or sgx-quoting-emulator), let this user reach its socket, or name "
                "another with --quote-socket; without it no handshake is answered"};
    }
    const auto took =
        std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - started);
    const std::string text = socket + " answers; target info took " + std::to_string(took.count()) +
                             " ms (a quote needs a report of the enclave: its log says how long)";
    if (took < kSlowQuoteSource) return ok("quote source", text);
    return {Verdict::kWarn, "quote source", text, "the source is slow: handshakes in mode B wait"};
}

Finding examine_runner(const std::string& path) {
    std::error_code error;
    if (fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0) {
        return ok("runner", path);
    }
    return {Verdict::kFail, "runner", path + " is no file that this user can execute",
            "install it beside enclave-os-mini, or name it with --runner"};
}

Finding examine_kernel() {
    const auto missing = [](const std::string& what) {
        return Finding{Verdict::kFail, "kernel", what + " is not available",
                       "Linux 5.9 or later is needed, without a filter around this process that "
                       "takes these calls away"};
    };
    if (!SharedBlock::create({})) return missing("a sealed memfd");
    UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!pid_fd) return missing("pidfd_open");
    std::uint32_t word = 0;
    if (::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0) != 0) {
        return missing("futex");
    }
    std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
        return missing("seccomp");
    }
    return ok("kernel", "sealed memfd, pidfd, futex and seccomp are there");
}

class NoSink : public AcceptSink {
  public:
    void on_accept(UniqueFd /*socket*/, const SocketAddress& /*peer*/) override {}
};

Finding examine_port(const std::string& subject, const std::string& text) {
    EventLoop loop;
    NoSink sink;
    auto address = parse_address(text);
    if (!address) {
        return {Verdict::kFail, subject, address.error().message(), "correct the option"};
    }
    auto listener = Listener::open(loop, sink, *address);
    if (listener) return ok(subject, (*listener)->address().text() + " can be listened on");
    return {Verdict::kFail, subject, listener.error().message(), "choose another address or port"};
}

Finding examine_clock() {
    const UnixTime now{::time(nullptr)};
    if (now < kEarliestSaneTime || now > kLatestSaneTime) {
        return {Verdict::kFail, "clock", "it says Unix time " + std::to_string(now.seconds),
                "set the clock: certificates and quotes are valid for a time"};
    }
    timex state{};
    if (::adjtimex(&state) < 0 || (state.status & STA_UNSYNC) != 0) {
        return {Verdict::kWarn, "clock",
                rfc3339(now) +
                    ", not synchronised as far as the kernel "
                    "knows",
                "run a time service such as systemd-timesyncd or chrony"};
    }
    return ok("clock", rfc3339(now) + ", synchronised");
}

Finding examine_descriptors(std::size_t max_connections) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < max_connections + 256) {
        return {Verdict::kWarn, "descriptors",
                "the hard limit is " + std::to_string(limit.rlim_max) + ", for " +
                    std::to_string(max_connections) + " connections",
                "raise LimitNOFILE of the unit, or lower --max-connections"};
    }
    return ok("descriptors", "enough for " + std::to_string(max_connections) + " connections");
}

}  // namespace

std::vector<Finding> examine(const DaemonOptions& options) {
    std::vector<Finding> out;
    out.push_back(examine_user());
    out.push_back(examine_kernel());
    out.push_back(examine_descriptors(options.max_connections));
    out.push_back(examine_state_directory(options.state_directory));
    out.push_back(examine_disk(options.state_directory));
    out.push_back(examine_database(options.state_directory));
    out.push_back(examine_runner(options.runner.path));
    out.push_back(examine_quote_source(options.quote_socket));
    out.push_back(examine_port("listen", options.listen));
    if (options.ops_listen) out.push_back(examine_port("ops-listen", *options.ops_listen));
    out.push_back(examine_clock());
    return out;
}

std::string render(const std::vector<Finding>& findings) {
    std::string out;
    for (const Finding& finding : findings) {
        const char* word = finding.verdict == Verdict::kOk     ? "ok    "
                           : finding.verdict == Verdict::kWarn ? "warn  "
                                                               : "fail  ";
        out += word + finding.subject + ": " + finding.text + "\n";
        if (!finding.remedy.empty()) out += "      -> " + finding.remedy + "\n";
    }
    return out;
}

bool has_failure(const std::vector<Finding>& findings) {
    return std::ranges::any_of(findings,
                               [](const Finding& f) { return f.verdict == Verdict::kFail; });
}

}  // namespace eos::daemon
