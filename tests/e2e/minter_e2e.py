#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The minter as its users run it, in an emulated guest, with a scripted proxy that is not always honest.

usage: minter_e2e.py BIN     makes the guest, in which it runs itself again
"""
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MISSING = 77
ROUNDS = 12
DONE, STATE, CA_REQUEST, FAILED = 129, 128, 130, 135


def run_of(data):
    return struct.pack("<I", len(data)) + data


class Proxy:
    """The proxy's end of the socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.next_id = 0
        self.state = None

    def hello(self):
        assert self.ask(1, struct.pack("<I", 1))[0] == DONE
        while self.state is None:
            self.read()
        return self

    def read(self):
        (size,) = struct.unpack("<I", self.exactly(4))
        frame = self.exactly(size)
        kind, number = struct.unpack_from("<BI", frame)
        if kind == STATE:
            self.state = frame[5:]
        return kind, number, frame[5:]

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the minter is gone")
            data += piece
        return data

    def ask(self, kind, body=b""):
        self.next_id += 1
        self.socket.sendall(struct.pack("<IBI", len(body) + 5, kind, self.next_id) + body)
        while True:
            got, number, answer = self.read()
            if number == self.next_id:
                return got, answer

    @property
    def is_owned(self):
        return self.state[0] == 1

    @property
    def instance(self):
        return self.state[1:17]

    @property
    def generation(self):
        return struct.unpack_from("<Q", self.state, 33)[0]


class Guest:
    """Files and minter of one emulated guest."""

    def __init__(self, bin_folder, work):
        self.bin, self.work = bin_folder, work
        self.socket = work / "minter.sock"
        self.process = None
        (work / "state").mkdir(mode=0o700)
        self.configure(30)

    def configure(self, drain):
        new = self.work / "new.yaml"
        new.write_text(f"""version: 1
platform:
  name: vm.example.test
  listen: [{{address: 127.0.0.1:8443}}]
  policy: {{drain_time_s: {drain}}}
  log: {{format: text}}
routes:
- {{name: shop, hostname: shop.example.test, upstream: {{tcp: 127.0.0.1:8080}}}}
""")
        new.rename(self.work / "virtual.yaml")

    def command(self, user=None):
        return [self.bin / "enclave-os-minter", "run", "--config", self.work / "virtual.yaml", "--state",
                self.work / "state", "--socket", self.socket, "--policy-log", self.work / "policy-log.json",
                "--proxy-user", str(os.getuid() if user is None else user)]

    def start(self, user=None):
        self.log = open(self.work / "minter.log", "ab")
        self.log_from = self.log.tell()
        self.process = subprocess.Popen(self.command(user), stderr=self.log)
        self.wait_for("ready")

    def text(self):
        return (self.work / "minter.log").read_bytes()[self.log_from:].decode()

    def wait_for(self, word):
        end = time.monotonic() + 30
        while word not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, f"no '{word}' in: {self.text()}"
            time.sleep(0.005)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.text()


def openssl(*arguments, **more):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **more)


