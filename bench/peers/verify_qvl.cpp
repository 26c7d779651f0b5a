// SPDX-License-Identifier: AGPL-3.0-only
// A peer of bench-evidence-verify: Intel's quote verification library. README.md says how it is
// called and what it prints.
#include <SgxEcdsaAttestation/QuoteVerification.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

constexpr int kRounds = 11;
constexpr int kCallsPerRound = 50;

double cpu_us() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

std::string read(const char* file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// What its caller has to find out before it can be called: not measured.
struct Inputs {
    std::string quote;
    std::string pck_chain, pck, root, pck_crl, root_crl;
    std::string tcb_info, tcb_chain, identity, identity_chain;
    time_t at;
};

std::string signed_json(const nlohmann::json& bundle, const char* name, const char* member) {
    return std::string("{\"") + member + "\":" + bundle[name].get<std::string>() +
           ",\"signature\":\"" + bundle[std::string(name) + "_signature"].get<std::string>() +
           "\"}";
}

std::string last_certificate(const std::string& chain) {
    return chain.substr(chain.rfind("-----BEGIN CERTIFICATE-----"));
}

Inputs load(char** arguments) {
    const auto bundle = nlohmann::json::parse(read(arguments[2]));
    Inputs in{.quote = read(arguments[1]),
              .pck_chain = {},
              .pck = {},
              .root = last_certificate(bundle["tcb_info_issuer_chain"]),
              .pck_crl = bundle["pck_crl"],
              .root_crl = bundle["root_ca_crl"],
              .tcb_info = signed_json(bundle, "tcb_info", "tcbInfo"),
              .tcb_chain = bundle["tcb_info_issuer_chain"],
              .identity = signed_json(bundle, "qe_identity", "enclaveIdentity"),
              .identity_chain = bundle["qe_identity_issuer_chain"],
              .at = std::atoll(arguments[3])};
    // In quotes of all versions, the only text.
    const std::size_t begin = in.quote.find("-----BEGIN CERTIFICATE-----");
    if (begin == std::string::npos) return in;
    constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
    in.pck_chain = in.quote.substr(begin, in.quote.rfind(kEnd) + kEnd.size() - begin) + "\n";
    in.pck = in.pck_chain.substr(0, in.pck_chain.find(kEnd) + kEnd.size()) + "\n";
    return in;
}

// Whether a status says that the evidence is genuine, however old the platform is.
bool is_genuine(int status) {
    constexpr std::array kOld{STATUS_OK,
                              STATUS_TCB_OUT_OF_DATE,
                              STATUS_TCB_CONFIGURATION_NEEDED,
                              STATUS_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
                              STATUS_TCB_SW_HARDENING_NEEDED,
                              STATUS_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED};
    return std::ranges::find(kOld, status) != kOld.end();
}

// Everything that verify_quote() of ours does: chain, both lists, TCB info, identity, quote.
const char* failure(const Inputs& in) {
    const char* lists[] = {in.root_crl.c_str(), in.pck_crl.c_str()};
    if (sgxAttestationVerifyPCKCertificate(in.pck_chain.c_str(), lists, in.root.c_str(), &in.at) !=
        STATUS_OK)
        return "PCK certificate";
    if (sgxAttestationVerifyTCBInfo(in.tcb_info.c_str(), in.tcb_chain.c_str(), in.root_crl.c_str(),
                                    in.root.c_str(), &in.at) != STATUS_OK)
        return "TCB info";
    if (sgxAttestationVerifyEnclaveIdentity(in.identity.c_str(), in.identity_chain.c_str(),
                                            in.root_crl.c_str(), in.root.c_str(),
                                            &in.at) != STATUS_OK)
        return "QE identity";
    const int status =
        sgxAttestationVerifyQuote(reinterpret_cast<const std::uint8_t*>(in.quote.data()),
                                  static_cast<std::uint32_t>(in.quote.size()), in.pck.c_str(),
                                  in.pck_crl.c_str(), in.tcb_info.c_str(), in.identity.c_str());
    return is_genuine(status) ? nullptr : "quote";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 || !std::string(argv[2]).ends_with(".json")) {
        std::puts("refused takes Intel's only: EVIDENCE COLLATERAL.json TIME");
        return 0;
    }
    const Inputs in = load(argv);
    if (const char* why = failure(in)) {
        std::printf("refused %s\n", why);
        return 0;
    }
    std::vector<double> rounds;
    for (int i = 0; i < kRounds; ++i) {
        const double start = cpu_us();
        for (int j = 0; j < kCallsPerRound; ++j) {
            if (failure(in) != nullptr) return 1;
        }
        rounds.push_back((cpu_us() - start) / kCallsPerRound);
    }
    std::ranges::sort(rounds);
    std::printf("cold %.1f\n", rounds[kRounds / 2]);
    return 0;
}
