#!/usr/bin/env bash
# SPDX-License-Identifier: AGPL-3.0-only
# Builds and runs every test under address+undefined, then under thread sanitizer.
set -euo pipefail
jobs=${1:-2}
for preset in asan tsan; do
  echo "== $preset"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" -j "$jobs"
  ctest --preset "$preset" -j "$jobs"
done
