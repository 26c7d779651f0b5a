#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# usage: foreign_test.sh ENCLAVECTL [EVIDENCE]: `verify` of other projects' certificates and of virtual TPMs' evidence, which lie in
# EVIDENCE or where EOS_EVIDENCE_DIR says; without them: skipped.
set -euo pipefail
enclavectl=$1
corpus=${EOS_EVIDENCE_DIR:-${2:-}}
[ -f "$corpus/index.json" ] || { echo "skipped: no corpus (EOS_EVIDENCE_DIR)"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

policy() {  # policy VENDOR TEE PRODUCT-RULE: of whoever has read docs/evidence.md
    cat <<END
version: 1
name: certificates of other projects
roots: {vendor: [$1]}
tees: [$2]
allow_any_identity: i-understand-any-enclave-is-accepted
bindings: [report-data]
require_leaf_binding: false
waivers: [assurance, crl.ark]
tcb: {statuses: [UpToDate, SWHardeningNeeded]}
$3
END
}
policy intel sgx '' > sgx.yaml
policy amd snp 'snp: {products: [milan]}' > snp.yaml
sed 's/report-data/v1-deterministic/' sgx.yaml > ours.yaml
sed '/require_leaf_binding/d' sgx.yaml > bound.yaml

expect() {  # expect EXIT PATTERN ARGUMENT…: what `verify` must end with and print
    local code=0 output
    output=$("$enclavectl" --home "$folder/home" verify "${@:3}" 2>&1) || code=$?
    [ "$code" = "$1" ] || { echo "FAIL  ${*:3}: exit code $code, not $1: $output"; exit 1; }
    grep -Eq -- "$2" <<< "$output" || { echo "FAIL  ${*:3}: no '$2' in: $output"; exit 1; }
}

# A certificate: Azure's, of Open Enclave's form, in DER and in PEM.
maa=(--collateral "$corpus/CCF/collateral/ratls-maa-ccf.json" --at 2025-06-19T09:22:21Z)
der=$corpus/CCF/ra-tls/maa-nested-cert.der
openssl x509 -inform der -in "$der" -out maa.pem
expect 0 'report_data: open-enclave' "$der" --policy sgx.yaml "${maa[@]}"
expect 0 'binding\.level: bound to the certificate.s key; a file shows neither that a peer holds' maa.pem --policy sgx.yaml "${maa[@]}"
expect 21 'rejected: binding\.format' maa.pem --policy ours.yaml "${maa[@]}"
expect 23 'not evaluated: leaf_binding' maa.pem --policy bound.yaml "${maa[@]}"
expect 23 'not evaluated: certificate\.chain' maa.pem --policy sgx.yaml "${maa[@]}" --root maa.pem
expect 20 'rejected: ' maa.pem --policy sgx.yaml --at 2051-01-01T00:00:00Z
expect 1 'the nonce does not fit' maa.pem --policy sgx.yaml "${maa[@]}" --nonce 00
expect 2 '--with and --pcr are for a virtual' maa.pem --policy sgx.yaml "${maa[@]}" --with maa.pem
"$enclavectl" --home home --json verify maa.pem --policy sgx.yaml "${maa[@]}" | python3 -c '
import json, sys
verdict = json.load(sys.stdin)
assert (verdict["version"], verdict["outcome"], verdict["exit_code"]) == (1, "accepted", 0), verdict'

# The certificate was altered behind what its key signed; it is for another name.
head -c -1 "$der" > altered.der && printf '\000' >> altered.der
expect 21 'rejected: certificate\.signature$' altered.der --policy sgx.yaml "${maa[@]}"
expect 21 'rejected: certificate\.name$' "$der" --policy sgx.yaml "${maa[@]}" --server-name shop.example.test

# The key of the certificate is another: the quote is genuine, and not bound.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=other -out other.pem 2>/dev/null \
    -addext "1.3.6.1.4.1.311.105.1=DER:$(openssl asn1parse -inform der -in "$der" | awk -F'[][]' '/1.3.6.1.4.1.311.105.1/ { getline; sub(".*:", "", $0); print $0 }')"
expect 21 'rejected: .*report_data' other.pem --policy sgx.yaml "${maa[@]}"

# A virtual TPM: one file, then its pieces.
vtpm=$corpus/trustee/vtpm
at=(--policy snp.yaml --at 2025-06-01T00:00:00Z)
whole=$vtpm/az-snp-vtpm__evidence-v1.json
challenge=$(printf challenge | od -An -tx1 | tr -d ' \n')
expect 0 'tpm\.nonce$' "$whole" "${at[@]}" --nonce "$challenge"
expect 0 'binding\.level: bound to the virtual TPM.s key' "$whole" "${at[@]}"
expect 21 'rejected: tpm\.nonce' "$whole" "${at[@]}" --nonce 00
expect 21 'rejected: tpm\.pcrs' "$whole" "${at[@]}" --pcr "4=$(printf '0%.0s' $(seq 64))"
expect 1 '--pcr takes NUMBER=HEX' "$whole" "${at[@]}" --pcr "24=00"
hcl=$vtpm/az-snp-vtpm__hcl-report.bin
quote=$vtpm/az-snp-vtpm__tpm-quote-v1.json
expect 0 'accepted' "$hcl" --with "$quote" --with "$vtpm/az-snp-vtpm__vcek.pem" "${at[@]}" --nonce "$challenge"
expect 0 'accepted' "$quote" --with "$hcl" "$vtpm/az-snp-vtpm__vcek.pem" "${at[@]}"
expect 1 'no TPM quote' "$hcl" "${at[@]}"
expect 1 'only certificates go with it' "$whole" --with "$hcl" "${at[@]}"
expect 1 'evidence show. looks at it' "$vtpm/tpm_evidence.json" "${at[@]}"
"$enclavectl" evidence show "$vtpm/tpm_evidence.json" | grep -q 'tpm.signature'

# What its platform needs is asked for, and what would become of it rehearsed.
home=("$enclavectl" --home "$folder/home")
asked=$("${home[@]}" bundle make --for maa.pem --pcs http://127.0.0.1:1 --out maa.bundle 2>&1) && { echo "FAIL  a bundle from nowhere"; exit 1; }
grep -q 'intel-pck-crl platform' <<< "$asked" || { echo "FAIL  bundle make --for maa.pem: $asked"; exit 1; }
row=$("${home[@]}" rehearse sgx.yaml --also ours.yaml --collateral "$corpus/CCF/collateral/ratls-maa-ccf.json" maa.pem)
grep -Eq 'unchanged +maa\.pem +sgx\.yaml +rejected: .*tcb_info\.dates' <<< "$row" || { echo "FAIL  rehearse: $row"; exit 1; }
grep -Eq 'collateral-unavailable +maa\.pem +ours\.yaml +rejected: binding\.format' <<< "$row" || { echo "FAIL  rehearse: $row"; exit 1; }
refused=$("${home[@]}" rehearse sgx.yaml maa.pem --nonce 00 2>&1) && { echo "FAIL  rehearse --nonce was taken"; exit 1; }
grep -q 'one certificate of Constellation' <<< "$refused" || { echo "FAIL  rehearse --nonce: $refused"; exit 1; }

# What would not be looked at is refused.
expect 2 '--at is for a file' https://127.0.0.1:1 "${at[@]}"
expect 2 'this is a server' https://127.0.0.1:1 --policy snp.yaml --nonce 00
expect 2 'report data you say yourself' "$whole" "${at[@]}" --report-data 00 --nonce 00
echo "ok"
