#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Mini beside nginx in the same run: CPU per operation, idle cost, latency under challenges.

The server has core 0, the load core 1. The CPU of Mini is that of daemon and trusted process
together, spinning included, from /proc/PID/task/*/schedstat. Mini and nginx take turns. No timing
fails: a missed target is printed as one.
usage: mini_bench.py BIN_FOLDER [--rounds N] [--seconds S]
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
QUOTE_MS = 39          # what a hardware quote was seen to take; one after the other
CERTIFICATE_BYTES = 422  # nginx's leaf without its blob
QUIET_AFTER_S = 3        # the daemon's timer slows down a second after the last message
DEADLINE_S = 60
NAME = "mini.example.test"
PATHS = ("/healthz", "/api/v1/config/manifest")  # a short platform answer, and one of 1 to 2 KiB


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_event(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise Failed(f"waited {DEADLINE_S} s in vain for {what}")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          timeout=DEADLINE_S)
    if done.returncode not in (0, 10):  # 10: accepted, EMULATED
        said = done.stdout[-400:] + done.stderr[-400:]
        raise Failed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def leaf_bytes(port):
    """Size of the leaf that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as raw:
        with context.wrap_socket(raw, server_hostname=NAME) as tls:
            return len(tls.getpeercert(binary_form=True))


def platform_answer(port, path):
    """Body of a platform answer, as text."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as raw:
        with context.wrap_socket(raw, server_hostname=NAME) as tls:
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := tls.recv(65536):
                answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or b"chunked" in head:
        raise Failed(f"{path}: {head[:200]}")
    return body.decode()


def descendants(pid):
    out = [pid]
    for parent in out:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            out += [int(child) for child in path.read_text().split()]
    return out


def cpu_us(pid):
    """CPU of all threads of a process so far. Threads here live as long as their process."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e3


class Server:
    """A process tree on SERVER_CORE."""

    def __init__(self, log, *command):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_CORE), *map(str, command)], stdout=out, stderr=out)

    def cpu(self):
        """Microseconds by process: {pid: µs}. The first is the daemon (nginx: the master)."""
        return {pid: cpu_us(pid) for pid in descendants(self.process.pid)}

    def text(self):
        if self.process.poll() is not None:
            raise Failed(f"the server ended: {Path(self.log).read_text()[-800:]}")
        return Path(self.log).read_text()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Mini(Server):
    def __init__(self, bins, work):
        self.bins, self.work, self.port = bins, work, free_port()
        platform, sock = work / "platform", work / "aesm.sock"
        run(bins / "sgx-quoting-emulator", "init", "--dir", platform)
        with open(work / "quoting.log", "wb") as out:
            self.quoter = subprocess.Popen(
                ["taskset", "-c", str(LOAD_CORE), bins / "sgx-quoting-emulator", "serve",
                 "--dir", platform, "--socket", sock, "--latency-ms", str(QUOTE_MS)],
                stdout=out, stderr=out)
        await_event("the quoting emulator", sock.exists)
        super().__init__(work / "mini.log", bins / "enclave-os-mini", "run",
                         "--listen", f"127.0.0.1:{self.port}", "--state-dir", work / "state",
                         "--quote-socket", sock, "--drain-timeout", 1,
                         "--runner-arg=--identity", f"--runner-arg={platform / 'cpu.identity'}")

    def provision(self):
        await_event("the first quote", lambda: "evidence ready" in self.text())
        text, work = self.text(), self.work
        ctl = (self.bins / "enclavectl", "--home", work / "contexts")
        run(*ctl, "pki", "--dir", work / "pki", "init", "--organization", "Bench")
        mr_enclave = re.search(r"MRENCLAVE ([0-9a-f]{64})", text)[1]
        token = re.findall(r"provisioning token ([0-9a-f]{32})", text)[-1]
        run(*ctl, "mini", "provision", "--address", f"127.0.0.1:{self.port}",
            "--server-name", NAME, "--mrenclave", mr_enclave,
            "--test-root", work / "platform/root.pem", "--root", work / "pki/root.pem",
            "--owner-key", work / "pki/owner.key", "--pki", work / "pki", "--token", token,
            "--collateral", work / "platform/collateral.json",
            "--platform-name", NAME, "--permit", "example.test")

    def stop(self):
        super().stop()
        self.quoter.terminate()
        self.quoter.wait()


NGINX_CONF = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 60s; server_tokens off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen 127.0.0.1:{port} ssl reuseport; server_name {name};
    ssl_certificate {dir}/chain.pem; ssl_certificate_key {dir}/leaf.key;
    ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off; ssl_ecdh_curve X25519;
{answers}
  }}
}}
"""


class Nginx(Server):
    def __init__(self, work, bodies, same_leaf_bytes):
        self.port, folder = free_port(), work / "nginx"
        folder.mkdir()
        self.make_chain(folder, same_leaf_bytes - CERTIFICATE_BYTES)
        answers = "\n".join(f"    location = {path} {{ default_type application/json; "
                            f"return 200 '{body}'; }}" for path, body in bodies.items())
        conf = NGINX_CONF.format(dir=folder, port=self.port, name=NAME, answers=answers)
        (folder / "nginx.conf").write_text(conf)
        super().__init__(folder / "log", "nginx", "-p", folder, "-c", folder / "nginx.conf")
        await_event("nginx", self.accepts)

    def accepts(self):
        self.text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def make_chain(folder, blob_bytes):
        """Root, intermediate, and a P-256 leaf as large as Mini's."""
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")
        ca = ("-addext", "basicConstraints=critical,CA:TRUE")
        blob = ":".join(["5a"] * blob_bytes)
        (folder / "leaf.cnf").write_text(
            f"subjectAltName=DNS:{NAME}\n1.2.840.113741.1.13.1=DER:{blob}\n")
        f = lambda name: folder / name
        run("openssl", "req", "-x509", *key, "-keyout", f("root.key"), "-out", f("root.pem"),
            "-subj", "/CN=root", "-days", "2")
        run("openssl", "req", "-x509", *key, *ca, "-keyout", f("ca.key"), "-out", f("ca.pem"),
            "-subj", "/CN=ca", "-days", "2", "-CA", f("root.pem"), "-CAkey", f("root.key"))
        run("openssl", "req", *key, "-keyout", f("leaf.key"), "-out", f("leaf.csr"),
            "-subj", f"/CN={NAME}")
        run("openssl", "x509", "-req", "-in", f("leaf.csr"), "-out", f("leaf.pem"), "-sha256",
            "-CA", f("ca.pem"), "-CAkey", f("ca.key"), "-CAcreateserial", "-days", "2",
            "-extfile", f("leaf.cnf"))
        f("chain.pem").write_text(f("leaf.pem").read_text() + f("ca.pem").read_text())


class Bench:
    def __init__(self, bins, rounds, seconds):
        self.bins, self.rounds, self.seconds, self.rows = bins, rounds, seconds, []

    def start_load(self, server, mode, concurrency, seconds=None, path="/healthz"):
        return subprocess.Popen(
            ["taskset", "-c", str(LOAD_CORE), self.bins / "https-load", mode, "--path", path,
             "--port", str(server.port), "--server-name", NAME,
             "--concurrency", str(concurrency), "--seconds", str(seconds or self.seconds)],
            stdout=subprocess.PIPE, text=True)

    def finish_load(self, load):
        out, _ = load.communicate(timeout=DEADLINE_S)
        if load.returncode != 0:
            raise Failed("the load program failed")
        return json.loads(out)

    def measure(self, server, mode, concurrency, path):
        """One round: what the load saw, with CPU per operation, and by process."""
        before = server.cpu()
        result = self.finish_load(self.start_load(server, mode, concurrency, path=path))
        after = server.cpu()
        if result["operations"] == 0 or result["failures"]:
            raise Failed(f"a round without answers, or with failures: {result}")
        spent = [(after[pid] - before.get(pid, 0)) / result["operations"] for pid in sorted(after)]
        return result | {"cpu_us": sum(spent), "by_process": spent}

    def compare_cpu(self, what, mode, concurrency, servers, target, path="/healthz"):
        results = {name: [] for name in servers}
        for _ in range(self.rounds):
            for name, server in servers.items():
                results[name].append(self.measure(server, mode, concurrency, path))
        ours, peer = ([r["cpu_us"] for r in rounds] for rounds in results.values())
        for name, rounds in results.items():
            rate = statistics.median(r["operations"] / r["seconds"] for r in rounds)
            parts = [statistics.median(part) for part in zip(*(r["by_process"] for r in rounds))]
            print(f"  {what}, {name}: {rate:.0f}/s seen; CPU us/op by process "
                  + " + ".join(f"{p:.1f}" for p in parts), flush=True)
        self.row(what, spread(ours, "us"), spread(peer, "us"),
                 statistics.median(ours) / statistics.median(peer), target)

    def idle(self, mini):
        """Share of a core in a second with nothing to do, after the rings went quiet."""
        time.sleep(QUIET_AFTER_S)
        shares = []
        for _ in range(self.rounds):
            before, start = sum(mini.cpu().values()), time.monotonic()
            time.sleep(1)
            spent_s = (sum(mini.cpu().values()) - before) / 1e6
            shares.append(100 * spent_s / (time.monotonic() - start))
        self.row("idle, per cent of a core", spread(shares, "%"), "-",
                 statistics.median(shares), 0.5)

    def challenges(self, mini):
        """p99 of ordinary handshakes, one at a time, without and with a saturated quoter."""
        calm, loaded = [], []
        for _ in range(self.rounds):
            calm.append(self.finish_load(self.start_load(mini, "handshakes", 1))["p99_us"])
            flood = self.start_load(mini, "challenges", 8, seconds=self.seconds + 1)
            time.sleep(0.5)  # the length of a burst before the measurement, not a wait for an event
            loaded.append(self.finish_load(self.start_load(mini, "handshakes", 1))["p99_us"])
            seen = self.finish_load(flood)
            print(f"  challenges: {seen['operations'] / seen['seconds']:.1f}/s, "
                  f"{seen['failures']} refused, p50 {seen['p50_us'] / 1e3:.0f} ms; "
                  f"ordinary handshakes p99 {calm[-1]:.0f} -> {loaded[-1]:.0f} us", flush=True)
        self.row("handshake p99 while challenged", spread(loaded, "us"), spread(calm, "us"),
                 statistics.median(loaded) / statistics.median(calm), 1.5)

    def row(self, what, ours, peer, value, target):
        verdict = "target met" if value <= target else "target missed"
        self.rows.append((what, ours, peer, f"{value:.2f}", f"<= {target}", verdict))

    def table(self):
        head = ("what", "Mini", "peer", "ratio", "target", "verdict")
        rows = [head, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def spread(values, unit):
    return f"{statistics.median(values):.4g} {unit} [{min(values):.4g}-{max(values):.4g}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bins", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("mini_bench: needs two cores, one for the servers and one for the load: skipped")
        return 0

    work = Path(tempfile.mkdtemp(prefix="enclave-os-bench."))
    bench, servers = Bench(args.bins, args.rounds, args.seconds), []
    ok = False
    try:
        mini = Mini(args.bins, work)
        servers.append(mini)
        mini.provision()
        bodies = {path: platform_answer(mini.port, path) for path in PATHS}
        nginx = Nginx(work, bodies, leaf_bytes(mini.port))
        servers.append(nginx)
        pair = {"Mini": mini, "nginx": nginx}
        print(f"{args.rounds} rounds of {args.seconds} s; load average {os.getloadavg()[0]:.1f}; "
              f"leaf: Mini {leaf_bytes(mini.port)} bytes, nginx {leaf_bytes(nginx.port)}",
              flush=True)
        bench.compare_cpu("full handshake", "handshakes", 8, pair, 1.3)
        for path in PATHS:
            bench.compare_cpu(f"GET of {len(bodies[path])} bytes, keep-alive", "requests", 32, pair,
                              2.0, path)
        bench.idle(mini)
        bench.challenges(mini)
        print()
        bench.table()
        ok = True
        return 0
    except Failed as error:
        print(f"mini_bench: {error}; logs are in {work}", file=sys.stderr)
        return 1
    finally:
        for server in servers:
            server.stop()
        if ok:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
