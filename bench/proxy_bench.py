#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The Virtual proxy beside nginx, HAProxy and Caddy in the same run.

All four terminate TLS 1.3 in front of the same service, an nginx that answers with 1 KiB or 1 MiB. The
proxy runs as its users run it, with its minter, in an emulated guest of TDX; the emulator stands for
hardware and does not count. No timing fails: a missed target is printed as one.
usage: proxy_bench.py BIN_FOLDER [--rounds N] [--seconds S] [--short] [--only WORD…] [--json FOLDER]
"""
import json
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_lib import (LOAD_CORE, QUOTE_MS, SERVER_CORE, Bench, Failed, Nginx, Server, argument_parser, await_event,
                       connect, free_port, get, has_cores, leaf_bytes, make_chain, nginx_tls_server,
                       parse_arguments, run)

NAME = "service.example.test"
PLATFORM = "vm.example.test"
SMALL, LARGE = "/1k", "/1m"
SMALL_BYTES, LARGE_BYTES = 1024, 1024 * 1024
CONNECTIONS = 9800     # two descriptors each, of a hard limit of 20,000
HELD = 9000
NAMES = 10_000
SKIPPED = 77


class Proxy(Server):
    """Minter and proxy. The guest's emulator runs beside the load."""

    def __init__(self, bins, folder, backend_port):
        self.bins, self.folder, self.backend_port, self.port = bins, folder, backend_port, free_port()
        (folder / "state").mkdir(mode=0o700, parents=True)
        run(bins / "tsm-emulator", "init", folder / "guests")
        self.write_config([NAME])
        self.start()

    def write_config(self, names):
        routes = "".join(f"  - name: r{i}\n    hostname: {name}\n    upstream: {{tcp: '127.0.0.1:{self.backend_port}', "
                         "keepalive: 256}\n" for i, name in enumerate(names))
        (self.folder / "virtual.yaml").write_text(f"""version: 1
platform:
  name: {PLATFORM}
  listen: [{{address: "127.0.0.1:{self.port}"}}]
  policy: {{drain_time_s: 1}}
  log: {{access: off}}
  limits: {{threads: 1, connections: {CONNECTIONS}, connections_per_address: {CONNECTIONS}}}
routes:
{routes}""")

    def start(self):
        folder, bins = self.folder, self.bins
        self.socket, policy_log = folder / "minter.sock", folder / "policy-log.json"
        policy_log.unlink(missing_ok=True)  # an emulated guest boots each time, with registers of zeros
        self.guest = Server(
            folder / "minter.log", bins / "tsm-emulator", "run", folder / "guests", "--tee", "tdx-v4",
            "--latency-ms", QUOTE_MS, "--", "taskset", "-c", SERVER_CORE, bins / "enclave-os-minter", "run",
            "--config", folder / "virtual.yaml", "--state", folder / "state", "--socket", self.socket,
            "--policy-log", policy_log, "--proxy-user", os.getuid(), core=LOAD_CORE)
        await_event("the minter", lambda: self.guest.text() and self.socket.exists(), pause_s=0.002)
        super().__init__(folder / "proxy.log", bins / "enclave-os-proxy", "run", self.socket,
                         "--minter-user", os.getuid(), "--control", folder / "control.sock")
        await_event("the proxy", lambda: "listening" in self.text(), pause_s=0.002)

    def pids(self):
        minter = [pid for pid in self.guest.pids() if Path(f"/proc/{pid}/comm").read_text().startswith("enclave-os-mint")]
        return [self.process.pid, *minter]

    def own(self):
        folder = self.folder
        token = re.findall(r"token\D{1,4}([0-9a-f]{32})", self.guest.text())[-1]
        ctl = (self.bins / "enclavectl", "--home", folder / "home")
        run(self.bins / "tsm-emulator", "collateral", folder / "guests", "--out", folder / "collateral.json")
        run(*ctl, "pki", "--dir", folder / "pki", "init", "--organization", "Bench")
        run(*ctl, "context", "add", "vm", "--address", f"127.0.0.1:{self.port}", "--server-name", PLATFORM,
            "--policy", folder / "guests/tdx/policy.json", "--root", folder / "pki/root.pem",
            "--owner-key", folder / "pki/owner.key", "--collateral", folder / "collateral.json")
        run(*ctl, "mini", "provision", "--pki", folder / "pki", "--token", token,
            "--platform-name", PLATFORM, "--permit", "example.test")

    def stop(self):
        super().stop()
        self.guest.stop()


