// SPDX-License-Identifier: AGPL-3.0-only
// A small enclave program for tests of the process back end: echoes what connections bring, and on
// connections with an id from kCommandIds does what the text says, answering with bytes.
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>

#include "boundary/endpoint.h"
#include "common/base/assert.h"
#include "common/crypto/random.h"
#include "common/sgx_arch/key_request.h"
#include "emulation/process/runner.h"
#include "trusted/platform/platform.h"

namespace eos {
namespace {

using boundary::ConnData;
using boundary::DataToHost;
using boundary::FromHost;
using platform::Platform;

Bytes text(const std::string& value) {
    return to_bytes(std::string_view(value));
}

Bytes report_to(Platform& platform, const platform::TargetInfo& target) {
    auto outcome = platform.report(target, platform::ReportData{std::byte{7}});
    return outcome ? to_bytes(*outcome) : text(std::string(outcome.error().code().name));
}

Bytes report(Platform& platform) {
    sgx_arch::TargetInfo target{.attributes = {.flags = sgx_arch::kAttributeInit}};
    return report_to(platform, sgx_arch::encode(target));
}

Bytes report_to_a_lie(Platform& platform) {
    platform::TargetInfo target;
    target.fill(std::byte{0xff});
    return report_to(platform, target);
}

Bytes seal_key(Platform& platform) {
    sgx_arch::KeyRequest request{.key_name = sgx_arch::kKeyNameSeal,
                                 .key_policy = sgx_arch::kKeyPolicyMrEnclave,
                                 .attribute_mask = {.flags = 3}};
    auto key = platform.get_key(sgx_arch::encode(request));
    return key ? to_bytes(key->view()) : text(std::string(key.error().code().name));
}

Bytes refused(Platform& platform) {
    auto calls = platform.refused_calls();
    return text(std::to_string(calls.file_opens) + " " + std::to_string(calls.others));
}

// What an enclave may do without leaving; afterwards the test asks for the refused calls.
Bytes use_libraries(Platform& platform) {
    Bytes out = text("time " + std::to_string(std::time(nullptr)) + " pid " +
                     std::to_string(getpid()) + " env " + (std::getenv("PATH") ? "yes" : "no"));
    ByteArray<32> random{};
    platform.random(random);
    crypto::fill_random(random);
    std::vector<Bytes> blocks;
    for (int i = 0; i < 200; ++i) blocks.emplace_back(1 << 20);
    blocks.front().resize(64 << 20);
    EVP_MD* md = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
    append(out, text(md != nullptr ? " sha256" : " nothing"));
    EVP_MD_free(md);
    return out;
}

Bytes open_a_file(Platform& platform) {
    std::ifstream file("/etc/hostname");
    std::string outcome = file.is_open() ? "opened" : std::strerror(errno);
    return concat({text(outcome + ", refused "), refused(platform)});
}

Bytes network_through_libc(Platform&) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return text(fd >= 0 ? "socket" : std::strerror(errno));
}

// Each of these must end the process; an answer is a hole.
Bytes attempt(long outcome) {
    return text("survived with " + std::to_string(outcome));
}
Bytes raw_socket(Platform&) {
    return attempt(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
}
Bytes raw_exec(Platform&) {
    const char* const arguments[] = {"/bin/true", nullptr};
    return attempt(syscall(SYS_execve, arguments[0], arguments, arguments + 1));
}
Bytes raw_ptrace(Platform&) {
    return attempt(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
}
Bytes raw_fork(Platform&) {
    return attempt(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
Bytes executable_memory(Platform&) {
    void* at = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return attempt(reinterpret_cast<long>(at));
}
Bytes make_executable(Platform&) {
    void* at = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return attempt(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}
Bytes map_the_block_again(Platform&) {
    return attempt(reinterpret_cast<long>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, 3, 0)));
}
Bytes write_elsewhere(Platform&) {
    return attempt(write(1, "12345678", 8));
}
Bytes write_more(Platform&) {
    return attempt(write(4, "1234567812345678", 16));
}
Bytes replace_the_handler(Platform&) {
    return attempt(reinterpret_cast<long>(std::signal(SIGSYS, SIG_IGN)));
}
Bytes kill_another(Platform&) {
    return attempt(syscall(SYS_kill, 1, 0));
}
Bytes abort_by_platform(Platform& platform) {
    platform.abort(platform::AbortReason::kInternal);
    return text("survived");
}
Bytes abort_by_assertion(Platform&) {
    EOS_ASSERT(std::time(nullptr) < 0);
    return text("survived");
}

using Command = Bytes (*)(Platform&);
const std::map<std::string, Command, std::less<>> kCommands = {
    {"report", report},
    {"report_to_a_lie", report_to_a_lie},
    {"seal_key", seal_key},
    {"refused", refused},
    {"use_libraries", use_libraries},
    {"open_a_file", open_a_file},
    {"network_through_libc", network_through_libc},
    {"raw_socket", raw_socket},
    {"raw_exec", raw_exec},
    {"raw_ptrace", raw_ptrace},
    {"raw_fork", raw_fork},
    {"executable_memory", executable_memory},
    {"make_executable", make_executable},
    {"map_the_block_again", map_the_block_again},
    {"write_elsewhere", write_elsewhere},
    {"write_more", write_more},
    {"replace_the_handler", replace_the_handler},
    {"kill_another", kill_another},
    {"abort_by_platform", abort_by_platform},
    {"abort_by_assertion", abort_by_assertion},
};

class Worker {
  public:
    Worker(Platform& platform, boundary::TrustedWorkerEndpoint& endpoint)
        : platform_(platform), endpoint_(endpoint) {}

    // Until Shutdown; a violated ring ends the enclave.
    boundary::Exit::Why run() {
        for (;;) {
            auto data = endpoint_.receive_data();
            auto rpc = endpoint_.receive_rpc();
            if (!data || !rpc) return boundary::Exit::Why::kBoundaryViolated;
            if (*rpc) return boundary::Exit::Why::kRequested;
            if (*data) {
                answer(**std::move(data));
                continue;
            }
            endpoint_.wait(boundary::kNoTimeout, [] { return false; });
        }
    }

  private:
    void answer(boundary::FromHostData message) {
        auto* data = std::get_if<FromHost<ConnData>>(&message);
        if (data == nullptr) return;
        ConnData in = std::move(*data).take_unverifiable("an echo believes everything");
        auto command = kCommands.find(as_chars(in.bytes));
        Bytes out = command == kCommands.end() ? to_bytes(in.bytes) : command->second(platform_);
        DataToHost reply(ConnData{.conn_id = in.conn_id, .bytes = out});
        for (;;) {
            auto pushed = endpoint_.send(reply);
            if (!pushed) platform_.abort(platform::AbortReason::kBoundaryViolated);
            if (*pushed == boundary::Push::kDone) return;
            endpoint_.wait(boundary::kNoTimeout, [] { return false; });
        }
    }

    Platform& platform_;
    boundary::TrustedWorkerEndpoint& endpoint_;
};

}  // namespace

boundary::Exit::Why enclave_main(Platform& platform) {
    auto layout = boundary::Layout::open(platform.shared_block());
    std::atomic<boundary::Exit::Why> why = boundary::Exit::Why::kRequested;
    platform::run_workers(layout->worker_count(), [&](unsigned worker) {
        boundary::TrustedWorkerEndpoint endpoint(*layout, worker, platform);
        boundary::Exit::Why mine = Worker(platform, endpoint).run();
        if (mine != boundary::Exit::Why::kRequested) why = mine;
        (void)endpoint.send(boundary::RpcToHost(boundary::Exit{.why = mine}));
        endpoint.flush();
    });
    return why;
}

}  // namespace eos

int main(int argc, char** argv) {
    return eos::emulation::process::run({argv, static_cast<std::size_t>(argc)});
}
