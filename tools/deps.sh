#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# Lists the Debian packages a target needs, says which are missing, and installs those.
# usage: deps.sh build|test|bench
set -euo pipefail

build=(g++ cmake ninja-build make pkg-config python3 git ca-certificates curl jq openssl
       libssl-dev librocksdb-dev libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
       libseccomp-dev libfuse3-dev libyaml-cpp-dev node-llhttp libnghttp2-dev wabt libgtest-dev libgmock-dev
       clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 nginx-light python3-grpcio)
test=(universal-ctags xz-utils clang-format-19 clang-tidy-19 libclang-rt-19-dev ccache haproxy gnutls-bin nghttp2-server python3-h2)
# A Node.js from elsewhere brings its headers along and does not go together with Debian's.
[ -e /usr/include/node/node_api.h ] || test+=(nodejs libnode-dev)
bench=(haproxy caddy)  # and nginx, which the demo has serve something

case "${1:-build}" in
  build) want=("${build[@]}") ;;
  test)  want=("${build[@]}" "${test[@]}") ;;
  bench) want=("${build[@]}" "${bench[@]}") ;;
  *) echo "usage: $0 build|test|bench" >&2; exit 2 ;;
esac

missing=()
for package in "${want[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

echo "missing packages: ${missing[*]}"
run=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install them as root: apt-get install ${missing[*]}" >&2; exit 1; }
  run=(sudo)
fi
# A package must not start its service: peers are started by the benchmark itself, on loopback.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${run[@]}" tee "$policy" >/dev/null
  "${run[@]}" chmod +x "$policy"
  trap '"${run[@]}" rm -f "$policy"' EXIT
fi
"${run[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "installed."
