// SPDX-License-Identifier: AGPL-3.0-only
// tsm-conformance: whether a directory behaves as Linux's configfs-tsm does, and a measurement
// register as Linux's sysfs shows it. For the real ones and the emulated ones alike; what it
// expects was taken from transcripts of Linux 6.12 and from the source of Linux 6.16.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

#include "emulation/tsm/register_conformance.h"
#include "emulation/tsm/report_conformance.h"

namespace tsm = eos::emulation::tsm;

int main(int argc, char** argv) {
    CLI::App app("Whether configfs-tsm behaves as Linux's does.", "tsm-conformance");
    std::string reports = "/sys/kernel/config/tsm/report";
    std::string registers;
    bool interrupt = false;
    app.add_option("reports", reports)->capture_default_str();
    app.add_flag("--interrupt", interrupt,
                 "Also whether a signal ends the wait for a report, on a machine where one takes "
                 "half a second or more, as tdx_guest's do");
    app.add_option("--extend-registers", registers,
                   "Also the measurement registers in this directory; RTMR3 is extended for good");
    CLI11_PARSE(app, argc, argv);
    const auto check = interrupt ? tsm::InterruptCheck::kYes : tsm::InterruptCheck::kNo;
    const int found = tsm::check_reports(reports, check);
    if (registers.empty()) return found;
    return std::max(found, tsm::check_registers(registers));
}
