// SPDX-License-Identifier: AGPL-3.0-only
// What the conformance program cannot see from outside, or only by waiting: faults, latency, a
// provider that goes. The semantics themselves are its business.
#include "emulation/tsm/report_tree.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace eos::emulation::tsm {
namespace {

using namespace std::chrono_literals;

/// Says what it was asked for, as one of the two drivers.
class Echo final : public ReportMaker {
  public:
    std::string provider() const override { return snp ? "sev_guest" : "tdx_guest"; }
    bool has_privilege_levels() const override { return snp; }
    unsigned privilege_level_floor() const override { return floor; }
    Result<MadeReport> make(const ByteArray<64>& report_data, unsigned level) override {
        ++reports;
        privilege_level = level;
        return MadeReport{.outblob = to_bytes(report_data), .auxblob = auxblob};
    }
    bool snp = false;
    unsigned floor = 0;
    Bytes auxblob;
    int reports = 0;
    unsigned privilege_level = 0;
};

/// Time that passes only when somebody sleeps.
struct FakeClock {
    Clock::Point now{1h};

    Clock clock() {
        return {.now = [this] { return now; },
                .sleep = [this](std::chrono::milliseconds time) { now += time; }};
    }
};

/// One entry of a tree with a fault.
struct Scene {
    explicit Scene(const Behaviour& behaviour = {}) : tree(maker, behaviour, time.clock()) {
        EXPECT_EQ(tree.make("e"), 0);
    }
    void write(ByteView value) {
        auto file = tree.open({"e", "inblob"}, O_WRONLY).value();
        tree.write(*file, value, 0);
        tree.close(*file);
    }
    int read(const char* name, const Interrupted& interrupted = {}) {
        auto file = tree.open({"e", name}, O_RDONLY).value();
        return read(*file, interrupted);
    }
    int read(ReportTree::File& file, const Interrupted& interrupted = {}) {
        content.resize(1000);
        const int size = tree.read(file, content, 0, interrupted);
        content.resize(static_cast<std::size_t>(std::max(size, 0)));
        return size;
    }
    int write_level(const char* text) {
        auto file = tree.open({"e", "privlevel"}, O_WRONLY).value();
        return tree.write(*file, as_bytes(std::string_view(text)), 0);
    }
    std::string text(const char* name) {
        read(name);
        return to_string(content);
    }

    Echo maker;
    FakeClock time;
    ReportTree tree;
    Bytes content;
    Bytes asked = Bytes(64, std::byte{0x5a});
};

/// The same of SEV-SNP.
struct SnpScene : Scene {
    explicit SnpScene(const Behaviour& behaviour = {}) : Scene(behaviour) { maker.snp = true; }
};

bool always() {
    return true;
}

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

TEST(ReportTree, what_is_closed_takes_effect_once_and_before_what_comes_later) {
    Scene scene;
    const Bytes first(32, std::byte{1}), second(32, std::byte{2});
    auto file = scene.tree.open({"e", "inblob"}, O_WRONLY).value();
    scene.tree.write(*file, first, 0);
    scene.tree.write(*file, second, 32);
    EXPECT_EQ(scene.text("generation"), "0\n");
    scene.tree.close(*file);
    scene.tree.close(*file);
    EXPECT_EQ(scene.text("generation"), "1\n");
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.content, concat({first, second}));
    scene.write(first);
    scene.write(scene.asked);
    EXPECT_EQ(scene.text("generation"), "3\n");
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.content, scene.asked);
}

TEST(ReportTree, the_privilege_level_is_read_as_the_kernel_does_and_asked_for) {
    SnpScene scene;
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

TEST(ReportTree, a_guest_gets_no_report_of_a_privilege_level_below_its_own) {
    SnpScene scene;
    scene.maker.floor = 2;
    EXPECT_EQ(scene.text("privlevel_floor"), "2\n");
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), -EINVAL) << "a new entry's level is 0";
    EXPECT_EQ(scene.write_level("1"), -EINVAL);
    EXPECT_EQ(scene.write_level("2"), 1);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.maker.privilege_level, 2U);
}

