// SPDX-License-Identifier: AGPL-3.0-only
// configfs-tsm in memory, evidence that parses, and a clock that moves when somebody sleeps.
#pragma once

#include <cerrno>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/crypto/p256.h"
#include "trusted/virtual/evidence/tsm_report.h"

namespace eos::emulation::snp {
class SyntheticAmd;
}

namespace eos::cvm::testing {

inline constexpr UnixTime kNow{1'780'000'000};

/// Report data for a key that nobody has.
inline ratls::ReportData some_report_data(UnixTime minute = kNow) {
    static const auto key = crypto::P256PrivateKey::generate();
    return ratls::ReportData::v1_deterministic(key.public_key(), minute);
}

/// A quote of an emulated trust domain over `inblob`, of version 4 or 5.
enum class QuoteVersion { k4, k5 };
Bytes td_quote(ByteView inblob, QuoteVersion version = QuoteVersion::k4);

/// The one emulated chip of this test program.
emulation::snp::SyntheticAmd& amd();

/// A report of it over `inblob`, without its table.
Bytes snp_report(ByteView inblob);

/// The table that its host has.
Bytes snp_table();

/// Time that passes only when somebody sleeps.
struct FakeTime {
    std::chrono::steady_clock::time_point now{std::chrono::hours(1)};
    int sleeps = 0;

    Waiting waiting() {
        return {.now = [this] { return now; },
                .sleep =
                    [this](std::chrono::milliseconds time) {
                        now += time;
                        ++sleeps;
                    }};
    }
    Deadline in(std::chrono::milliseconds time) const { return now + time; }
};

/// What the fake kernel has and does; tests alter it.
struct FakeKernel {
    struct Item {
        std::uint64_t generation = 0;
        Bytes inblob;
    };

    std::string provider = "tdx_guest";  ///< empty: none
    std::map<std::string, Item> items;
    std::vector<int> outblob_errors;  ///< given first, one a read
    std::function<Bytes(ByteView inblob)> report = [](ByteView inblob) { return td_quote(inblob); };
    Bytes aux;
    int make_error = 0;
    std::function<void(Item&)> after_inblob = [](Item&) {};
    std::function<void(Item&)> after_outblob = [](Item&) {};
    std::size_t largest_inblob = 0;
    int entries_made = 0;
};

/// The semantics that production code relies on; emulation/tsm has all of them.
class FakeTsm final : public TsmDirectory {
  public:
    explicit FakeTsm(FakeKernel& kernel) : kernel_(kernel) {}

    SystemResult<void> make(const std::string& entry) override {
        if (kernel_.make_error != 0) return std::unexpected(Errno{kernel_.make_error});
        if (kernel_.provider.empty()) return std::unexpected(Errno{ENXIO});
        if (!kernel_.items.try_emplace(entry).second) return std::unexpected(Errno{EEXIST});
        ++kernel_.entries_made;
        return {};
    }
    void remove(const std::string& entry) override { kernel_.items.erase(entry); }
    std::vector<std::string> entries() override {
        std::vector<std::string> out;
        for (const auto& [name, item] : kernel_.items) out.push_back(name);
        return out;
    }

    SystemResult<Bytes> read(const TsmAttribute& attribute, std::size_t limit) override {
        FakeKernel::Item& item = kernel_.items.at(attribute.entry);
        const std::string name = attribute.name;
        if (name == "generation") return to_bytes(std::to_string(item.generation) + "\n");
        if (name == "provider" && kernel_.provider.empty()) return std::unexpected(Errno{ENXIO});
        if (name == "provider") return to_bytes(kernel_.provider + "\n");
        if (name == "auxblob") return cut(kernel_.aux, limit);
        if (!kernel_.outblob_errors.empty()) {
            const int error = kernel_.outblob_errors.front();
            kernel_.outblob_errors.erase(kernel_.outblob_errors.begin());
            return std::unexpected(Errno{error});
        }
        Bytes out = kernel_.report(item.inblob);
        kernel_.after_outblob(item);
        return cut(std::move(out), limit);
    }

    SystemResult<void> write(const TsmAttribute& attribute, ByteView value) override {
        FakeKernel::Item& item = kernel_.items.at(attribute.entry);
        item.inblob = to_bytes(value);
        ++item.generation;
        kernel_.largest_inblob = std::max(kernel_.largest_inblob, value.size());
        kernel_.after_inblob(item);
        return {};
    }
    SystemResult<void> may_write(const TsmAttribute&) override { return {}; }

  private:
    static Bytes cut(Bytes bytes, std::size_t limit) {
        if (bytes.size() > limit) bytes.resize(limit + 1);
        return bytes;
    }

    FakeKernel& kernel_;
};

}  // namespace eos::cvm::testing
