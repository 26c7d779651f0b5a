# SPDX-License-Identifier: AGPL-3.0-only
# What the acts of the demo share; sourced by them. in: $1, the folder of the programs.
set -euo pipefail

bin=$(cd "$1" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d /tmp/enclave-os-demo.XXXXXX)
port=$((20000 + RANDOM % 12000))  # below what the kernel gives to outgoing connections
pids=()

# Ends what was started after the first N processes, the last one first.
stop_from() {
  local i
  for ((i = ${#pids[@]} - 1; i >= $1; i--)); do kill "${pids[i]}" 2>/dev/null || true; done
  for ((i = ${#pids[@]} - 1; i >= $1; i--)); do wait "${pids[i]}" 2>/dev/null || true; done
  pids=("${pids[@]:0:$1}")
}

finish() {
  local status=$?
  stop_from 0
  if [ $status -eq 0 ]; then
    rm -rf "$work"
    echo; echo "demo: OK"
  else
    echo; echo "demo: FAILED (logs are in $work)" >&2
  fi
}
trap finish EXIT

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
ctl() { "$bin/enclavectl" --home "$work/contexts" "$@"; }
show() { printf '$ enclavectl %s\n' "$*"; ctl "$@"; }
fetch() { curl -sS --max-time 60 --cacert "$work/pki/root.pem" --resolve "$1:$port:127.0.0.1" "https://$1:$port$2"; }

# Waits until the command succeeds, at most two minutes.
await() {
  local what=$1; shift
  for _ in $(seq 1200); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "timed out: $what" >&2; tail -n 20 "$work"/*.log >&2
  return 1
}

# Runs enclavectl and insists on its exit code; what it said is in out.txt.
expect() {
  local expected=$1 code=0; shift
  printf '$ enclavectl %s\n' "$*"
  ctl "$@" >"$work/out.txt" 2>"$work/err.txt" || code=$?
  if [ "$code" -ne "$expected" ]; then
    cat "$work/out.txt" "$work/err.txt"; echo "expected exit code $expected, got $code" >&2
    return 1
  fi
}
