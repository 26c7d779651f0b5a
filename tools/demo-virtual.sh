#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# The main job of Virtual, told step by step on loopback, in an emulated guest of TDX and then of SEV-SNP: attested TLS
# in front of services that were never changed. Ends with "demo: OK".
# usage: demo-virtual.sh BIN_FOLDER
set -euo pipefail

code=0
lacks=$("$1/tsm-emulator" check 2>&1) || code=$?
if [ $code -eq 77 ]; then
  echo "skipped: the act of the confidential VM: $lacks"
  echo "demo: OK"
  exit 0
fi
[ $code -eq 0 ] || { echo "$lacks" >&2; exit 1; }

. "$(dirname "$0")/demo_lib.sh"
web=$((port + 1)) chat=$((port + 2)) echo=$((port + 3))

say "Three services that know nothing of all this: Debian's nginx, a WebSocket echo and a gRPC echo"
cat >"$work/nginx.conf" <<END
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
  access_log off; client_body_temp_path $work/nginx-body; proxy_temp_path $work/nginx-proxy; fastcgi_temp_path $work/nginx-fcgi;
  uwsgi_temp_path $work/nginx-uwsgi; scgi_temp_path $work/nginx-scgi;
  server { listen 127.0.0.1:$web; location / { return 200 "hello from a service that nobody changed\n"; } }
}
END
nginx -e "$work/nginx.log" -c "$work/nginx.conf" &
pids+=($!)
"$root/tools/demo_websocket.py" serve "$chat" &
pids+=($!)
"$root/tools/demo_grpc.py" serve "127.0.0.1:$echo" >"$work/grpc.log" &
pids+=($!)
await "the gRPC service" grep -q serving "$work/grpc.log"
services=${#pids[@]}
await "nginx" curl -sS "http://127.0.0.1:$web/"

say "Emulated vendors, with roots of this installation. They protect nothing."
run "$bin/tsm-emulator" init "$work/guests" >/dev/null
of_guest() { jq -r ".identity[0].$2" "$work/guests/$1/policy.json"; }
say "Your demands, the same for both kinds of machine: this trust domain, or this guest of SEV-SNP"
roots=(--test-root "$work/guests/tdx/root.pem" --test-root "$work/guests/snp-genoa/root.pem")
"$bin/tsm-emulator" collateral "$work/guests" --out "$work/tdx-collateral.json" >/dev/null
ctl bundle make --import "$work/tdx-collateral.json" --import "$work/guests/snp-genoa/collateral.json" \
  "${roots[@]}" --out "$work/bundle.json" >/dev/null
pins=(--mrtd "$(of_guest tdx mr_td)" --rtmr1 "$(of_guest tdx rtmr1)" --rtmr2 "$(of_guest tdx rtmr2)"
      --snp-measurement "$(of_guest snp-genoa measurement)" "${roots[@]}")
echo "\$ enclavectl policy init --mrtd … --rtmr1 … --rtmr2 … --snp-measurement … --test-root … --test-root …"
ctl policy init --name service "${pins[@]}" --out "$work/policy.json"

write_config() {  # one file for minter and proxy; $1: lines more for the route
  cat >"$work/virtual.yaml" <<END
version: 1
platform:
  name: vm.example.test
  listen: [{address: "127.0.0.1:$port"}]
  policy: {drain_time_s: 5}
  limits: {connections: 1000}
routes:
  - name: web
    hostname: web.example.test
    upstream: {tcp: "127.0.0.1:$web"}
${1:-}
  - name: chat
    hostname: chat.example.test
    upstream: {tcp: "127.0.0.1:$chat"}
  - name: echo
    hostname: echo.example.test
    upstream: {tcp: "127.0.0.1:$echo", protocol: http2}
END
}

# in: what tsm-emulator calls the machine, and people do
act() {
  local tee=$1 name=$2 state=$work/state-$1
  rm -rf "$work/contexts" "$work/pki"
  mkdir -m 0700 "$state"
  write_config
  say "An emulated $name machine boots: the minter (CA key, evidence, no network) and the proxy (sockets)"
  echo "\$ enclave-os-minter run --config virtual.yaml   and   enclave-os-proxy run minter.sock"
  "$bin/tsm-emulator" run "$work/guests" --tee "$tee" -- "$bin/enclave-os-minter" run --config "$work/virtual.yaml" \
    --state "$state" --socket "$work/minter.sock" --policy-log "$state/policy-log.json" --proxy-user "$(id -u)" \
    >"$work/minter-$tee.log" 2>&1 &
  pids+=($!)
  await "the minter" test -S "$work/minter.sock"
  "$bin/enclave-os-proxy" run "$work/minter.sock" --minter-user "$(id -u)" >"$work/proxy-$tee.log" 2>&1 &
  proxy=$!; pids+=("$proxy")
  await "the proxy" grep -q listening "$work/proxy-$tee.log"

  say "Verify the machine, which has no owner yet, and take ownership: the CA key is born in it, its request carries evidence"
  local token
  token=$(sed -n 's/.*provisioning_token.*"token":"\([0-9a-f]\{32\}\)".*/\1/p;s/.*token=\([0-9a-f]\{32\}\).*/\1/p' "$work/minter-$tee.log" | tail -n 1)
  show pki --dir "$work/pki" init --organization Demo | head -n 2
  ctl context add vm --address "127.0.0.1:$port" --server-name vm.example.test --policy "$work/policy.json" \
    --root "$work/pki/root.pem" --owner-key "$work/pki/owner.key" --collateral "$work/bundle.json" >/dev/null
  show mini provision --pki "$work/pki" --token "$token" --platform-name vm.example.test --permit example.test

  say "Any HTTPS client can use these services: curl, a WebSocket client and gRPC's own library, with nothing but the root CA"
  echo "\$ curl --cacert root.pem https://web.example.test:$port/"
  await "the first leaf" fetch web.example.test /
  fetch web.example.test /
  run "$root/tools/demo_websocket.py" say "is anybody there?" chat.example.test "$port" "$work/pki/root.pem"
  run "$root/tools/demo_grpc.py" say "is anybody there?" echo.example.test "$port" "$work/pki/root.pem"

  say "A client who wants proof, by the policy from above"
  local route
  for route in web chat echo; do
    expect 10 verify "https://127.0.0.1:$port" --server-name $route.example.test --policy "$work/policy.json" \
      --collateral "$work/bundle.json"
    if [ $route = web ]; then cat "$work/out.txt"; else sed -n 1p "$work/out.txt"; fi
  done

  say "Pin the route's whole configuration, then change it, while a connection verified before stays open"
  local pinned
  pinned=$(ctl --json verify "https://127.0.0.1:$port" --server-name web.example.test --policy "$work/policy.json" \
    --collateral "$work/bundle.json" | jq -r '.. | .workload_config_root? // empty') || true
  echo "its configuration root, from its certificate: $pinned"
  ctl policy init --name pinned "${pins[@]}" --require "workload_config_root=$pinned" --out "$work/pinned.json" >/dev/null
  expect 10 verify "https://127.0.0.1:$port" --server-name web.example.test --policy "$work/pinned.json" \
    --collateral "$work/bundle.json"
  rm -f "$work/held.ready"
  "$root/tools/demo_held_connection.py" web.example.test "$port" "$work/pki/root.pem" "$work/held" &
  local held=$!
  await "the held connection" test -e "$work/held.ready"
  write_config "    max_body_bytes: 1048576"
  run kill -HUP "$proxy"
  wait "$held"
  echo "the old connection was closed: nothing sent under the old proof is served under the new one"
  await "the new leaf" fetch web.example.test /
  expect 22 verify "https://127.0.0.1:$port" --server-name web.example.test --policy "$work/pinned.json" \
    --collateral "$work/bundle.json"
  sed -n '1p' "$work/out.txt"
  grep -A 4 '✗ .*workload_config_root' "$work/out.txt" || { cat "$work/out.txt"; return 1; }
  if [[ $tee == tdx* ]]; then
    say "TDX has registers that only grow: every policy was measured there before it was served. The machine shows the log"
    echo "\$ curl --cacert root.pem https://web.example.test:$port/.well-known/enclave-os/policy-log >policy-log.json"
    fetch web.example.test /.well-known/enclave-os/policy-log >"$work/policy-log.json"
    expect 10 --json verify "https://127.0.0.1:$port" --server-name web.example.test --policy "$work/policy.json" \
      --collateral "$work/bundle.json" --event-log "$work/guests/tdx/boot-log.json" --event-log "$work/policy-log.json"
    jq -r '.. | objects | select((.id? // "") | test("^event_log[.](rtmr3|policy_root)$")) |
           "  \(.verdict)  \(.id)  \(.notes // [] | join("; "))"' "$work/out.txt"
  fi
  stop_from "$services"
  await "the minter's end" test ! -e "$work/minter.sock"
}

act tdx-v4 "Intel TDX"
act snp-genoa "AMD SEV-SNP"
