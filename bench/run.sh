#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# Every benchmark, one after the other. A missed target is printed, it fails nothing.
# usage: run.sh BUILD_FOLDER [--short, or other arguments of mini_bench.py and proxy_bench.py]
set -euo pipefail

bin=$(cd "$1/bin" && pwd); shift
here=$(cd "$(dirname "$0")" && pwd)

printf '== the boundary: ring round trips\n'
timeout 120 "$bin/bench-boundary-ring"
printf '\n== minting a leaf (P9)\n'
timeout 120 "$bin/bench-leaf-mint"
printf '\n== verifying evidence: multiples of its signatures (P3)\n'
timeout 300 "$bin/bench-evidence-verify" "${EOS_EVIDENCE_DIR:-$here/../../shared/evidence}"
printf '\n== Mini as a whole beside nginx\n'
"$here/mini_bench.py" "$bin" --json "$bin/.." "$@"
printf '\n== the proxy beside nginx, HAProxy and Caddy\n'
"$here/proxy_bench.py" "$bin" --json "$bin/.." "$@"