def start_backend(folder):
    port = free_port()
    folder.mkdir()
    (folder / "1m").write_bytes(b"x" * LARGE_BYTES)
    return Nginx(folder, port, f"""
  server {{
    listen 127.0.0.1:{port};
    location = {SMALL} {{ return 200 '{"x" * SMALL_BYTES}'; }}
    location = {LARGE} {{ root {folder}; sendfile on; }}
  }}""", core=LOAD_CORE)


def start_nginx(folder, backend_port):
    port = free_port()
    upstream = f"upstream service {{ server 127.0.0.1:{backend_port}; keepalive 256; keepalive_requests 1000000000; }}"
    location = """location / {
      proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
      proxy_max_temp_file_size 0; proxy_buffer_size 32k; proxy_buffers 16 32k; proxy_busy_buffers_size 64k;
    }"""
    return Nginx(folder, port, upstream + nginx_tls_server(folder, port, NAME, location, "http2"))


class Haproxy(Server):
    def __init__(self, folder, backend_port):
        self.port = free_port()
        (folder / "haproxy.pem").write_text((folder / "chain.pem").read_text() + (folder / "leaf.key").read_text())
        (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 9900
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option forwardfor
  http-reuse always
frontend clients
  bind 127.0.0.1:{self.port} ssl crt {folder}/haproxy.pem alpn h2,http/1.1 curves X25519 backlog 4096
  http-request set-header X-Forwarded-Proto https
  default_backend service
backend service
  server one 127.0.0.1:{backend_port}
""")
        super().__init__(folder / "haproxy.log", "haproxy", "-db", "-f", folder / "haproxy.cfg")
        await_event("HAProxy", self.accepts)


class Caddy(Server):
    """in: pairs of files, certificate chain and key."""

    def __init__(self, folder, backend_port, pairs):
        self.port = free_port()
        server = {
            "listen": [f"127.0.0.1:{self.port}"], "automatic_https": {"disable": True},
            "tls_connection_policies": [{"protocol_min": "tls1.3", "curves": ["x25519"]}],
            "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{backend_port}"}],
                                    "transport": {"protocol": "http", "compression": False,
                                                  "keep_alive": {"max_idle_conns_per_host": 256}}}]}]}
        config = {
            "admin": {"disabled": True}, "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {"http": {"servers": {"clients": server}},
                     "tls": {"session_tickets": {"disabled": True},
                             "certificates": {"load_files": [{"certificate": str(c), "key": str(k)}
                                                             for c, k in pairs]}}}}
        (folder / "caddy.json").write_text(json.dumps(config))
        super().__init__(folder / "caddy.log", "caddy", "run", "--config", folder / "caddy.json",
                         env={"GOMAXPROCS": "1", "HOME": str(folder)})
        await_event("Caddy", self.accepts, pause_s=0.002)


def held_memory(bench, servers, targets):
    """kB for each connection that says nothing after its handshake. Before any other load."""
    def hold(server):
        load = bench.start_load(server, "hold", HELD)
        if not load.stdout.readline():
            raise Failed("the connections could not be opened")
        memory = server.memory_kb()
        load.stdin.close()
        load.wait()
        return memory

    def measure(name, server):
        # What a first connection loads is not a connection's.
        bench.finish_load(bench.start_load(server, "handshakes", 8, seconds=0.2))
        empty = server.memory_kb()
        each = (hold(server) - empty) / HELD
        print(f"  {HELD} idle connections, {name}: {each:.2f} kB each, beside {empty} kB", flush=True)
        return each

    each = {name: [measure(name, server)] for name, server in servers.items()}
    bench.add_rows(f"memory of one of {HELD} idle connections", "kB", each, targets)


def name_of(i):
    return f"n{i:05}.example.test"


def many_certificates(folder, count):
    """A certificate and key for each name, as files. Their signatures are those of the first: no server looks."""
    folder.mkdir()
    make_chain(folder, name_of(0), 0)
    first = ssl.PEM_cert_to_DER_cert((folder / "leaf.pem").read_text())
    issuer, pairs = (folder / "ca.pem").read_text(), []
    for i in range(count):
        leaf = first.replace(name_of(0).encode(), name_of(i).encode())
        file = folder / f"{i}.pem"
        file.write_text(ssl.DER_cert_to_PEM_cert(leaf) + issuer)
        pairs.append((file, folder / "leaf.key"))
    return pairs


def many_names(bench, work, proxy, backend_port, count, rounds):
    """Time from starting to the first handshake for the last name, and memory then."""
    seconds, memory = {"proxy": [], "Caddy": []}, {"proxy": [], "Caddy": []}
    pairs = many_certificates(work / "names", count)
    proxy.write_config([name_of(i) for i in range(count)])

    def start_caddy():
        return Caddy(work / "names", backend_port, pairs)

    def start_proxy():
        proxy.start()
        return proxy

    def first_handshake(server):
        try:
            connect(server.port, name_of(count - 1)).close()
            return True
        except (OSError, ssl.SSLError):
            return False

    for _ in range(rounds):
        for name, start in (("proxy", start_proxy), ("Caddy", start_caddy)):
            began = time.monotonic()
            server = start()
            await_event("the last name", lambda: first_handshake(server), pause_s=0.002)
            seconds[name].append(time.monotonic() - began)
            memory[name].append(server.memory_kb() / 1024)
            server.stop()
    bench.add_rows(f"start with {count} names", "s", seconds, {"Caddy": 1.0})
    bench.add_rows(f"memory with {count} names", "MB", memory, {"Caddy": 1.0})


def measure(bench, args, work, proxy, servers, backend_port):
    wanted = lambda word: not args.only or word in args.only
    if wanted("memory"):
        held_memory(bench, servers, {"nginx": 1.1})
    if wanted("handshake"):
        bench.compare_cpu("full handshake", "handshakes", 8, servers, {"nginx": 1.05, "Caddy": 0.85})
    if wanted("h1"):
        bench.compare_cpu("1 KiB over HTTP/1.1, 32 connections", "requests", 32, servers,
                          {"nginx": 1.15, "Caddy": 0.3}, path=SMALL)
    if wanted("h2"):
        bench.compare_cpu("1 KiB over HTTP/2, 4 connections of 16 streams", "requests", 4, servers,
                          {"nginx": 1.0}, path=SMALL, streams=16)
    if wanted("large"):
        bench.compare_cpu("1 MiB over HTTP/1.1, 8 connections", "requests", 8, servers,
                          {"nginx": 1.15}, path=LARGE)
        bench.compare_cpu("1 MiB over HTTP/2, 8 connections", "requests", 8, servers,
                          {"nginx": 1.15}, path=LARGE, streams=1)
    if wanted("challenge"):
        bench.challenges(proxy, {"unloaded": 1.5})
    if wanted("idle"):
        bench.idle(proxy, 3)
    if wanted("names"):
        proxy.stop()
        many_names(bench, work, proxy, backend_port, NAMES // 10 if args.short else NAMES, min(bench.rounds, 3))


def arguments():
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="+", default=[],
                        choices=["memory", "handshake", "h1", "h2", "large", "challenge", "idle", "names"])
    return parse_arguments(parser)


def main():
    args = arguments()
    if not has_cores():
        print("proxy_bench: needs two cores, one for the servers and one for the load: skipped")
        return 0
    lacks = subprocess.run([args.bins / "tsm-emulator", "check"], capture_output=True, text=True)
    if lacks.returncode == SKIPPED:
        print("proxy_bench: skipped:", (lacks.stdout + lacks.stderr).strip())
        return 0
    os.sched_setaffinity(0, {LOAD_CORE})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    work = Path(tempfile.mkdtemp(prefix="enclave-os-bench."))
    bench, started = Bench(args.bins, NAME, args.rounds, args.seconds), []
    ok = False
    try:
        started.append(start_backend(work / "backend"))
        backend_port = started[0].port
        proxy = Proxy(args.bins, work / "proxy", backend_port)
        started.append(proxy)
        proxy.own()
        await_event("the first leaf", lambda: len(get(proxy.port, NAME, SMALL)) == SMALL_BYTES)
        peers = work / "peers"
        peers.mkdir()
        make_chain(peers, NAME, leaf_bytes(proxy.port, NAME))
        started.append(start_nginx(peers, backend_port))
        started.append(Haproxy(peers, backend_port))
        started.append(Caddy(peers, backend_port, [(peers / "chain.pem", peers / "leaf.key")]))
        servers = dict(zip(("proxy", "nginx", "HAProxy", "Caddy"), started[1:]))
        sizes = ", ".join(f"{name} {leaf_bytes(server.port, NAME)}" for name, server in servers.items())
        print(f"{args.rounds} rounds of {args.seconds} s; load average {os.getloadavg()[0]:.1f}; leaves in bytes: "
              f"{sizes}", flush=True)
        measure(bench, args, work, proxy, servers, backend_port)
        bench.finish(args, "proxy_bench.json")
        ok = True
        return 0
    except Failed as error:
        print(f"proxy_bench: {error}; logs are in {work}", file=sys.stderr)
        return 1
    finally:
        for server in reversed(started):
            if server.process.poll() is None:
                server.stop()
        if ok:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
