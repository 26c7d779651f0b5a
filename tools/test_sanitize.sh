#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# Every test under address+undefined; under thread sanitizer those of code that has threads: the boundary, the
# platform, the daemon, what runs on Linux inside a VM, and the whole systems (tests/hostile_host, tests/e2e). The rest
# is pure code that starts none.
set -euo pipefail
jobs=${1:-2}
threaded='^(boundary|trusted_platform|trusted_os|trusted_virtual_(minter|mint_protocol|proxy)|emulation_process|daemon|trusted_mini|hostile|mini_e2e|proxy_e2e|virtual_e2e)'

echo "== asan"
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"
ctest --preset asan -j "$jobs"

echo "== tsan"
cmake --preset tsan >/dev/null
targets=(enclave-os-mini enclave-os-runner-process sgx-quoting-emulator sev-snp-emulator enclavectl state-tamper
         daemon-test-runner echo-enclave-process eos_shifted_clock apps
         enclave-os-minter enclave-os-proxy enclave-os-proxy-unattested enclave-os-attestd-emulated tsm-emulator)
while read -r name; do targets+=("test_$name"); done < <(
  ctest --preset tsan -N -R "$threaded" | sed -n 's/.*Test *#[0-9]*: //p' | grep -v '_e2e')
cmake --build --preset tsan -j "$jobs" --target "${targets[@]}"
# hostile_races scribbles on shared memory from a thread that asks nobody: there are races, that is its point.
ctest --preset tsan -j "$jobs" -R "$threaded" -E '^hostile_races$'
