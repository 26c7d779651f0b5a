// SPDX-License-Identifier: AGPL-3.0-only
#include "bench/evidence_peers.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/base/assert.h"

namespace eos::client {
namespace {

// What the program prints, at most a line.
std::string output_of(const std::filesystem::path& program, std::vector<std::string> arguments) {
    int ends[2];
    EOS_ASSERT(::pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    arguments.insert(arguments.begin(), program.string());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    const int failed =
        ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    std::string out;
    if (failed == 0) {
        char buffer[512];
        for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
            out.append(buffer, static_cast<std::size_t>(n));
        ::waitpid(child, nullptr, 0);
    }
    ::close(ends[0]);
    return out.substr(0, std::min(out.find('\n'), out.size()));
}

}  // namespace

Peers Peers::find() {
    Peers out;
    const char* folder = std::getenv("EOS_BENCH_PEERS");
    std::error_code error;
    if (folder != nullptr) {
        for (const auto& entry : std::filesystem::directory_iterator(folder, error))
            if (entry.is_regular_file(error)) out.programs_.push_back(entry.path());
    }
    std::ranges::sort(out.programs_);
    if (out.programs_.empty()) {
        std::puts(
            "no peers (EOS_BENCH_PEERS, bench/peers/README.md): what they took when they were "
            "there is in docs/performance.md");
    }
    return out;
}

void Peers::compare(const std::filesystem::path& folder, const EvidenceCase& one,
                    double ours_us) const {
    for (const std::filesystem::path& program : programs_) {
        const std::string said =
            output_of(program, {folder / one.files.at(0), folder / one.files.at(1),
                                std::to_string(one.time->seconds)});
        double us = 0;
        if (std::sscanf(said.c_str(), "cold %lf", &us) == 1 && us > 0) {
            std::printf("%-22s %-28s %6.0f us; ours is %.2f of it\n", one.id.c_str(),
                        program.filename().c_str(), us, ours_us / us);
        } else {
            std::printf("%-22s %-28s %s\n", one.id.c_str(), program.filename().c_str(),
                        said.empty() ? "did not answer" : said.c_str());
        }
    }
}

}  // namespace eos::client
