// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/register_conformance.h"

#include <sys/stat.h>

#include <utility>

#include "common/crypto/hash.h"
#include "emulation/tsm/conformance.h"

namespace eos::emulation::tsm {

namespace {

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
        const Bytes extended =
            crypto::hash(crypto::HashKind::kSha384, concat({before, as_bytes(digest)}));
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
        return to_bytes(file.content());
    }
    long write(const std::string& value) const { return File(path_, O_WRONLY).write(value); }

    std::string directory_;
    std::string path_;
    Report report_;
};

}  // namespace

int check_registers(const std::string& directory) {
    return RegisterConformance(directory).run();
}

}  // namespace eos::emulation::tsm
