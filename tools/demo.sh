#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# The main job of Mini, told step by step on loopback. Ends with "demo: OK".
# usage: demo.sh BIN_FOLDER
set -euo pipefail

. "$(dirname "$0")/demo_lib.sh"
apps=$bin/../apps
ops=$((port + 1))

start_mini() {
  : >"$work/mini.log"
  "$bin/enclave-os-mini" run --listen "127.0.0.1:$port" --ops-listen "127.0.0.1:$ops" --state-dir "$work/state" \
    --quote-socket "$work/aesm.sock" --drain-timeout 2 \
    --runner-arg=--identity --runner-arg="$work/platform/cpu.identity" >"$work/mini.log" 2>&1 &
  mini=$!; pids+=("$mini")
}
stop_mini() { kill "$mini"; wait "$mini" || true; }
is_serving() { grep -q 'evidence ready' "$work/mini.log"; }

say "An emulated SGX platform: CPU identity, quoting enclave and a provisioning PKI of its own. It protects nothing."
run "$bin/sgx-quoting-emulator" init --dir "$work/platform" >/dev/null
"$bin/sgx-quoting-emulator" serve --dir "$work/platform" --socket "$work/aesm.sock" >"$work/quoting.log" 2>&1 &
pids+=($!)
await "the quoting emulator" test -S "$work/aesm.sock"

say "A private PKI: its root signs the CA of your enclaves, its owner key manages them"
show pki --dir "$work/pki" init --organization Demo | head -n 2

say "Start Mini: the untrusted daemon, and the enclave program behind the boundary"
start_mini
await "the first quote" is_serving
mrenclave=$(sed -n 's/.*MRENCLAVE \([0-9a-f]\{64\}\).*/\1/p' "$work/mini.log" | head -n 1)
token=$(sed -n 's/.*provisioning token \([0-9a-f]\{32\}\).*/\1/p' "$work/mini.log" | tail -n 1)
echo "it measures itself as $mrenclave"

say "Your demands: exactly this program, on this emulated platform"
show policy init --name demo --mrenclave "$mrenclave" --test-root "$work/platform/root.pem" --out "$work/policy.json"
ctl context add demo --address "127.0.0.1:$port" --server-name mini.example.test --policy "$work/policy.json" \
  --root "$work/pki/root.pem" --owner-key "$work/pki/owner.key" --collateral "$work/platform/collateral.json" >/dev/null

say "Verify the enclave, which has no owner yet, and take ownership: nothing is sent before the verdict"
show mini provision --pki "$work/pki" --token "$token" --platform-name mini.example.test --permit example.test

say "Load an app, compiled from C for wasm32-wasi, under a host name of its own"
cp "$apps/hello-cgi.wasm" "$work/hello.wasm"
show app load hello "$work/hello.wasm" --hostname hello.example.test --public-env GREETING=hello --env API_KEY=secret |
  grep -E 'loaded|digest|hostname'

say "Any HTTPS client can use it: curl, with nothing but the root CA"
echo "\$ curl --cacert root.pem https://hello.example.test:$port/"
fetch hello.example.test / | head -n 12

say "A client who wants proof: this app, this enclave, in this very handshake"
show policy init --name hello --mrenclave "$mrenclave" --test-root "$work/platform/root.pem" \
  --workload "$work/hello.wasm" --out "$work/hello.json"
expect 10 verify "https://127.0.0.1:$port" --server-name hello.example.test --policy "$work/hello.json"
cat "$work/out.txt"

say "Change the app by one byte and load it again, while a connection verified before stays open"
"$root/tools/demo_held_connection.py" hello.example.test "$port" "$work/pki/root.pem" "$work/held" &
held=$!
await "the held connection" test -e "$work/held.ready"
printf '\0\1\0' >>"$work/hello.wasm"   # an empty custom section: other bytes, same behaviour
show app load hello "$work/hello.wasm" --hostname hello.example.test --public-env GREETING=hello --env API_KEY=secret |
  grep -E 'loaded'
wait "$held"
echo "the old connection was closed: nothing sent under the old proof is answered by the new code"
expect 22 verify "https://127.0.0.1:$port" --server-name hello.example.test --policy "$work/hello.json"
sed -n '1p' "$work/out.txt"
grep -A 4 '✗ .*workload_digest' "$work/out.txt" || grep -A 4 '✗' "$work/out.txt"

say "Restart: owner, CA and app are still there"
stop_mini
start_mini
await "the first quote" is_serving
fetch hello.example.test / | head -n 1
show mini status | grep -E 'generation|apps|instance_id'
show app list | grep -E 'name|digest'

say "The host tampers with the sealed records, through the database, so that its own checksums hold"
stop_mini
cp -r "$work/state" "$work/state.good"
for act in flip swap delete; do
  rm -rf "$work/state"; cp -r "$work/state.good" "$work/state"
  run "$bin/state-tamper" "$work/state" "$act" | tail -n 1
  start_mini
  await "the refusal" grep -q 'sealed state refused' "$work/mini.log"
  grep -o 'sealed state refused.*' "$work/mini.log" | head -n 1
  wait "$mini" || true
done
rm -rf "$work/state"; cp -r "$work/state.good" "$work/state"
start_mini
await "the first quote" is_serving
echo "the untouched copy opens again"

say "The host puts a whole older directory back: no counter backs the state yet, so the enclave cannot notice; a client that saw newer state does"
show app unload hello >/dev/null
show mini status | grep generation
stop_mini
rm -rf "$work/state"; mv "$work/state.good" "$work/state"
start_mini
await "the first quote" is_serving
expect 24 mini status
sed -n '1p' "$work/out.txt"
grep -A 3 '✗ state_rollback' "$work/out.txt"
stop_mini
