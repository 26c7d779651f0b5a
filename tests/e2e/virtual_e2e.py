#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Minter and proxy together, as a machine's owner and clients meet them: in an emulated guest of TDX and of SEV-SNP."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attestd_stage
from proxy_e2e import Proxy, Upstream, echo_everything, request
from rig import end, free_ports, number_of, wait_for

PLATFORM = "vm.example.test"
SHOP = "shop.example.test"
KEPT = "kept.example.test"
SKIPPED = 77


class Machine:
    """An emulated guest with a minter in it, a proxy, and an owner."""

    def __init__(self, bin_folder, work, tee):
        self.bin, self.work, self.tee = bin_folder, work, tee
        self.port, self.ops_port = free_ports(2)
        self.upstream = Upstream(echo_everything)
        self.config, self.socket = work / "virtual.yaml", work / "minter.sock"
        self.write_config()
        (work / "state").mkdir(mode=0o700)
        self.processes = []
        subprocess.run([bin_folder / "tsm-emulator", "init", work / "guests"], check=True, stdout=subprocess.DEVNULL)
        self.collateral = self.guest() / "collateral.json"
        if tee.startswith("tdx"):
            self.collateral = work / "collateral.json"
            subprocess.run([bin_folder / "tsm-emulator", "collateral", work / "guests", "--out", self.collateral], check=True)
        self.minter_log = self.start("minter", bin_folder / "tsm-emulator", "run", work / "guests", "--tee", tee, "--",
                                     bin_folder / "enclave-os-minter", "run", "--config", self.config,
                                     "--state", work / "state", "--socket", self.socket,
                                     "--policy-log", work / "policy-log.json", "--proxy-user", str(os.getuid()))
        wait_for("the minter", lambda: self.socket.exists())
        self.proxy_log = self.start("proxy", bin_folder / "enclave-os-proxy", "run", self.socket,
                                    "--minter-user", os.getuid(), "--control", work / "control.sock")
        wait_for("the proxy", lambda: "listening" in self.proxy_log.read_text())

    def start(self, name, *command):
        log = self.work / f"{name}.log"
        with open(log, "wb") as file:
            self.processes.append(subprocess.Popen([str(part) for part in command], stdout=file, stderr=file))
        return log

    def write_config(self, more=""):
        self.config.write_text(
            f"version: 1\nplatform:\n  name: {PLATFORM}\n  listen:\n    - address: 127.0.0.1:{self.port}\n"
            f"  metrics:\n    address: 127.0.0.1:{self.ops_port}\n"
            "  policy:\n    drain_time_s: 5\n  limits:\n    threads: 2\n    connections: 1000\nroutes:\n"
            f"  - name: shop\n    hostname: {SHOP}\n    upstream:\n      tcp: 127.0.0.1:{self.upstream.port}\n{more}"
            f"  - name: kept\n    hostname: {KEPT}\n    upstream:\n      tcp: 127.0.0.1:{self.upstream.port}\n")

    def guest(self):
        return self.work / "guests" / ("tdx" if self.tee.startswith("tdx") else self.tee)

    def reload(self):
        done = subprocess.run([self.bin / "enclave-os-proxy", "reload", "--control", self.work / "control.sock"],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def ctl(self, *arguments):
        return subprocess.run([self.bin / "enclavectl", "--home", self.work / "home", *map(str, arguments)],
                              capture_output=True, text=True, timeout=120)

    def must(self, *arguments):
        done = self.ctl(*arguments)
        # Evidence of an emulated guest is accepted with 10, never with 0.
        assert done.returncode in (0, 10), (arguments, done.stdout, done.stderr)
        return done.stdout

    def own(self):
        token = re.search(r"[0-9a-f]{32}", self.minter_log.read_text()[self.minter_log.read_text().index("token"):])
        self.must("pki", "--dir", self.work / "pki", "init", "--organization", "owner")
        self.context("vm", PLATFORM)
        refused = self.ctl("mini", "provision", "--pki", self.work / "pki", "--token", token.group(0), "--platform-name",
                           PLATFORM, "--import-chain", self.work / "pki/root.pem", "--import-key", self.work / "pki/root.key")
        assert refused.returncode == 1 and "nothing was sent" in refused.stderr, refused
        self.must("mini", "provision", "--pki", self.work / "pki", "--token", token.group(0),
                  "--platform-name", PLATFORM, "--permit", "example.test")

    def context(self, name, server_name):
        self.must("context", "add", name, "--address", f"127.0.0.1:{self.port}", "--server-name", server_name,
                  "--policy", self.guest() / "policy.json", "--root", self.work / "pki/root.pem",
                  "--owner-key", self.work / "pki/owner.key", "--collateral", self.collateral)

    def ops(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=60)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def connect(self, name):
        """With nothing but the owner's root."""
        context = ssl.create_default_context(cafile=self.work / "pki/root.pem")
        plain = socket.create_connection(("127.0.0.1", self.port), 120)
        return context.wrap_socket(plain, server_hostname=name)

    def ask(self, name, path="/"):
        with self.connect(name) as connection:
            connection.sendall(request(name, path))
            return connection.recv(65536)

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                end(process)


def shows_evidence(machine):
    """Whether a client that offers the ALPN name of the second generation is shown a leaf with evidence."""
    context = ssl.create_default_context(cafile=machine.work / "pki/root.pem")
    context.set_alpn_protocols(["privasys-ratls/1", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", machine.port), 120)
    with context.wrap_socket(plain, server_hostname=SHOP) as connection:
        return len(connection.getpeercert(binary_form=True)) > 3000


def can_be_watched(machine, status):
    """By this machine's monitoring."""
    assert machine.ops("/readyz") == (200, "ready\n")
    metrics = machine.ops("/metrics")[1]
    assert number_of(metrics, "proxy_minter_up") == 1, metrics
    assert number_of(metrics, "proxy_minter_requests_total") > 0, metrics
    for kind in ("ordinary", "challenge"):
        assert number_of(metrics, f'proxy_tls_handshakes_completed_total{{kind="{kind}"}}') > 0, metrics
    for what, end_of in (("evidence", status["evidence"]), ("ca", status["ca"])):
        seconds = number_of(metrics, f"proxy_{what}_not_after_timestamp_seconds")
        assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) == end_of["not_after"], (what, seconds, status)


def asks_as_owner(machine):
    """The minter goes by the statement: the owner's connection alone does nothing."""
    before = json.loads(machine.must("--json", "mini", "status"))
    machine.must("pki", "--dir", machine.work / "stranger", "init", "--organization", "stranger")
    refused = machine.ctl("mini", "rotate-ca", "--pki", machine.work / "stranger", "--permit", "example.test")
    assert refused.returncode == 4 and "another owner" in refused.stderr, refused
    machine.must("mini", "confirm-time")
    status = json.loads(machine.must("--json", "mini", "status"))
    assert (before["time_trust"], status["time_trust"]) == ("unconfirmed", "confirmed"), status
    machine.must("mini", "rotate-ca", "--pki", machine.work / "pki", "--permit", "example.test", "--days", "20")
    after = json.loads(machine.must("--json", "mini", "status"))
    assert after["generation"] == status["generation"] + 1, after
    assert after["ca"]["not_after"] < status["ca"]["not_after"], after
    assert machine.ask(SHOP, "/rotated").startswith(b"HTTP/1.1 200 ")
    print("  time confirmed and CA rotated, in the owner's hand alone", flush=True)


def tells_who_was_shown_the_old_values(machine):
    """By 421, for the two seconds in which whoever has not asked yet may find out."""
    for attempt in range(10):
        before = json.loads(machine.must("--json", "mini", "status"))["generation"]
        shop = machine.connect(SHOP)
        machine.write_config(f"    max_body_bytes: {1000 + attempt}\n")
        begun = time.monotonic()
        assert machine.reload() == (0, f"generation {before + 1} is served\n", "")
        answer = first_of_answer(shop, request(SHOP))
        if answer or time.monotonic() < begun + 1.5:
            assert answer.startswith(b"HTTP/1.1 421 "), answer
            assert shop.recv(1) == b"", "and drained"
            return
    raise AssertionError("this machine takes seconds for a request")


def first_of_answer(connection, sent):
    try:
        connection.sendall(sent)
        return connection.recv(65536)
    except OSError:
        return b""


def story(machine):
    machine.own()
    assert machine.ask(SHOP, "/first").startswith(b"HTTP/1.1 200 ")
    print("  owned, and served by its root alone", flush=True)
    machine.context("shop", SHOP)
    verdict = machine.ctl("--json", "verify")
    assert verdict.returncode == 10, (verdict.stdout, verdict.stderr)
    verdict = machine.ctl("--json", "verify", "--mode", "v1-challenge")
    assert verdict.returncode == 10, (verdict.stdout, verdict.stderr)
    machine.must("context", "use", "vm")
    status = json.loads(machine.must("--json", "mini", "status"))
    assert status["platform_name"] == PLATFORM and status["routes"] == 2, status
    can_be_watched(machine, status)
    print("  verified by evidence", flush=True)
    asks_as_owner(machine)
    kept = machine.connect(KEPT)
    tells_who_was_shown_the_old_values(machine)
    kept.sendall(request(KEPT))
    assert kept.recv(65536).startswith(b"HTTP/1.1 200 "), "and nobody else"
    assert machine.ask(SHOP, "/second").startswith(b"HTTP/1.1 200 ")
    machine.write_config("    max_body_bytes: many\n")
    code, out, error = machine.reload()
    assert (code, out) == (1, "") and "max_body_bytes" in error, error
    machine.processes[1].send_signal(signal.SIGHUP)
    wait_for("the signal", lambda: machine.proxy_log.read_text().count("reload_failed") == 2)
    assert machine.ask(SHOP, "/third").startswith(b"HTTP/1.1 200 "), "what was served is served on"
    print("  changed, with one route's connections drained", flush=True)
    assert not shows_evidence(machine)
    machine.write_config("    ratls_profile: v1\n")
    assert machine.reload()[0] == 0
    assert shows_evidence(machine)
    print("  a leaf of the first generation for who offers the second's ALPN name", flush=True)


def main():
    bin_folder = Path(sys.argv[1])
    lacks = subprocess.run([bin_folder / "tsm-emulator", "check"], capture_output=True, text=True)
    if lacks.returncode == SKIPPED:
        print("skipped:", lacks.stdout.strip() or lacks.stderr.strip())
        sys.exit(SKIPPED)
    failed = 0
    for tee in sys.argv[2:] or ["tdx-v4", "snp-genoa"]:
        with tempfile.TemporaryDirectory() as work:
            began = time.monotonic()
            machine = None
            try:
                machine = Machine(bin_folder, Path(work), tee)
                story(machine)
                attestd_stage.story(machine)
                print(f"ok   {tee} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception as error:  # noqa: BLE001: both are reported
                failed += 1
                print(f"FAIL {tee}: {error!r}", flush=True)
                for log in Path(work).glob("*.log"):
                    print(f"--- {log.name}\n{log.read_text()[-3000:]}")
            finally:
                if machine is not None:
                    machine.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
