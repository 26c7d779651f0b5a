#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Mini from end to end, as its users see it: the real daemon, the real enclave program, an emulated platform.

usage: mini_e2e.py BIN_FOLDER APPS_FOLDER [TEST…]     (TEST: only these functions, or those of a stage: host_;
                                                       set-up always runs)

Each function of a *_stage.py whose name begins with one of STAGES is one test. They run in the order of STAGES,
then of their file, and share one enclave. Ends with 'N passed, N failed'.
"""
import sys
import time
import traceback
from pathlib import Path

import apps_stage
import channel_stage
import collateral_stage
import host_stage
import owner_stage
import wire_stage
from rig import make_rig

STAGES = {"unowned_": owner_stage, "owned_": owner_stage, "apps_": apps_stage, "http_": wire_stage,
          "tls_": wire_stage, "channel_": channel_stage, "config_": wire_stage, "collateral_": collateral_stage, "host_": host_stage}
# What later tests build on: always run.
SET_UP = {"unowned_becomes_owned", "apps_cgi_answers_get_and_echoes_post"}


def tests_of_all_stages():
    return [function for prefix, stage in STAGES.items() for name, function in vars(stage).items()
            if name.startswith(prefix) and callable(function)]


def stage_of(test):
    return next(prefix for prefix in STAGES if test.__name__.startswith(prefix))


def run(test, rig):
    begun = time.monotonic()
    try:
        test(rig)
    except Exception as error:  # whatever it is: this test failed, the next one is run
        file = test.__code__.co_filename
        line = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file][-1]
        print(f"FAIL  {test.__name__}, {Path(file).name}:{line}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"ok    {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
    return True


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    tests = tests_of_all_stages()
    wanted = set(arguments[2:])
    if unknown := wanted - STAGES.keys() - {test.__name__ for test in tests}:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    if wanted:
        tests = [test for test in tests if {test.__name__, stage_of(test)} & (wanted | SET_UP)]
    folder, rig = make_rig(arguments[0])
    rig.hello = Path(arguments[1], "hello-cgi.wasm").read_bytes()
    rig.text_json = Path(arguments[1], "text-json.wasm").read_bytes()
    passed = 0
    try:
        rig.start_quoting()
        rig.start_daemon()
        rig.make_owner()
        for test in tests:
            passed += run(test, rig)
    finally:
        rig.close()
        if passed < len(tests):
            print(f"the daemon's last log:\n{rig.log()[-3000:]}")
        folder.cleanup()
    print(f"{passed} passed, {len(tests) - passed} failed")
    return 0 if passed == len(tests) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
