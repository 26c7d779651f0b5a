#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Mini on a disk that is really full: a small file system in a private mount namespace.

usage: full_disk.py BIN_FOLDER APPS_FOLDER

Exits with 77 and one line, which CTest shows as skipped, where this user may not make such a namespace.
"""
import os
import random
import subprocess
import sys
from pathlib import Path

import config_client
import modules
from rig import host, make_rig, wait_for

DISK_BYTES = 24 << 20
BALLAST_BYTES = 8 << 20
MODULE_BYTES = 700_000
INSIDE = "--inside"


def enter_namespace():
    """Runs this program again where it may mount what nobody else sees."""
    probe = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"skipped: needs unprivileged user and mount namespaces with tmpfs: {reason}")
        return 77
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__, INSIDE, *sys.argv[1:]]
    return subprocess.run(command).returncode


def free_bytes(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def fill(path):
    """Takes all that is left."""
    with open(path, "wb", 0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return


class FullDisk:
    def __init__(self, rig, disk):
        self.rig, self.disk = rig, disk
        self.chance = random.Random(3)
        self.module = modules.program("here")
        self.acknowledged = {}  # name -> digest

    def load(self, name):
        module = modules.padded(self.module, self.chance.randbytes(MODULE_BYTES))
        outcome = self.rig.load(name, module)
        if outcome.code == 0:
            self.acknowledged[name] = config_client.reference.sha256(module).hex()
        return outcome

    def load_refused(self, name):
        """A load for which there is no space. The database gives back what it no longer needs when it likes."""
        for number in range(20):
            fill(self.disk / f"rest-{number}")
            if self.load(name).code == 4:
                return
        raise AssertionError("the disk does not stay full")

    def expect_not_ready(self):
        """Says so as long as writes fail: a deletion that the database finds space for is a write that works."""
        for _ in range(20):
            self.load_refused("never")
            ready = self.rig.ops("/readyz")
            if ready.status == 503:
                assert "space" in ready.text, ready
                return
        raise AssertionError("the disk is full, and /readyz does not say so")

    def free_space(self):
        for file in [*self.disk.glob("rest-*"), *self.disk.glob("ballast")]:
            file.unlink()

    def expect_all_acknowledged(self):
        found = {app["name"]: app["digest"] for app in self.rig.own("app", "list")["apps"]}
        assert found == self.acknowledged, (sorted(found), sorted(self.acknowledged))
        for name in self.acknowledged:
            assert self.rig.get(host(name), "/").text == "here", name

    def fills_up_with_a_clear_error(self):
        for number in range(100):
            outcome = self.load(f"app{number}")
            if outcome.code != 0:
                break
        assert len(self.acknowledged) >= 3, outcome
        assert outcome.code == 4 and "503" in outcome.err and "disk is full" in outcome.err, outcome
        assert "storage_failed" in self.rig.log() and "space" in self.rig.log(), self.rig.log()[-1000:]
        assert "a state write failed" in self.rig.log(), self.rig.log()[-1000:]
        self.expect_not_ready()

    def serves_on_and_keeps_refusing(self):
        self.expect_all_acknowledged()
        for _ in range(2):
            self.load_refused("late")
        self.expect_all_acknowledged()

    def works_again_when_there_is_space(self):
        runner = self.rig.runner_pid()
        self.free_space()
        outcome = self.load("late")
        assert outcome.code == 0, outcome
        wait_for("ready again", lambda: self.rig.ops("/readyz").status == 200)
        assert "storage_recovered" in self.rig.log(), self.rig.log()[-1000:]
        assert self.rig.runner_pid() == runner, "nothing was started again"
        self.expect_all_acknowledged()

    def a_restart_finds_all(self):
        assert self.rig.stop_daemon() == 0
        self.rig.start_daemon()
        self.expect_all_acknowledged()

    def a_kill_on_the_full_disk_loses_nothing(self):
        self.load_refused("never")
        self.rig.kill_daemon()
        self.free_space()
        self.rig.start_daemon()
        self.expect_all_acknowledged()

    def a_start_on_the_full_disk_serves_or_says_why_not(self):
        assert self.rig.stop_daemon() == 0
        fill(self.disk / "ballast")
        try:
            # Whether the database can be opened depends on what it finds to write and to delete.
            self.rig.start_daemon()
            self.expect_all_acknowledged()
        except AssertionError:
            assert "cannot_start" in self.rig.log() and "space" in self.rig.log(), self.rig.log()[-1000:]
        else:
            assert self.rig.stop_daemon() == 0
        self.free_space()
        self.rig.start_daemon()
        self.expect_all_acknowledged()
        assert self.load("last").code == 0


def main(bin_folder, apps_folder):
    folder, rig = make_rig(bin_folder)
    disk = Path(folder.name, "disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "none", disk], check=True)
    rig.state = disk / "state"
    (disk / "ballast").write_bytes(bytes(BALLAST_BYTES))
    test = FullDisk(rig, disk)
    try:
        rig.start_quoting()
        rig.start_daemon()
        rig.make_owner()
        outcome = rig.provision()
        assert outcome.code == 0, outcome
        for step in (test.fills_up_with_a_clear_error, test.serves_on_and_keeps_refusing,
                     test.works_again_when_there_is_space, test.a_restart_finds_all,
                     test.a_kill_on_the_full_disk_loses_nothing,
                     test.a_start_on_the_full_disk_serves_or_says_why_not):
            step()
            print(f"ok    {step.__name__} ({len(test.acknowledged)} apps, {free_bytes(disk)} bytes free)", flush=True)
    except BaseException:
        print(f"the daemon's last log:\n{rig.log()[-3000:]}")
        raise
    finally:
        rig.close()
        subprocess.run(["umount", disk], check=False)
        folder.cleanup()


if __name__ == "__main__":
    if sys.argv[1:2] != [INSIDE]:
        sys.exit(enter_namespace())
    main(*sys.argv[2:])
