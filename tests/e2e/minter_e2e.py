#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The minter as its users run it, in an emulated guest, with a scripted proxy that is not always honest.

usage: minter_e2e.py BIN     makes the guest, in which it runs itself again
"""
import base64
import hashlib
import hmac
import json
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
DONE, STATE, CA_REQUEST, CHALLENGE, FAILED = 129, 128, 130, 131, 136
HELLO, ASK_CHALLENGE, OWNER_REQUEST, RELOAD = 1, 2, 3, 4
PROVISION, ROTATE_CA, CONFIRM_TIME = 0, 1, 2


def run_of(data):
    return struct.pack("<I", len(data)) + data


class Proxy:
    """The proxy's end of the socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(str(path))
        self.next_id = 0
        self.state = None

    def hello(self):
        assert self.ask(HELLO, struct.pack("<I", 2))[0] == DONE
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

    def part_from(self, proxy):
        """Ends the proxy's connection, and waits until another may come."""
        before = self.text().count("proxy_gone")
        proxy.socket.close()
        self.wait_for("proxy_gone", before + 1)

    def wait_for(self, word, count=1):
        end = time.monotonic() + 120
        while self.text().count(word) < count:
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


class Owner:
    """A key, and what it signs: docs/formats/owner-statement.md in another hand than the client's."""

    TYPES = ("enclave-os-provision+jwt", "enclave-os-rotate-ca+jwt", "enclave-os-confirm-time+jwt")

    def __init__(self, work, name="owner"):
        self.key = work / f"{name}.key"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        self.spki = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                                   capture_output=True).stdout

    def sign(self, text):
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text, check=True,
                             capture_output=True).stdout
        out, at = b"", 2
        for _ in range(2):
            size = der[at + 1]
            out += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + size
        return out

    def statement(self, proxy, purpose, request):
        kind, challenge = proxy.ask(ASK_CHALLENGE)
        assert kind == CHALLENGE, challenge
        header = {"alg": "ES256", "kid": hashlib.sha256(self.spki).hexdigest(), "typ": self.TYPES[purpose]}
        claims = {"aud": proxy.instance.hex(), "nonce": base64.b64encode(challenge).decode(), "request": request}
        text = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        return text + b"." + base64url(self.sign(text))

    def ask(self, proxy, purpose, request):
        return proxy.ask(OWNER_REQUEST, bytes([purpose]) + self.spki + run_of(self.statement(proxy, purpose, request)))

    def token_proof(self, token, instance):
        message = b"enclave-os/owner-token/1" + instance + hashlib.sha256(self.spki).digest()
        return hmac.new(bytes.fromhex(token), message, hashlib.sha256).hexdigest()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def csr_of(answer):
    (size,) = struct.unpack_from("<I", answer)
    return answer[4:4 + size]


def provision(guest):
    token = re.search(r"provisioning_token.*?([0-9a-f]{32})", guest.text()).group(1)
    proxy = Proxy(guest.socket).hello()
    assert not proxy.is_owned
    owner, nonce = Owner(guest.work), base64.b64encode(b"n" * 32).decode()
    claim = {"step": "request-csr", "token": owner.token_proof(token, proxy.instance),
             "platform_name": "vm.example.test", "nonce": nonce}
    thief = Owner(guest.work, "thief")
    for stolen in (claim, {**claim, "token": token}):
        kind, answer = thief.ask(proxy, PROVISION, stolen)
        assert kind == FAILED and b"wrong_token" in answer, answer
    kind, answer = owner.ask(proxy, PROVISION, claim)
    assert kind == CA_REQUEST, answer
    kind, answer = owner.ask(proxy, PROVISION, {"step": "complete", "token": claim["token"],
                                                "ca_chain": certify(guest.work, csr_of(answer)).decode()})
    assert kind == DONE, answer
    assert proxy.is_owned
    check_owner(guest, proxy, owner, thief, nonce)
    return proxy


def check_owner(guest, proxy, owner, thief, nonce):
    """The CA and the clock are the owner's, whatever the proxy says; what was said counts once."""
    request = {"step": "request-csr", "nonce": nonce}
    kind, answer = thief.ask(proxy, ROTATE_CA, request)
    assert kind == FAILED and b"not_the_owner" in answer, answer
    said = bytes([CONFIRM_TIME]) + owner.spki + run_of(owner.statement(
        proxy, CONFIRM_TIME, {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}))
    assert proxy.ask(OWNER_REQUEST, said)[0] == DONE
    kind, answer = proxy.ask(OWNER_REQUEST, said)
    assert kind == FAILED and b"stale_statement" in answer, answer
    kind, answer = owner.ask(proxy, ROTATE_CA, request)
    assert kind == CA_REQUEST, answer
    before = proxy.generation
    kind, answer = owner.ask(proxy, ROTATE_CA, {"step": "complete",
                                                "ca_chain": certify(guest.work, csr_of(answer)).decode()})
    assert kind == DONE and proxy.generation == before + 1, answer


def check_failed_store(guest):
    """What cannot be stored leaves the register as it is: evidence replays under the log that is served."""
    proxy = connect(guest)
    log, state = (guest.work / "policy-log.json").read_bytes(), proxy.state
    in_the_way = guest.work / "state" / "state.new"
    in_the_way.mkdir()
    guest.configure(31)
    kind, answer = proxy.ask(RELOAD)
    assert kind == FAILED and b"state_not_written" in answer, answer
    assert (guest.work / "policy-log.json").read_bytes() == log and proxy.state == state
    in_the_way.rmdir()
    kind, answer = proxy.ask(RELOAD)
    assert kind == DONE and proxy.state != state, answer
    assert len(json.loads((guest.work / "policy-log.json").read_text())) == len(json.loads(log)) + 1
    guest.part_from(proxy)


def check_alone(guest):
    """One minter for a directory, one proxy for a minter, and what is no protocol ends only itself."""
    second = subprocess.run(guest.command(), capture_output=True, text=True, timeout=120)
    assert second.returncode == 1 and "another minter" in second.stderr, second.stderr
    first = Proxy(guest.socket).hello()
    other = Proxy(guest.socket)
    assert other.socket.recv(1) == b""
    assert first.ask(RELOAD)[0] == DONE
    guest.part_from(first)
    chance = random.Random(4)
    for _ in range(20):
        rogue = socket.socket(socket.AF_UNIX)
        rogue.settimeout(120)
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
                kind, answer = proxy.ask(RELOAD)
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
    assert doctor.returncode == 0 and "Intel TDX" in doctor.stdout and "configfs-tsm (tdx_guest)" in doctor.stdout, doctor.stdout
    with tempfile.TemporaryDirectory(prefix="minter-") as folder:
        guest = Guest(bin_folder, Path(folder))
        try:
            guest.start()
            proxy = provision(guest)
            instance = proxy.instance
            guest.part_from(proxy)
            check_sandbox(guest)
            check_failed_store(guest)
            check_alone(guest)
            check_kills(guest, instance)
            guest.stop()
            guest.start(user=os.getuid() + 1)
            assert Proxy(guest.socket).socket.recv(1) == b"", "another user is not heard"
            guest.stop()
            state = guest.work / "state" / "state"
            whole = state.read_bytes()
            state.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
            broken = subprocess.run(guest.command(), capture_output=True, text=True, timeout=120)
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