TEST(ReportTree, errors_come_as_ordered) {
    const std::pair<Fault, int> cases[] = {{Fault::kBusy, -EBUSY},
                                           {Fault::kInterrupted, -EINTR},
                                           {Fault::kTimedOut, -ETIMEDOUT},
                                           {Fault::kInputOutput, -EIO},
                                           {Fault::kNoDevice, -ENXIO}};
    for (const auto& [fault, error] : cases) {
        Scene scene({.fault = fault, .fault_every = 2});
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), 64);
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), error);
        EXPECT_EQ(scene.read("outblob"), 64) << "the next attempt";
    }
}

TEST(Tdx, a_signal_ends_the_wait_and_the_host_keeps_the_request) {
    Scene scene({.latency = 700ms});
    scene.write(scene.asked);
    const auto start = scene.time.now;
    EXPECT_EQ(scene.read("outblob", [&] { return scene.time.now - start >= 200ms; }), -EINTR);
    EXPECT_EQ(scene.time.now - start, 200ms);
    EXPECT_EQ(scene.read("outblob"), -EBUSY);
    scene.write(Bytes(10));
    EXPECT_EQ(scene.read("outblob"), -EBUSY) << "the driver looks at its buffer first";
    scene.write(scene.asked);
    scene.time.now = start + 699ms;
    EXPECT_EQ(scene.read("outblob"), -EBUSY);
    scene.time.now = start + 700ms;
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.maker.reports, 1);
    EXPECT_EQ(scene.read("outblob", always), 64) << "nothing to wait for";
}

TEST(Tdx, the_driver_gives_up_after_half_a_minute_and_the_host_keeps_the_request) {
    Scene scene({.latency = 40s});
    scene.write(scene.asked);
    const auto start = scene.time.now;
    EXPECT_EQ(scene.read("outblob"), -ETIMEDOUT);
    EXPECT_EQ(scene.time.now - start, 30s);
    EXPECT_EQ(scene.read("outblob"), -EBUSY);
    scene.time.now = start + 40s;
    EXPECT_EQ(scene.read("outblob"), -ETIMEDOUT) << "as long as before";
}

TEST(Tdx, an_ordered_failure_leaves_the_request_with_the_host_as_well) {
    for (const Fault fault : {Fault::kInterrupted, Fault::kTimedOut}) {
        Scene scene({.latency = 100ms, .fault = fault, .fault_every = 2});
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), 64);
        scene.write(scene.asked);
        EXPECT_LT(scene.read("outblob"), 0);
        EXPECT_EQ(scene.read("outblob"), -EBUSY);
        scene.time.now += 100ms;
        EXPECT_EQ(scene.read("outblob"), 64);
    }
}

TEST(Snp, no_signal_ends_the_wait) {
    SnpScene scene({.latency = 700ms});
    scene.write(scene.asked);
    const auto start = scene.time.now;
    EXPECT_EQ(scene.read("outblob", always), 64);
    EXPECT_EQ(scene.time.now - start, 700ms);
}

TEST(Snp, the_key_to_the_firmware_does_not_survive_a_failure) {
    const std::pair<Fault, int> cases[] = {
        {Fault::kInputOutput, -EIO}, {Fault::kTimedOut, -ETIMEDOUT}, {Fault::kKeyGone, -ENOTTY}};
    for (const auto& [fault, error] : cases) {
        SnpScene scene({.fault = fault, .fault_every = 2});
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), 64);
        EXPECT_EQ(scene.read("auxblob"), 0);
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), error);
        for (int again = 0; again < 3; ++again) EXPECT_EQ(scene.read("outblob"), -ENOTTY);
        EXPECT_EQ(scene.read("auxblob"), -ENOTTY);
        EXPECT_EQ(scene.tree.unregister_provider(), 0);
        EXPECT_EQ(scene.tree.remove("e"), 0);
        EXPECT_EQ(scene.tree.register_provider(), -ENODEV) << "no reload helps";
    }
}

TEST(Snp, other_failures_leave_the_key) {
    for (const Fault fault : {Fault::kBusy, Fault::kInterrupted, Fault::kNoDevice}) {
        SnpScene scene({.fault = fault, .fault_every = 2});
        scene.write(scene.asked);
        EXPECT_EQ(scene.read("outblob"), 64);
        scene.write(scene.asked);
        EXPECT_LT(scene.read("outblob"), 0);
        EXPECT_EQ(scene.read("outblob"), 64);
    }
}

