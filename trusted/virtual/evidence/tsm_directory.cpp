// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tsm_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace eos::cvm {

namespace {

std::unexpected<Errno> system_failure() {
    return std::unexpected(Errno{errno});
}

class ConfigfsDirectory final : public TsmDirectory {
  public:
    explicit ConfigfsDirectory(os::UniqueFd fd) : fd_(std::move(fd)) {}

    SystemResult<void> make(const std::string& entry) override {
        if (::mkdirat(fd_.get(), entry.c_str(), 0700) != 0) return system_failure();
        return {};
    }

    void remove(const std::string& entry) override {
        ::unlinkat(fd_.get(), entry.c_str(), AT_REMOVEDIR);
    }

    std::vector<std::string> entries() override {
        std::vector<std::string> out;
        const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
        std::error_code error;
        for (std::filesystem::directory_iterator it(path, error), end;
             !error && it != end && out.size() < kMaxListedEntries; it.increment(error))
            out.push_back(it->path().filename().string());
        return out;
    }

    SystemResult<Bytes> read(const TsmAttribute& attribute, std::size_t limit) override {
        const os::UniqueFd file = open(attribute, O_RDONLY);
        if (!file.valid()) return system_failure();
        Bytes out(limit + 1);
        std::size_t size = 0;
        while (size < out.size()) {
            const ssize_t got = ::read(file.get(), out.data() + size, out.size() - size);
            if (got < 0) return system_failure();
            if (got == 0) break;
            size += static_cast<std::size_t>(got);
        }
        out.resize(size);
        return out;
    }

    SystemResult<void> write(const TsmAttribute& attribute, ByteView value) override {
        os::UniqueFd file = open(attribute, O_WRONLY);
        if (!file.valid()) return system_failure();
        // One call: a register and an inblob are taken whole or not at all.
        const ssize_t written = ::write(file.get(), value.data(), value.size());
        if (written < 0) return system_failure();
        if (static_cast<std::size_t>(written) != value.size()) return std::unexpected(Errno{EIO});
        return {};
    }

    SystemResult<void> may_write(const TsmAttribute& attribute) override {
        if (!open(attribute, O_WRONLY).valid()) return system_failure();
        return {};
    }

  private:
    os::UniqueFd open(const TsmAttribute& attribute, int flags) const {
        const std::string path = attribute.entry + "/" + attribute.name;
        return os::UniqueFd(::openat(fd_.get(), path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW));
    }

    os::UniqueFd fd_;
};

}  // namespace

std::string describe(Errno error) {
    const char* name = ::strerrorname_np(error.value);
    if (name == nullptr) return "error " + std::to_string(error.value);
    return std::string(name) + " (" + ::strerrordesc_np(error.value) + ")";
}

SystemResult<std::unique_ptr<TsmDirectory>> open_tsm_directory(const std::string& path) {
    os::UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return system_failure();
    return std::make_unique<ConfigfsDirectory>(std::move(fd));
}

}  // namespace eos::cvm
