#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Proxy and minter under load while quotes fail, the CA is rotated and expires, the clock jumps, and both are killed at random.

usage: virtual_storm.py BIN [KILLS]     makes an emulated TDX guest, in which it runs itself again

What every stage asks: was each request that a client has an answer to seen by the service, was one that must not be sent
twice seen once, is every leaf's policy root one that the policy register held when the leaf was shown, and does a client
that connects anew get an answer whenever the proxy runs.
"""
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from proxy_e2e import Upstream
from rig import ShiftedClock, end, free_ports, wait_for
from virtual_e2e import KEPT, PLATFORM, SHOP, SKIPPED, Machine

KILLS = 5
CLIENTS = 4
REGISTER = Path("/sys/class/misc/tdx_guest/measurements/rtmr3:sha384")
ARC = (9900, 253909386, 222427726)


def der_oid(last):
    """The arc of docs/formats/certificate.md as it stands in a certificate."""
    body = b""
    for number in (1 * 40 + 3, *ARC, last):
        digits = [number & 0x7f]
        while number := number >> 7:
            digits.append(number & 0x7f | 0x80)
        body += bytes(reversed(digits))
    return bytes([6, len(body)]) + body


def extension(leaf, last):
    """The value of one of our extensions; all of them are short."""
    oid = der_oid(last)
    at = leaf.index(oid) + len(oid)
    assert leaf[at] == 4 and leaf[at + 1] < 128, leaf[at:at + 2]
    return leaf[at + 2:at + 2 + leaf[at + 1]]


class Service:
    """Notes which request it got before it answers."""

    def __init__(self):
        self.lock, self.seen = threading.Lock(), {}
        self.upstream = Upstream(self.serve)
        self.port = self.upstream.port

    def serve(self, _, connection):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return
                data += piece
            head, data = data.split(b"\r\n\r\n", 1)
            number = head.split(b" ", 2)[1]
            with self.lock:
                self.seen[number] = self.seen.get(number, 0) + 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(number) + number)


class Load:
    """Clients that never stop: requests with numbers of their own, a few on each connection."""

    def __init__(self, machine):
        self.machine, self.service = machine, machine.service
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.leaves = [], [], set()
        self.last, self.excused_until = 0, 0.0
        self.is_over = False
        self.down = 0
        self.trouble = []
        self.threads = [threading.Thread(target=self.guard, args=(index,), daemon=True) for index in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def guard(self, index):
        try:
            self.run(index)
        except BaseException as error:  # noqa: BLE001: whatever it is, the stage must hear of it
            self.trouble.append(repr(error))

    def run(self, index):
        chance = random.Random(index)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        was_misdirected = False
        while not self.is_over:
            name = chance.choice((SHOP, KEPT))
            began = time.monotonic()
            try:
                plain = socket.create_connection(("127.0.0.1", self.machine.port), 120)
                connection = context.wrap_socket(plain, server_hostname=name)
            except OSError as error:
                self.failed(began, f"connecting to {name}: {error!r}")
                continue
            with connection:
                self.check_leaf(connection.getpeercert(binary_form=True))
                was_misdirected = self.talk(connection, name, chance, was_misdirected)

    def talk(self, connection, name, chance, was_misdirected):
        """Whether the first answer was 421: a change came between leaf and request, which does not happen twice in a row."""
        for turn in range(chance.randrange(1, 6)):
            began = time.monotonic()
            method = chance.choice(("GET", "POST"))
            with self.lock:
                self.last += 1
                number = f"/{method}/{self.last}"
            try:
                connection.sendall(f"{method} {number} HTTP/1.1\r\nHost: {name}\r\nContent-Length: 0\r\n\r\n".encode())
                response = http.client.HTTPResponse(connection, method=method)
                response.begin()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                if turn == 0:
                    self.failed(began, f"asking {name}: {error!r}")
                return False
            if response.status == 200:
                assert body == number.encode(), (number, body)
                with self.lock:
                    self.acknowledged.append(body)
            elif turn == 0 and response.status == 421 and not was_misdirected:
                return True
            elif turn == 0:
                self.failed(began, f"{name}: {response.status} {body!r}")
            if response.will_close:
                break
        return False

    def failed(self, began, why):
        with self.lock:
            if not self.is_excused(began):
                self.refused.append(why)
        time.sleep(0.02)

    def is_excused(self, began):
        return self.down > 0 or began <= self.excused_until

    def excuse(self):
        """From now on connections may fail, until settle()."""
        with self.lock:
            self.down += 1

    def settle(self):
        with self.lock:
            self.down -= 1
            self.excused_until = time.monotonic()

    def check_leaf(self, leaf):
        """Its policy root was extended: what the register holds replays to an event with that root."""
        root = extension(leaf, 2)
        with self.lock:
            is_known = (root, self.machine.minter_starts) in self.leaves
            self.leaves.add((root, self.machine.minter_starts))
        assert extension(leaf, 3)[:16] == self.machine.instance, "another instance"
        if is_known:
            return
        held = REGISTER.read_bytes()
        state, roots = bytes(48), set()
        for event in json.loads((self.machine.work / "policy-log.json").read_text()):
            if state == held:
                break
            state = hashlib.sha384(state + bytes.fromhex(event["digest"])).digest()
            roots.add(bytes.fromhex(event["event_payload"]))
        assert state == held, "the log does not lead to the register"
        assert root in roots, f"a leaf under {root.hex()}, which was not extended"

    def progress(self, count=20):
        before = len(self.acknowledged)
        wait_for("requests are answered", lambda: self.trouble or len(self.acknowledged) >= before + count)
        self.check()

    def check(self):
        assert not self.trouble, self.trouble[:3]
        assert not self.refused, (len(self.refused), self.refused[:3])
        with self.lock:
            acknowledged = list(self.acknowledged)
        with self.service.lock:
            seen = dict(self.service.seen)
        lost = [number for number in acknowledged if number not in seen]
        assert not lost, ("acknowledged and lost", lost[:3])
        twice = [number for number, count in seen.items() if count > 1 and number.startswith(b"/POST")]
        assert not twice, ("sent twice", twice[:3])

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(30)
        self.check()


class Inside(Machine):
    """The machine of virtual_e2e, with every program in the guest that this one runs in."""

    def __init__(self, bin_folder, vendors, work):  # pylint: disable=super-init-not-called
        self.bin, self.work, self.tee, self.vendors = bin_folder, work, "tdx-v4", vendors
        self.port, self.ops_port = free_ports(2)
        self.service = self.upstream = Service()
        self.config, self.socket = work / "virtual.yaml", work / "minter.sock"
        self.collateral = vendors / "collateral.json"
        self.minter = self.proxy = self.instance = None
        self.minter_starts = 0
        self.clock = ShiftedClock(self)
        (work / "state").mkdir(mode=0o700)
        self.write_config()
        self.start_minter()
        self.start_proxy()

    def write_config(self, more=""):
        super().write_config(more)
        self.config.write_text(self.config.read_text().replace("  limits:", "  log:\n    access: off\n  limits:"))

    def guest(self):
        return self.vendors / "tdx"

    @property
    def processes(self):
        return [process for process in (self.minter, self.proxy) if process is not None]

    @property
    def minter_log(self):
        return self.work / "minter.log"

    def launch(self, name, word, *command):
        """One of the programs, and waits until its log has the word once more."""
        log = self.work / f"{name}.log"
        with open(log, "ab") as file:
            began = file.tell()
            process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file,
                                       env=self.clock.environment())

        def has_begun():
            said = log.read_bytes()[began:].decode(errors="replace")
            assert process.poll() is None, f"{name} ended:\n{said[-2000:]}"
            return word in said
        wait_for(f"{name}: {word}", has_begun)
        return process

    def start_minter(self):
        self.minter_starts += 1
        self.minter = self.launch("minter", '"ready"', self.bin / "enclave-os-minter", "run", "--config", self.config,
                                  "--state", self.work / "state", "--socket", self.socket, "--policy-log",
                                  self.work / "policy-log.json", "--proxy-user", os.getuid())

    def start_proxy(self):
        self.proxy = self.launch("proxy", '"listening"', self.bin / "enclave-os-proxy", "run", self.socket,
                                 "--minter-user", os.getuid(), "--control", self.work / "control.sock")

    def ctl(self, *arguments):
        return subprocess.run([self.bin / "enclavectl", "--home", self.work / "home", *map(str, arguments)],
                              capture_output=True, text=True, timeout=120, env=self.clock.environment())

    def leaf(self, name, protocols=("http/1.1",)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(protocols)
        with socket.create_connection(("127.0.0.1", self.port), 120) as plain:
            with context.wrap_socket(plain, server_hostname=name) as connection:
                return connection.getpeercert(binary_form=True)

    def owned(self):
        token = re.search(r"[0-9a-f]{32}", self.minter_log.read_text()[self.minter_log.read_text().index("token"):])
        self.must("pki", "--dir", self.work / "pki", "init", "--organization", "owner")
        self.context("vm", PLATFORM)
        self.must("mini", "provision", "--pki", self.work / "pki", "--token", token.group(0), "--platform-name", PLATFORM,
                  "--permit", "example.test", "--days", "1")
        self.instance = extension(self.leaf(SHOP), 3)[:16]

    def status(self):
        return json.loads(self.must("--json", "mini", "status"))

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()


def quotes_fail(machine, load):
    """Known leaves serve on, a change waits for evidence, and a challenge fails at once or in time."""
    fault = machine.work / "fault"
    fault.touch()
    load.progress()
    # The client tries again for some seconds.
    refused = machine.ctl("--json", "mini", "status")
    assert refused.returncode == 3 and "challenge_limited" in refused.stderr, refused
    before = machine.leaf(KEPT)
    load.progress(100)
    assert machine.leaf(KEPT) == before, "the leaf that is known"
    handshake_during_a_change(machine, fault)
    load.progress()


def handshake_during_a_change(machine, fault):
    """It waits for the evidence for what changed, and is shown that."""
    changes = machine.minter_log.read_text().count('"reloaded"')
    machine.write_config("    max_body_bytes: 3000\n")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        reloading = pool.submit(machine.reload)
        wait_for("the change", lambda: machine.minter_log.read_text().count('"reloaded"') > changes)
        # Of the second generation, which nobody has been shown yet.
        shown = pool.submit(machine.leaf, SHOP, ("privasys-ratls/1", "http/1.1"))
        time.sleep(0.3)
        assert not shown.done(), shown.result()
        fault.unlink()
        assert reloading.result()[0] == 0
        assert extension(shown.result(), 2).hex() == machine.status()["policy_root"]


def ca_rotation(machine, load):
    for _ in range(3):
        before = machine.status()
        machine.must("mini", "rotate-ca", "--pki", machine.work / "pki", "--permit", "example.test", "--days", "1")
        after = machine.status()
        assert after["generation"] == before["generation"] + 1 and after["policy_root"] != before["policy_root"]
        assert extension(machine.leaf(SHOP), 2).hex() == after["policy_root"]
        load.progress()


def ca_expiry(machine, load):
    """Nearly 25 hours later: leaves were renewed, the CA of a day has ended, and a new one mends it."""
    made = machine.status()["evidence"]["made_at"]
    load.excuse()  # clients meet a leaf that has ended until the next one is there
    machine.clock.set(24 * 3600 + 1800)
    wait_for("expired", lambda: machine.ctl("mini", "status").returncode == 21)
    wait_for("not ready", lambda: machine.ops("/readyz") == (503, "the CA certificate has expired\n"))
    wait_for("renewed", lambda: machine.ctl("mini", "rotate-ca", "--pki", machine.work / "pki", "--permit", "example.test",
                                            "--ca-expired", "--days", "30").returncode in (0, 10))
    status = machine.status()
    assert status["evidence"]["made_at"] > made and status["time_trust"] == "unconfirmed", status
    wait_for("leaves", lambda: is_served(machine))
    assert machine.ops("/readyz")[0] == 200
    load.settle()
    load.progress()


def is_served(machine):
    try:
        machine.leaf(SHOP)
        return True
    except OSError:
        return False


def clock_jump(machine, load):
    """30 hours at once: nothing is served that is dated by it, until the owner says that it is right."""
    load.excuse()
    machine.clock.set(24 * 3600 + 1800 + 30 * 3600)
    wait_for("refused", lambda: not is_served(machine))
    wait_for("jumped", lambda: '"jumped"' in machine.ctl("--json", "mini", "status").stdout)
    machine.write_config("    max_body_bytes: 4000\n")
    code, _, error = machine.reload()
    assert code == 1 and "jumped" in error, (code, error)
    machine.must("mini", "confirm-time")
    wait_for("served again", lambda: is_served(machine))
    load.settle()
    assert machine.status()["time_trust"] == "confirmed"
    assert machine.reload()[0] == 0
    load.progress()


def kills(machine, load, count):
    chance = random.Random(os.getpid())
    ca = machine.status()["ca"]["not_after"]
    generation = machine.status()["generation"]
    for turn in range(count):
        reloading = None
        if chance.random() < 0.5:
            machine.write_config(f"    max_body_bytes: {5000 + turn}\n")
            reloading = threading.Thread(target=machine.reload)
            reloading.start()
        victims = chance.choice((("proxy",), ("minter",), ("minter", "proxy")))
        time.sleep(chance.uniform(0, 0.15))
        load.excuse()
        for name in victims:
            machine.kill(getattr(machine, name))
        for name in sorted(victims):
            getattr(machine, f"start_{name}")()
        if reloading is not None:
            reloading.join()
        wait_for("served", lambda: is_served(machine))
        # The first challenge answered says that both have found each other.
        wait_for("attested", lambda: machine.ctl("mini", "status").returncode in (0, 10))
        load.settle()
        load.progress(10)
        status = machine.status()
        assert status["generation"] >= generation and status["ca"]["not_after"] == ca, status
        generation = status["generation"]
    print(f"  {count} kills, generation {generation}, {len(load.acknowledged)} requests acknowledged, "
          f"{len(load.service.seen)} seen", flush=True)


def inside(bin_folder, vendors, work, count):
    machine = Inside(bin_folder, vendors, work)
    load = None
    try:
        machine.owned()
        load = Load(machine)
        load.progress()
        for stage, arguments in ((quotes_fail, ()), (ca_rotation, ()), (ca_expiry, ()), (clock_jump, ()), (kills, (count,))):
            began = time.monotonic()
            stage(machine, load, *arguments)
            print(f"ok   {stage.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        load.stop()
    except BaseException:
        for log in work.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}")
        raise
    finally:
        if load is not None:
            load.is_over = True
        for process in reversed(machine.processes):
            if process.poll() is None:
                end(process)


def main():
    bin_folder = Path(sys.argv[1]).resolve()
    if len(sys.argv) > 3:
        return inside(bin_folder, Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[2]))
    emulator = bin_folder / "tsm-emulator"
    missing = subprocess.run([emulator, "check"], capture_output=True, text=True)
    if missing.returncode == SKIPPED:
        print("skipped:", missing.stdout.strip(), missing.stderr.strip())
        sys.exit(SKIPPED)
    count = sys.argv[2] if len(sys.argv) > 2 else KILLS
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        work, vendors = Path(folder) / "work", Path(folder) / "vendors"
        work.mkdir(mode=0o700)
        subprocess.run([emulator, "init", vendors], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([emulator, "collateral", vendors, "--out", vendors / "collateral.json"], check=True)
        sys.exit(subprocess.run([emulator, "run", vendors, "--tee", "tdx-v4", "--fail", "wrong-report", "--fail-while",
                                 work / "fault", "--", sys.executable, Path(__file__).resolve(), bin_folder, str(count),
                                 vendors, work]).returncode)


if __name__ == "__main__":
    main()
