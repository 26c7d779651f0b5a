#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# usage: evidence_test.sh ENCLAVECTL: rows, totals and exit codes of `evidence check`, on a folder made here.
set -euo pipefail
enclavectl=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -c 793 /dev/zero | tr '\0' '\2' > "$folder/short.bin"

index() {  # index VERDICT: one case that can only be rejected, and one that is not run
    cat > "$folder/index.json" <<END
[{"id": "short", "kind": "SNP report, truncated", "files": ["short.bin"], "time": "-", "verdict": "$1"},
 {"id": "poem", "kind": "a poem", "files": [], "time": "-", "verdict": "VALID"}]
END
}
expect() {  # expect EXIT LINE…: what the command must end with and print
    local code=0 output
    output=$("$enclavectl" evidence check "$folder" 2>&1) || code=$?
    [ "$code" = "$1" ] || { echo "FAIL  exit code $code, not $1: $output"; exit 1; }
    shift
    for line in "$@"; do
        grep -Eq "$line" <<< "$output" || { echo "FAIL  no line '$line' in: $output"; exit 1; }
    done
}

index "REJECT: 793 bytes instead of 1184"
expect 0 '^agree +short +REJECT +quote\.syntax$' '^not-run +poem +\(cases of this kind are not run: a poem\)$' '^1 agree, 0 differ'
sed -i 's/"id": "short"/"id": "an-id-of-forty-characters-and-some-more-1"/' "$folder/index.json"
expect 0 '^agree +an-id-of-forty-characters-and-some-more-1  REJECT  quote\.syntax$' '^not-run  poem {37}'
index "VALID"
expect 1 '^differ +short +REJECT +quote\.syntax +\(stated: VALID' '^0 agree, 1 differ'
index "REJECT: report signature"
expect 1 '^0 agree, 1 differ'
echo '[]' > "$folder/index.json"
expect 0 '^0 agree, 0 differ$'
rm "$folder/index.json"
expect 1 'cannot be read'
code=0
"$enclavectl" evidence show "$folder/short.bin" > /dev/null || code=$?
[ "$code" = 20 ] || { echo "FAIL  show ended with $code, not 20"; exit 1; }
printf '0x%s\n' "$(printf '02%.0s' $(seq 793))" > "$folder/short.hex"
output=$("$enclavectl" evidence show "$folder/short.hex" --at 2025-01-01T00:00:00Z || true)
grep -q '^taken off the file: hexadecimal text$' <<< "$output" || { echo "FAIL  not taken off: $output"; exit 1; }
output=$("$enclavectl" evidence show "$folder/short.hex" --at noon 2>&1) && { echo "FAIL  noon is no time"; exit 1; }
grep -q 'not a valid time' <<< "$output" || { echo "FAIL  not about the time: $output"; exit 1; }
echo "ok"