def certify(work, csr):
    """An intermediate for the minter's key, by a root of the operator's."""
    (work / "ca.csr").write_bytes(csr)
    (work / "ext").write_text("basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
                              "nameConstraints=critical,permitted;DNS:example.test\nsubjectKeyIdentifier=hash\n"
                              "authorityKeyIdentifier=keyid\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            work / "root.key", "-out", work / "root.pem", "-days", "365", "-subj", "/CN=Root")
    openssl("x509", "-req", "-inform", "DER", "-in", work / "ca.csr", "-CA", work / "root.pem", "-CAkey",
            work / "root.key", "-days", "80", "-extfile", work / "ext", "-out", work / "ca.pem", "-set_serial", "2")
    return (work / "ca.pem").read_bytes()


def provision(guest):
    token = re.search(r"provisioning_token.*?([0-9a-f]{32})", guest.text()).group(1).encode()
    proxy = Proxy(guest.socket).hello()
    assert not proxy.is_owned
    owner = b"o" * 32
    kind, answer = proxy.ask(2, run_of(token) + run_of(b"vm.example.test") + b"n" * 32 + owner)
    assert kind == CA_REQUEST, answer
    (size,) = struct.unpack_from("<I", answer)
    kind, answer = proxy.ask(3, run_of(token) + owner + run_of(certify(guest.work, answer[4:4 + size])))
    assert kind == DONE, answer
    assert proxy.is_owned
    return proxy


def check_alone(guest):
    """One minter for a directory, one proxy for a minter, and what is no protocol ends only itself."""
    second = subprocess.run(guest.command(), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another minter" in second.stderr, second.stderr
    first = Proxy(guest.socket).hello()
    other = Proxy(guest.socket)
    assert other.socket.recv(1) == b""
    assert first.ask(7)[0] == DONE
    first.socket.close()
    guest.wait_for("proxy_gone")
    chance = random.Random(4)
    for _ in range(20):
        rogue = socket.socket(socket.AF_UNIX)
        rogue.settimeout(20)
        rogue.connect(str(guest.socket))
        try:
            rogue.sendall(chance.randbytes(2000))
            while rogue.recv(4096):
                pass
        except ConnectionError:
            pass
        rogue.close()
    assert guest.process.poll() is None


def check_sandbox(guest):
    for task in Path(f"/proc/{guest.process.pid}/task").iterdir():
        status = (task / "status").read_text()
        sandboxed = "none (sanitizers)" not in guest.text()
        assert not sandboxed or re.search(r"^Seccomp:\s+2$", status, re.M), status


def connect(guest):
    end = time.monotonic() + 20
    while True:
        try:
            return Proxy(guest.socket).hello()
        except ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.01)


def check_kills(guest, instance):
    """Killed at any instant: what was acknowledged is there, under the same identity, and measured."""
    chance = random.Random(os.getpid())
    acknowledged = 0
    for turn in range(ROUNDS):
        proxy = connect(guest)
        assert proxy.is_owned and proxy.instance == instance
        assert proxy.generation >= acknowledged, (proxy.generation, acknowledged)
        acknowledged = proxy.generation
        killer = subprocess.Popen(["sh", "-c", f"sleep {chance.uniform(0.005, 0.08):.4f}; "
                                   f"kill -9 {guest.process.pid}"])
        try:
            for drain in range(100_000):
                guest.configure((turn + 1) * 200 + drain % 200)
                kind, answer = proxy.ask(7)
                assert kind == DONE, answer
                acknowledged = proxy.generation
        except ConnectionError:
            pass
        killer.wait()
        guest.process.wait()
        proxy.socket.close()
        guest.start()
    print(f"killed {ROUNDS} times, generation {acknowledged}")


def inside(bin_folder):
    doctor = subprocess.run([bin_folder / "enclave-os-minter", "doctor"], capture_output=True, text=True)
    assert doctor.returncode == 0 and "Intel TDX" in doctor.stdout, doctor.stdout
    with tempfile.TemporaryDirectory(prefix="minter-") as folder:
        guest = Guest(bin_folder, Path(folder))
        try:
            guest.start()
            proxy = provision(guest)
            instance = proxy.instance
            proxy.socket.close()
            guest.wait_for("proxy_gone")
            check_sandbox(guest)
            check_alone(guest)
            check_kills(guest, instance)
            guest.stop()
            guest.start(user=os.getuid() + 1)
            assert Proxy(guest.socket).socket.recv(1) == b"", "another user is not heard"
            guest.stop()
            state = guest.work / "state" / "state"
            whole = state.read_bytes()
            state.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
            broken = subprocess.run(guest.command(), capture_output=True, text=True, timeout=20)
            assert broken.returncode == 1 and "not whole" in broken.stderr, broken.stderr
        finally:
            if guest.process and guest.process.poll() is None:
                guest.kill()
    print("1 passed, 0 failed")


def main():
    bin_folder = Path(sys.argv[1]).resolve()
    if len(sys.argv) > 2:
        return inside(bin_folder)
    emulator = bin_folder / "tsm-emulator"
    missing = subprocess.run([emulator, "check"], capture_output=True, text=True)
    if missing.returncode == MISSING:
        print("skipped:", missing.stdout.strip(), missing.stderr.strip())
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory(prefix="minter-vendors-") as folder:
        subprocess.run([emulator, "init", folder], check=True, stdout=subprocess.DEVNULL)
        sys.exit(subprocess.run([emulator, "run", folder, "--tee", "tdx-v4", "--", sys.executable,
                                 str(Path(__file__).resolve()), str(bin_folder), "inside"]).returncode)


if __name__ == "__main__":
    main()