TEST(Snp, a_host_without_certificates_gives_an_empty_auxblob) {
    SnpScene scene;
    scene.write(scene.asked);
    auto file = scene.tree.open({"e", "auxblob"}, O_RDONLY).value();
    EXPECT_EQ(scene.read(*file), 0);
    scene.maker.auxblob = Bytes(48);
    EXPECT_EQ(scene.read(*file), 0) << "of the same report";
    scene.write(scene.asked);
    EXPECT_EQ(scene.read(*file), 48) << "an empty blob is not kept";
    scene.write(scene.asked);
    scene.maker.auxblob = Bytes(24);
    EXPECT_EQ(scene.read(*file), 48) << "another is";
}

TEST(Provider, without_one_there_are_no_new_entries_and_old_ones_give_what_they_have) {
    SnpScene scene;
    scene.write(scene.asked);
    EXPECT_EQ(scene.read("outblob"), 64);
    EXPECT_EQ(scene.tree.unregister_provider(), 0);
    EXPECT_EQ(scene.tree.unregister_provider(), -ENOENT);
    EXPECT_EQ(scene.tree.make("new"), -ENXIO);
    EXPECT_EQ(scene.tree.make("e"), -EEXIST);
    EXPECT_EQ(scene.read("provider"), -ENXIO);
    EXPECT_EQ(scene.read("privlevel_floor"), -ENXIO);
    EXPECT_EQ(scene.write_level("1"), -ENXIO);
    EXPECT_EQ(scene.write_level("x"), -EINVAL);
    EXPECT_EQ(scene.text("generation"), "1\n");
    EXPECT_EQ(scene.read("outblob"), 64) << "the report is there";
    scene.write(scene.asked);
    EXPECT_EQ(scene.text("generation"), "2\n");
    EXPECT_EQ(scene.read("outblob"), -ENXIO);
    EXPECT_EQ(scene.read("auxblob"), -ENXIO);
    EXPECT_EQ(scene.maker.reports, 1);
    scene.write({});
    EXPECT_EQ(scene.read("outblob"), -EINVAL) << "asked first";
}

TEST(Provider, none_is_registered_while_there_are_entries) {
    Scene scene;
    EXPECT_EQ(scene.tree.register_provider(), -EBUSY);
    EXPECT_EQ(scene.tree.unregister_provider(), 0);
    EXPECT_EQ(scene.tree.provider(), "");
    EXPECT_EQ(scene.tree.register_provider(), -EBUSY);
    EXPECT_EQ(scene.tree.remove("e"), 0);
    EXPECT_EQ(scene.tree.register_provider(), 0);
    EXPECT_EQ(scene.tree.provider(), "tdx_guest");
    EXPECT_EQ(scene.tree.make("new"), 0);
}

TEST(Removal, what_was_read_stays_and_what_was_not_is_gone) {
    Scene scene;
    scene.write(scene.asked);
    auto loaded = scene.tree.open({"e", "outblob"}, O_RDONLY).value();
    auto text = scene.tree.open({"e", "generation"}, O_RDONLY).value();
    auto opened = scene.tree.open({"e", "outblob"}, O_RDONLY).value();
    auto inblob = scene.tree.open({"e", "inblob"}, O_WRONLY).value();
    EXPECT_EQ(scene.read(*loaded), 64);
    EXPECT_EQ(scene.read(*text), 2);
    EXPECT_EQ(scene.tree.remove("e"), 0);
    EXPECT_EQ(scene.tree.remove("e"), -ENOENT);
    EXPECT_EQ(scene.read(*loaded), 64);
    EXPECT_EQ(scene.read(*text), 2);
    EXPECT_EQ(scene.read(*opened), -ENOENT);
    EXPECT_EQ(scene.tree.write(*inblob, scene.asked, 0), 64);
    scene.tree.close(*inblob);
    EXPECT_THAT(scene.tree.entries(), ::testing::IsEmpty());
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

TEST(ReportTree, other_inblobs_than_64_bytes_are_refused_by_the_driver) {
    Scene scene;
    EXPECT_EQ(scene.read("outblob"), -EINVAL);
    scene.write(Bytes(63));
    EXPECT_EQ(scene.read("outblob"), -EINVAL);
    EXPECT_EQ(scene.maker.reports, 0);
}

}  // namespace
}  // namespace eos::emulation::tsm
