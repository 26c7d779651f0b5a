#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# stop_test.sh EMULATOR GUESTS: a signal ends `tsm-emulator run --at` although somebody waits for a report, and leaves no mount.
set -eu
"$1" check || exit $?
at=$(mktemp -d)
"$1" run "$2" --tee tdx-v4 --latency-ms 60000 --at "$at" > "$at.log" &
emulator=$!
while ! test -d "$at/report"; do kill -0 $emulator; sleep 0.05; done
mkdir "$at/report/a"
head -c 64 /dev/zero > "$at/report/a/inblob"
cat "$at/report/a/outblob" 2> /dev/null &
reader=$!
# The reader is in read(2), or may be: either way nothing hangs.
while ! grep -q '^0 ' "/proc/$reader/syscall"; do kill -0 $reader; sleep 0.05; done
kill $emulator
wait $emulator
wait $reader && exit 1
rmdir "$at"
rm "$at.log"
