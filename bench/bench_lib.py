# SPDX-License-Identifier: AGPL-3.0-only
"""What the benches of running servers share: servers and their CPU, peers, load, and the table of ratios.

The servers have core 0, load and backends core 1. CPU is of all threads of a server's processes, from
/proc/PID/task/*/schedstat. Servers take turns, round by round; a ratio is that of the medians.
"""
import argparse
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import time
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
QUOTE_MS = 39          # what a hardware quote was seen to take; one after the other
CERTIFICATE_BYTES = 422  # a peer's leaf without its blob
DEADLINE_S = 120
SLACK = 1.1            # a ratio beyond its target by more than this is measured once more


class Failed(Exception):
    pass


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bins", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round with one server")
    parser.add_argument("--short", action="store_true", help="to see that it runs: two short rounds, less of all")
    parser.add_argument("--json", type=Path, help="a folder, for the rows in a file")
    return parser


def parse_arguments(parser):
    args = parser.parse_args()
    if args.short:
        args.rounds, args.seconds = 2, 0.3
    return args


def has_cores():
    """One for the servers and one for the load."""
    return {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_event(what, condition, pause_s=0.05):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(pause_s)
    raise Failed(f"waited {DEADLINE_S} s in vain for {what}")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          timeout=DEADLINE_S)
    if done.returncode not in (0, 10):  # 10: accepted, EMULATED
        said = done.stdout[-400:] + done.stderr[-400:]
        raise Failed(f"{command[0]} ended with {done.returncode}: {said}")
    return done.stdout


def connect(port, name):
    """TLS without looking at whom it is to: a benchmark has no secrets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    return context.wrap_socket(raw, server_hostname=name)


def leaf_bytes(port, name):
    """Size of the leaf that a server shows."""
    with connect(port, name) as tls:
        return len(tls.getpeercert(binary_form=True))


def get(port, name, path):
    """Body of an answer."""
    with connect(port, name) as tls:
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
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


def pss_kb(pid):
    """Memory of a process, swapped out or not; what it shares with others by its share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(("Pss:", "SwapPss:")))


class Server:
    """A process tree on one core."""

    def __init__(self, log, *command, core=SERVER_CORE, env=None):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)],
                                            stdout=out, stderr=out, env={**os.environ, **(env or {})})

    def pids(self):
        """Whose CPU and memory count. The first is the daemon (nginx: the master)."""
        return descendants(self.process.pid)

    def cpu(self):
        """Microseconds by process: {pid: µs}."""
        return {pid: cpu_us(pid) for pid in self.pids()}

    def memory_kb(self):
        return sum(pss_kb(pid) for pid in self.pids())

    def text(self):
        if self.process.poll() is not None:
            raise Failed(f"the server ended: {Path(self.log).read_text()[-800:]}")
        return Path(self.log).read_text()

    def accepts(self):
        self.text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def make_chain(folder, name, leaf_size):
    """Root, intermediate, and a P-256 leaf of a size: leaf.key, chain.pem (leaf, intermediate)."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")
    ca = ("-addext", "basicConstraints=critical,CA:TRUE")
    blob = ":".join(["5a"] * (leaf_size - CERTIFICATE_BYTES))
    extensions = f"subjectAltName=DNS:{name}\n"
    if blob:
        extensions += f"1.2.840.113741.1.13.1=DER:{blob}\n"
    (folder / "leaf.cnf").write_text(extensions)
    f = lambda file: folder / file
    run("openssl", "req", "-x509", *key, "-keyout", f("root.key"), "-out", f("root.pem"),
        "-subj", "/CN=root", "-days", "2")
    run("openssl", "req", "-x509", *key, *ca, "-keyout", f("ca.key"), "-out", f("ca.pem"),
        "-subj", "/CN=ca", "-days", "2", "-CA", f("root.pem"), "-CAkey", f("root.key"))
    run("openssl", "req", *key, "-keyout", f("leaf.key"), "-out", f("leaf.csr"),
        "-subj", f"/CN={name}")
    run("openssl", "x509", "-req", "-in", f("leaf.csr"), "-out", f("leaf.pem"), "-sha256",
        "-CA", f("ca.pem"), "-CAkey", f("ca.key"), "-CAcreateserial", "-days", "2",
        "-extfile", f("leaf.cnf"))
    f("chain.pem").write_text(f("leaf.pem").read_text() + f("ca.pem").read_text())


def nginx_tls_server(folder, port, name, locations, protocols=""):
    """The peer, tuned fairly: one worker, TLS 1.3 only, nothing resumed, no log."""
    return f"""
  server {{
    listen 127.0.0.1:{port} ssl {protocols} reuseport backlog=4096; server_name {name};
    ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/leaf.key;
    ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off; ssl_ecdh_curve X25519;
    {locations}
  }}"""


class Nginx(Server):
    """in: what stands in its http block."""

    def __init__(self, folder, port, body, core=SERVER_CORE):
        self.port = port
        (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
worker_rlimit_nofile 20000; {"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {body}
}}
""")
        super().__init__(folder / "log", "nginx", "-p", folder, "-e", folder / "error.log",
                         "-c", folder / "nginx.conf", core=core)
        await_event("nginx", self.accepts)


def spread(values, unit):
    return f"{statistics.median(values):.4g} {unit} [{min(values):.4g}-{max(values):.4g}]"


def ratio(ours, peers):
    return statistics.median(ours) / statistics.median(peers)


