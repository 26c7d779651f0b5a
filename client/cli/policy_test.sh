#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# usage: policy_test.sh ENCLAVECTL: a policy in YAML wherever a policy is read, and `policy convert`.
set -euo pipefail
enclavectl=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
digest=$(printf '7%.0s' $(seq 64))
cat > p.yaml <<END
version: 1
name: shop            # for people
roots: {vendor: [intel]}
identity:
  - mr_enclave: "$digest"
waivers: [tcb.level, crl.root]
END
sed "s/\"$digest\"/$digest/" p.yaml > unquoted.yml
sed 's/^waivers/waiver/' p.yaml > unknown.yaml
cp p.yaml p.txt

expect() {  # expect EXIT PATTERN ARGUMENT…: what a command must end with and print
    local code=0 output
    output=$("$enclavectl" "${@:3}" 2>&1) || code=$?
    [ "$code" = "$1" ] || { echo "FAIL  ${*:3}: exit code $code, not $1: $output"; exit 1; }
    grep -Eq -- "$2" <<< "$output" || { echo "FAIL  ${*:3}: no '$2' in: $output"; exit 1; }
}
hash_of() { "$enclavectl" policy show "$1" | grep -o 'sha256:.*'; }

expect 0 "\"mr_enclave\": \"$digest\"" policy convert p.yaml
"$enclavectl" policy convert p.yaml > p.json
"$enclavectl" policy convert p.json | cmp - p.json
"$enclavectl" policy convert --help | grep -q 'as the library reads it'
[ "$(hash_of p.yaml)" = "$(hash_of p.json)" ] || { echo "FAIL  two hashes"; exit 1; }
expect 0 'the policies demand the same' policy diff p.yaml p.json

refusal='unquoted\.yml: line 5, column 17: identity\[0\]\.mr_enclave: .*quote it if it is text'
expect 1 "$refusal" policy convert unquoted.yml
expect 1 "$refusal" policy show unquoted.yml
expect 1 "$refusal" policy diff p.json unquoted.yml
expect 1 "$refusal" rehearse unquoted.yml p.txt
expect 1 "$refusal" verify p.txt --policy unquoted.yml
expect 1 'a member is not known here: unknown\.yaml: line 6, column 1: waiver$' policy show unknown.yaml
expect 1 'p\.txt: at byte [0-9]+; a policy in YAML is named \.yaml or \.yml' policy show p.txt
expect 1 'p\.txt: ' verify p.txt --policy p.yaml
expect 3 'connect' verify https://127.0.0.1:1 --policy p.yaml
echo "ok"
