#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# usage: completion_test.sh ENCLAVECTL: what bash would offer after a few beginnings of a command.
set -euo pipefail
eval "$("$1" completion)"

offers() {  # offers EXPECTED WORD… : the last word is the one being completed
    local expected=$1
    COMP_WORDS=("${@:2}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _enclavectl || true  # compgen fails where nothing matches
    [ "${COMPREPLY[*]:-}" = "$expected" ] && return
    echo "FAIL  '${*:2}' offers '${COMPREPLY[*]:-}', not '$expected'"
    exit 1
}

offers "policy" enclavectl pol
offers "inspect" enclavectl app ins
offers "--hostname" enclavectl app load hello hello.wasm --hostn
offers "--hostname" enclavectl app load app pki --hostn
offers "" enclavectl app load hello ./hello.w
offers "" enclavectl nonsense
echo "ok"