class Bench:
    """Rounds of load, and what came out."""

    def __init__(self, bins, name, rounds, seconds):
        self.bins, self.name, self.rounds, self.seconds, self.rows = bins, name, rounds, seconds, []

    def start_load(self, server, mode, concurrency=1, seconds=None, path="/healthz", streams=0):
        return subprocess.Popen(
            ["taskset", "-c", str(LOAD_CORE), self.bins / "https-load", mode, "--path", path,
             "--port", str(server.port), "--server-name", self.name, "--streams", str(streams),
             "--concurrency", str(concurrency), "--seconds", str(seconds or self.seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish_load(self, load):
        out, _ = load.communicate(timeout=DEADLINE_S)
        if load.returncode != 0:
            raise Failed("the load program failed")
        return json.loads(out)

    def measure(self, server, mode, concurrency, **load):
        """One round: what the load saw, with CPU per operation, and by process."""
        before = server.cpu()
        result = self.finish_load(self.start_load(server, mode, concurrency, **load))
        after = server.cpu()
        if result["operations"] == 0 or result["failures"]:
            raise Failed(f"a round without answers, or with failures: {result}")
        spent = [(after[pid] - before.get(pid, 0)) / result["operations"] for pid in sorted(after)]
        return result | {"cpu_us": sum(spent), "by_process": spent}

    def measure_all(self, what, mode, concurrency, servers, **load):
        """CPU per operation by server, in rounds."""
        results = {name: [] for name in servers}
        for _ in range(self.rounds):
            for name, server in servers.items():
                results[name].append(self.measure(server, mode, concurrency, **load))
        for name, rounds in results.items():
            rate = statistics.median(r["operations"] / r["seconds"] for r in rounds)
            parts = [statistics.median(part) for part in zip(*(r["by_process"] for r in rounds))]
            busy = rate * sum(parts) / 1e4
            print(f"  {what}, {name}: {rate:.0f}/s seen, its core {busy:.0f} % busy; CPU us/op by "
                  "process " + " + ".join(f"{p:.1f}" for p in parts), flush=True)
        return {name: [r["cpu_us"] for r in rounds] for name, rounds in results.items()}

    def compare_cpu(self, what, mode, concurrency, servers, targets, **load):
        """The first of `servers` against the others; `targets` by their names. Once more if one is missed."""
        measure = lambda: self.measure_all(what, mode, concurrency, servers, **load)
        self.compare(what, "us", measure, targets)

    def compare(self, what, unit, measure, targets):
        """Rows of what measure() returns, {server: values}: the first server against all others."""
        all_of = measure()
        if any(ratio(next(iter(all_of.values())), all_of[peer]) > SLACK * t for peer, t in targets.items()):
            print(f"  {what}: once more, because a target was missed", flush=True)
            all_of = measure()
        self.add_rows(what, unit, all_of, targets)

    def add_rows(self, what, unit, all_of, targets):
        ours = next(iter(all_of))
        for peer, values in all_of.items():
            if peer != ours:
                self.row(what, peer, spread(all_of[ours], unit), spread(values, unit),
                         ratio(all_of[ours], values), targets.get(peer))

    def idle(self, server, quiet_after_s):
        """Share of a core in a second with nothing to do."""
        time.sleep(quiet_after_s)
        shares = []
        for _ in range(self.rounds):
            before, start = sum(server.cpu().values()), time.monotonic()
            time.sleep(1)
            spent_s = (sum(server.cpu().values()) - before) / 1e6
            shares.append(100 * spent_s / (time.monotonic() - start))
        self.row("idle, per cent of a core", "-", spread(shares, "%"), "-",
                 statistics.median(shares), 0.5)

    def challenges(self, server, targets):
        """p99 of ordinary handshakes, one at a time, without and with a saturated quoter."""
        def measure():
            calm, loaded = [], []
            for _ in range(self.rounds):
                calm.append(self.finish_load(self.start_load(server, "handshakes"))["p99_us"])
                flood = self.start_load(server, "challenges", 8, seconds=self.seconds + 1)
                time.sleep(0.5)  # the length of a burst before the measurement, not a wait for an event
                loaded.append(self.finish_load(self.start_load(server, "handshakes"))["p99_us"])
                seen = self.finish_load(flood)
                print(f"  challenges: {seen['operations'] / seen['seconds']:.1f}/s, "
                      f"{seen['failures']} refused, p50 {seen['p50_us'] / 1e3:.0f} ms; "
                      f"ordinary handshakes p99 {calm[-1]:.0f} -> {loaded[-1]:.0f} us", flush=True)
            return {"challenged": loaded, "unloaded": calm}
        self.compare("handshake p99 while challenged", "us", measure, targets)

    def row(self, what, peer, ours, peers, value, target):
        if target is None:
            verdict = "for comparison"
        elif value <= target:
            verdict = "met"
        else:
            verdict = "met within 10 %" if value <= SLACK * target else "missed"
        self.rows.append({"what": what, "ours": ours, "peer": peer, "peer's": peers, "ratio": round(value, 3),
                          "target": target, "verdict": verdict})

    def table(self):
        head = ("what", "ours", "peer", "peer's", "ratio", "target", "verdict")
        rows = [head]
        for row in self.rows:
            target = "" if row["target"] is None else f"<= {row['target']}"
            rows.append((row["what"], row["ours"], row["peer"], row["peer's"], f"{row['ratio']:.2f}",
                         target, row["verdict"]))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def finish(self, args, file):
        """Says what came out; also to a file, if it is wanted."""
        print()
        self.table()
        if not args.json:
            return
        conditions = {"rounds": self.rounds, "seconds": self.seconds, "load_average": os.getloadavg()[0]}
        (args.json / file).write_text(json.dumps({"conditions": conditions, "rows": self.rows}, indent=1) + "\n")
