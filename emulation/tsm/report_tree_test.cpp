// SPDX-License-Identifier: AGPL-3.0-only
// What the conformance program cannot see from outside: faults and latency. The semantics
// themselves are its business.
#include "emulation/tsm/report_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace eos::emulation::tsm {
namespace {

/// Says what it was asked for.
class Echo final : public ReportMaker {
  public:
    std::string provider() const override { return "tdx_guest"; }
    bool has_privilege_levels() const override { return true; }
    Result<MadeReport> make(const ByteArray<64>& report_data, unsigned level) override {
        ++reports;
        privilege_level = level;
        return MadeReport{.outblob = to_bytes(report_data), .auxblob = {}};
    }
    int reports = 0;
    unsigned privilege_level = 0;
};

/// One entry of a tree with a fault.
struct Scene {
    explicit Scene(const Behaviour& behaviour = {}) : tree(maker, behaviour) {
        EXPECT_EQ(tree.make("e"), 0);
    }
    void write(ByteView value) {
        auto file = tree.open({"e", "inblob"}, O_WRONLY).value();
        tree.write(*file, value, 0);
        tree.close(*file);
    }
    int read(const char* name) {
        auto file = tree.open({"e", name}, O_RDONLY).value();
        content.resize(1000);
        const int size = tree.read(*file, content, 0);
        content.resize(static_cast<std::size_t>(std::max(size, 0)));
        return size;
    }

    Echo maker;
    ReportTree tree;
    Bytes content;
    Bytes asked = Bytes(64, std::byte{0x5a});
};

TEST(ReportTree, a_report_is_made_once_per_inblob) {
    Scene scene;
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.content, scene.asked);
    EXPECT_EQ(scene.maker.reports, 1);
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.maker.reports, 2);
}

TEST(ReportTree, duplicates_of_a_file_are_one_change) {
    Scene scene;
    const Bytes first(32, std::byte{1}), second(32, std::byte{2});
    auto file = scene.tree.open({"e", "inblob"}, O_WRONLY).value();
    scene.tree.write(*file, first, 0);
    scene.tree.close(*file);  // of a duplicate
    scene.tree.write(*file, second, 32);
    scene.tree.close(*file);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.content, concat({first, second}));
    scene.read("generation");
    EXPECT_EQ(as_chars(scene.content), "1\n");
}

TEST(ReportTree, the_privilege_level_is_read_as_the_kernel_does_and_asked_for) {
    Scene scene;
    scene.write(scene.asked);
    auto file = scene.tree.open({"e", "privlevel"}, O_WRONLY).value();
    for (const char* text : {"2", "2\n", "0x2", "+2", "02"}) {
        EXPECT_GT(scene.tree.write(*file, as_bytes(std::string_view(text)), 0), 0) << text;
        EXPECT_EQ(scene.read("outblob"), 64);
        EXPECT_EQ(scene.maker.privilege_level, 2U) << text;
    }
    for (const char* text : {"", "4", "-1", "0x", "08", "2 ", "++2"}) {
        EXPECT_EQ(scene.tree.write(*file, as_bytes(std::string_view(text)), 0), -EINVAL) << text;
    }
    EXPECT_EQ(scene.tree.remove("e"), 0);
    EXPECT_EQ(scene.tree.write(*file, as_bytes(std::string_view("1")), 0), -ENOENT);
}

TEST(ReportTree, errors_come_as_ordered) {
    const std::pair<Fault, int> cases[] = {{Fault::kBusy, -EBUSY},
                                           {Fault::kInterrupted, -EINTR},
                                           {Fault::kTimedOut, -ETIMEDOUT},
                                           {Fault::kProviderGone, -ENXIO}};
    for (const auto& [fault, error] : cases) {
        Scene scene({.fault = fault, .fault_every = 2});
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), 64);
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), error);
        EXPECT_EQ(scene.read("outblob"), 64) << "the next attempt";
    }
}

TEST(ReportTree, a_fault_can_come_and_go) {
    const std::string file = ::testing::TempDir() + "fault-" + std::to_string(::getpid());
    Scene scene({.fault = Fault::kTimedOut, .fault_file = file});
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), 64);
    std::ofstream(file).close();
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), -ETIMEDOUT);
    std::filesystem::remove(file);
    EXPECT_EQ(scene.read("outblob"), 64);
}

TEST(ReportTree, a_wrong_report_is_about_one_other_bit) {
    Scene scene({.fault = Fault::kWrongReport});
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_NE(scene.content, scene.asked);
    scene.content[0] ^= std::byte{1};
    EXPECT_EQ(scene.content, scene.asked);
}

TEST(ReportTree, a_wrong_generation_shows) {
    Scene scene({.fault = Fault::kWrongGeneration});
    scene.write(scene.asked);
    scene.read("generation");
    EXPECT_EQ(to_string(scene.content), "1\n");
    EXPECT_EQ(scene.read("outblob"), 64);
    scene.read("generation");
    EXPECT_EQ(to_string(scene.content), "2\n");
}

TEST(ReportTree, a_report_takes_its_time) {
    using namespace std::chrono;
    Scene scene({.latency = milliseconds(50)});
    scene.write(scene.asked);
    const auto start = steady_clock::now();
    scene.read("outblob");
    EXPECT_GE(steady_clock::now() - start, milliseconds(50));
}

TEST(ReportTree, other_inblobs_than_64_bytes_are_refused_by_the_driver) {
    Scene scene;
    EXPECT_EQ(scene.read("outblob"), -EINVAL);
    scene.write(Bytes(63));
    EXPECT_EQ(scene.read("outblob"), -EINVAL);
    EXPECT_EQ(scene.maker.reports, 0);
}

}  // namespace
}  // namespace eos::emulation::tsm
