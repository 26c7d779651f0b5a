// SPDX-License-Identifier: AGPL-3.0-only
// Runs a fuzz target over its seed corpus, so that `make test` replays every input ever kept.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

// Each target's LLVMFuzzerTestOneInput, under the name that the build gives it: X(json) X(jwt) …
#define X(name) extern "C" int fuzz_##name(const std::uint8_t* data, std::size_t size);
EOS_FUZZ_TARGETS
#undef X

namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);

Target find_target(std::string_view wanted) {
#define X(name) \
    if (wanted == #name) return fuzz_##name;
    EOS_FUZZ_TARGETS
#undef X
    return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
    const Target target = argc == 3 ? find_target(argv[1]) : nullptr;
    if (target == nullptr || !std::filesystem::is_directory(argv[2])) {
        std::fprintf(stderr, "usage: %s TARGET CORPUS_FOLDER (both must exist)\n", argv[0]);
        return 2;
    }
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(argv[2])) {
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
        target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
        ++count;
    }
    if (count == 0) {
        std::fprintf(stderr, "%s: the corpus is empty\n", argv[2]);
        return 1;
    }
    std::printf("%d inputs replayed\n", count);
    return 0;
}
