#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""Mini beside nginx in the same run: CPU per operation, idle cost, latency under challenges.

The server has core 0, the load core 1. The CPU of Mini is that of daemon and trusted process
together, spinning included, from /proc/PID/task/*/schedstat. Mini and nginx take turns. No timing
fails: a missed target is printed as one.
usage: mini_bench.py BIN_FOLDER [--rounds N] [--seconds S] [--short] [--json FOLDER]
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_lib import (LOAD_CORE, QUOTE_MS, Bench, Failed, Nginx, Server, argument_parser, await_event, free_port,
                       get, has_cores, leaf_bytes, make_chain, nginx_tls_server, parse_arguments, run)

QUIET_AFTER_S = 3        # the daemon's timer slows down a second after the last message
NAME = "mini.example.test"
PATHS = ("/healthz", "/api/v1/config/manifest")  # a short platform answer, and one of 1 to 2 KiB


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


def start_nginx(work, bodies, leaf_size):
    folder, port = work / "nginx", free_port()
    folder.mkdir()
    make_chain(folder, NAME, leaf_size)
    locations = "\n".join(f"    location = {path} {{ default_type application/json; return 200 '{body}'; }}"
                          for path, body in bodies.items())
    return Nginx(folder, port, nginx_tls_server(folder, port, NAME, locations))


def main():
    args = parse_arguments(argument_parser(__doc__))
    if not has_cores():
        print("mini_bench: needs two cores, one for the servers and one for the load: skipped")
        return 0

    work = Path(tempfile.mkdtemp(prefix="enclave-os-bench."))
    bench, servers = Bench(args.bins, NAME, args.rounds, args.seconds), []
    ok = False
    try:
        mini = Mini(args.bins, work)
        servers.append(mini)
        mini.provision()
        bodies = {path: get(mini.port, NAME, path) for path in PATHS}
        nginx = start_nginx(work, bodies, leaf_bytes(mini.port, NAME))
        servers.append(nginx)
        pair = {"Mini": mini, "nginx": nginx}
        print(f"{args.rounds} rounds of {args.seconds} s; load average {os.getloadavg()[0]:.1f}; "
              f"leaf: Mini {leaf_bytes(mini.port, NAME)} bytes, "
              f"nginx {leaf_bytes(nginx.port, NAME)}", flush=True)
        bench.compare_cpu("full handshake", "handshakes", 8, pair, {"nginx": 1.3})
        for path in PATHS:
            bench.compare_cpu(f"GET of {len(bodies[path])} bytes, keep-alive", "requests", 32, pair,
                              {"nginx": 2.0}, path=path)
        bench.idle(mini, QUIET_AFTER_S)
        bench.challenges(mini, {"unloaded": 1.5})
        bench.finish(args, "mini_bench.json")
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
