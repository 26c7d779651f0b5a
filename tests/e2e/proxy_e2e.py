#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The proxy in front of real upstreams: Debian's nginx where it is installed, and some that lie, stall and die."""
import base64
import concurrent.futures
import hashlib
import http.client
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from rig import end, free_ports, number_of, wait_for

NAME = "a.example.test"
RAW = "raw.example.test"
SIZE = 64 * 1024 * 1024


class Upstream:
    """Accepts connections and gives each to `serve`, in a thread of its own."""

    def __init__(self, serve):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.serve = serve
        self.seen = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(120)  # longer than the proxy keeps it for the next request
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            with connection:
                self.serve(self, connection)
        except OSError:
            pass


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    return data


def echo_everything(upstream, connection):
    """Answers each request with what was received of it; understands Content-Length alone."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return
            data += piece
        head, data = data.split(b"\r\n\r\n", 1)
        upstream.seen.append(head)
        if b"upgrade: websocket" in head.lower():
            return echo_frames(head, connection)
        body = head + b"\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def echo_frames(head, connection):
    key = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while data := connection.recv(65536):
        connection.sendall(data)


class Proxy:
    """The program, in front of `upstreams`: (hostname, port, further lines of the route)."""

    def __init__(self, bin_folder, work, upstreams, more=""):
        self.port, self.ops_port = free_ports(2)
        self.work = work
        self.config = work / "proxy.yaml"
        self.write(upstreams, more)
        self.log_path = work / f"proxy.{self.port}.log"
        self.log = self.open_log()
        self.process = subprocess.Popen([bin_folder / "enclave-os-proxy-unattested", self.config], stderr=self.log)
        wait_for("listening", lambda: "listening" in self.text())

    def open_log(self):
        return open(self.log_path, "wb")

    def write(self, upstreams, more=""):
        routes = "".join(
            f"  - name: r{i}\n    hostname: {name}\n    upstream:\n      tcp: 127.0.0.1:{port}\n{lines}"
            for i, (name, port, lines) in enumerate(upstreams))
        self.config.write_text(
            f"version: 1\nplatform:\n  name: vm.example.test\n  listen:\n    - address: 127.0.0.1:{self.port}\n"
            f"{more}  log:\n    format: text\n  metrics:\n    address: 127.0.0.1:{self.ops_port}\n"
            f"  policy:\n    drain_time_s: 5\n  limits:\n    threads: 2\n    connections: 4000\n"
            f"    connections_per_address: 4000\nroutes:\n{routes}")

    def text(self):
        return self.log_path.read_text()

    def memory_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def connect(self, name=NAME, before=b"", timeout=120, source="127.0.0.1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0))
        plain.sendall(before)
        return context.wrap_socket(plain, server_hostname=name)

    def ask(self, method, path, name=NAME, body=None, headers=None, before=b""):
        connection = http.client.HTTPSConnection(name, self.port, timeout=120)
        connection.sock = self.connect(name, before)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response

    def raw(self, data, name=NAME):
        """Everything that comes until the end, whatever end it is."""
        with self.connect(name) as connection:
            connection.sendall(data)
            return read_to_end(connection)

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=60)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def stop(self):
        end(self.process)
        self.log.close()


class Unread(Proxy):
    """Its log is a pipe of which nobody reads more than the beginning."""

    def open_log(self):
        self.reader, writer = os.pipe()
        self.said = ""
        return open(writer, "wb")

    def text(self):
        if "listening" not in self.said:
            self.said += os.read(self.reader, 65536).decode()
        return self.said

    def stop(self):
        end(self.process)
        self.log.close()
        os.close(self.reader)


def read_to_end(connection):
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except (ssl.SSLError, ConnectionError):
        pass
    return data


def ask_each(connections):
    for connection in connections:
        connection.sendall(request(NAME, "/still"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def request(name, path="/", fields="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {name}\r\n{fields}\r\n".encode()


def start_nginx(work):
    (work / "root").mkdir()
    with open(work / "root" / "large", "wb") as file:
        file.truncate(SIZE)
    port, = free_ports(1)
    folders = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (work / "nginx.conf").write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; {folders} client_max_body_size 0;\n"
        f"server {{ listen 127.0.0.1:{port}; root {work}/root;\n"
        f"location /hello {{ return 200 \"for $http_x_forwarded_for by $http_host\\n\"; }}\n"
        f"location /upload {{ proxy_request_buffering off; proxy_pass http://127.0.0.1:{port}/sink; }}\n"
        f"location /sink {{ return 204; }} }} }}\n")
    process = subprocess.Popen(["nginx", "-e", work / "nginx.err", "-c", work / "nginx.conf"])
    wait_for("nginx", lambda: can_connect(port))
    return process, port


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def unread_bytes(port):
    """What waits in the system on the port's side of its open connections."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4].split(":")[1], 16) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01")


def is_held_back(port):
    """Whether something waits there and stays for longer than a busy machine keeps the proxy from it."""
    first, until = unread_bytes(port), time.monotonic() + 2
    while first > 0 and unread_bytes(port) == first:
        if time.monotonic() > until:
            return True
    return False


def has_kept_its_size(proxy, before_kib):
    # A sanitizer keeps what was freed for a while.
    return "EOS_SANITIZE" in os.environ or proxy.memory_kib() < before_kib + 8 * 1024


class Stage:
    def __init__(self, bin_folder, work):
        self.bin, self.work = bin_folder, work

    def proxy(self, *upstreams, more=""):
        return Proxy(self.bin, self.work, upstreams, more)

    def forwards_to_nginx(self):
        if shutil.which("nginx") is None:
            return print("  skipped: nginx is not installed")
        nginx, port = start_nginx(self.work)
        proxy = self.proxy((NAME, port, ""))
        try:
            status, body, _ = proxy.ask("GET", "/hello", headers={"X-Forwarded-For": "1.2.3.4"})
            assert (status, body) == (200, f"for 127.0.0.1 by {NAME}:{proxy.port}\n".encode()), body
            before = proxy.memory_kib()
            status, body, _ = proxy.ask("GET", "/large")
            assert status == 200 and len(body) == SIZE
            assert has_kept_its_size(proxy, before), "a large download is not held"
            assert proxy.ask("GET", "/missing")[0] == 404
            wait_for("both are counted",
                     lambda: 'proxy_answers_total{route="r0",class="2xx"} 2' in proxy.metrics())
            assert "/hello" not in proxy.text() and "route=r0 method=GET status=200" in wait_for(
                "the access log", lambda: proxy.text() if "status=404" in proxy.text() else None)
        finally:
            proxy.stop()
            end(nginx)

    def is_not_held_up_by_its_log(self):
        proxy = Unread(self.bin, self.work, [(NAME, Upstream(echo_everything).port, "")])
        try:
            # About 200 bytes of log for each, of which a pipe takes 64 KiB.
            for _ in range(4):
                with proxy.connect() as connection:
                    for _ in range(250):
                        connection.sendall(request(NAME))
                        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            proxy.process.send_signal(signal.SIGHUP)
            assert "proxy_log_lines_dropped_total 0\n" in proxy.metrics()
        finally:
            proxy.stop()

    def uploads_in_constant_memory(self):
        def sink(upstream, connection):
            data = read_head(connection)
            missing = SIZE - len(data.split(b"\r\n\r\n", 1)[1])
            while missing > 0:
                missing -= len(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nall\n")

        proxy = self.proxy((NAME, Upstream(sink).port, ""))
        try:
            before = proxy.memory_kib()
            assert proxy.ask("POST", "/", body=bytes(SIZE))[:2] == (200, b"all\n")
            assert has_kept_its_size(proxy, before), "a large upload is not held"
        finally:
            proxy.stop()

    def speaks_http2(self):
        proxy = self.proxy((NAME, Upstream(echo_everything).port, ""))
        url = f"https://{NAME}:{proxy.port}/"
        curl = ["curl", "-sk", "--http2", "--resolve", f"{NAME}:{proxy.port}:127.0.0.1", "-o", "-",
                "-w", "%{http_version} %{http_code}", "-H", "Cookie: a=b"]
        try:
            done = subprocess.run([*curl, url + "1", url + "2"], capture_output=True, timeout=60, check=True).stdout
            assert done.count(b"2 200") == 2, done
            assert b"via: 2.0 enclave-os" in done and b"cookie: a=b" in done and b"GET /2 HTTP/1.1" in done, done
            done = subprocess.run([*curl, "--http1.1", url], capture_output=True, timeout=60, check=True).stdout
            assert done.endswith(b"1.1 200"), done
        finally:
            proxy.stop()

    def carries_websockets(self):
        proxy = self.proxy((NAME, Upstream(echo_everything).port, ""))
        try:
            with proxy.connect() as connection:
                connection.sendall(request(NAME, "/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
                head = read_head(connection)
                assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
                for size in (1, 125, 200_000):
                    connection.sendall(bytes(size))
                    received = 0
                    while received < size:
                        received += len(connection.recv(65536))
        finally:
            proxy.stop()

    def refuses_what_can_be_read_in_two_ways(self):
        """Whatever a client sends, the upstream reads as many requests as were answered."""
        upstream = Upstream(echo_everything)
        proxy = self.proxy((NAME, upstream.port, ""))
        smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        post = lambda fields, body: request(NAME, "/", fields, "POST") + body.encode()
        chunk = f"{len(smuggled):x}\r\n{smuggled}\r\n0\r\n\r\n"
        seeds = [
            post(f"Content-Length: {len(smuggled)}\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled),
            post("Content-Length: 0\r\nContent-Length: 40\r\n", smuggled),
            post("Content-Length: 0, 40\r\n", smuggled),
            post("Content-Length: +0\r\n", smuggled),
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + smuggled),
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n" + smuggled),
            post("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n" + smuggled),
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + smuggled),
            post("Transfer-Encoding: chunked\r\n", "0 \r\n\r\n" + smuggled),
            post("Transfer-Encoding: chunked\r\n", "0\n\n" + smuggled),
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n" + smuggled),
            post("X: y\r\n Content-Length: 40\r\n", smuggled),
            post("X: y\rContent-Length: 40\r\n", smuggled),
            post("X: y\x00\r\n", smuggled),
            b"GET / HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\nHost: other\r\n\r\n" + smuggled.encode(),
            b"GET http://other/ HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n\r\n" + smuggled.encode(),
            b"GET / HTTP/1.1 \r\nHost: " + NAME.encode() + b"\r\n\r\n" + smuggled.encode(),
            b"GET /a b HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n\r\n" + smuggled.encode(),
        ]
        try:
            with concurrent.futures.ThreadPoolExecutor(len(seeds)) as pool:
                all_answers = list(pool.map(proxy.raw, seeds))
            for seed, answers in zip(seeds, all_answers):
                assert b"smuggled" not in answers and answers.count(b"HTTP/1.1 4") + answers.count(
                    b"HTTP/1.1 5") == 1, (seed, answers)
            assert not any(b"smuggled" in head for head in upstream.seen), upstream.seen
            # A body that looks like a request is a body.
            proxy.raw(post("Transfer-Encoding: chunked\r\nConnection: close\r\n", chunk))
            assert len(upstream.seen) >= 1 and b"transfer-encoding: chunked" in upstream.seen[0]
        finally:
            proxy.stop()

    def refusals_reach_who_is_still_uploading(self):
        """A client that looks for an answer only after 8 MiB of its body finds it, and no reset."""
        def refuse(upstream, connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")

        proxy = self.proxy((NAME, Upstream(refuse).port, ""))
        try:
            for _ in range(5):
                with proxy.connect() as connection:
                    connection.sendall(request(NAME, "/", "Content-Length: 100000000\r\n", "POST") + bytes(8 << 20))
                    answer = b""
                    while piece := connection.recv(65536):
                        answer += piece
                    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"\r\n\r\nlarge"), answer
        finally:
            proxy.stop()

    def survives_upstreams_that_lie(self):
        answers = {
            "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            "/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "/folded": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
            "/garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
            "/nothing": b"",
            "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        }
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

        def lie(upstream, connection):
            path = read_head(connection).split()[1].decode()
            connection.sendall({"/cut": cut, "/twice": twice}.get(path) or answers.get(path, b""))
            if path == "/stall":
                connection.recv(1)

        short = "      response_timeout_s: 1\n      idle_timeout_s: 1\n"
        liar = Upstream(lie).port
        proxy = self.proxy((NAME, liar, ""), (RAW, liar, short))
        try:
            for path in answers:
                status, body, _ = proxy.ask("GET", path)
                assert status == 502 and b"error" in body, (path, status, body)
            assert proxy.ask("GET", "/stall", RAW)[0] == 504
            with proxy.connect() as connection:
                connection.sendall(request(NAME, "/cut"))
                try:
                    http.client.HTTPResponse(connection).begin()
                    data = read_to_end(connection)
                except (OSError, http.client.HTTPException):
                    data = b""
                assert b"half" not in data or len(data) < 10
            with proxy.connect() as connection:
                for _ in range(2):
                    connection.sendall(request(NAME, "/twice"))
                    response = http.client.HTTPResponse(connection)
                    response.begin()
                    assert response.read() == b"ok"
        finally:
            proxy.stop()

    def gives_up_on_slow_clients_and_keeps_idle_ones(self):
        proxy = self.proxy((NAME, Upstream(echo_everything).port, ""))
        try:
            idle, asked = [], time.monotonic()
            for _ in range(1000):
                idle.append(proxy.connect())
                if time.monotonic() > asked + 20:  # none stands idle for a minute, however long a thousand take
                    ask_each(idle)
                    asked = time.monotonic()
            wait_for("a thousand", lambda: "proxy_client_connections 1000" in proxy.metrics())
            assert proxy.ask("GET", "/while")[0] == 200
            ask_each(idle[::100])
            for connection in idle:
                connection.close()
            with proxy.connect() as slow:
                slow.sendall(b"GET / HTTP/1.1\r\nX: ")
                assert b" 408 " in read_to_end(slow)
            wait_for("its line", lambda: "route=r0 method=- status=408 outcome=refused" in proxy.text())
            metrics = proxy.metrics()
            assert number_of(metrics, 'proxy_requests_refused_total{status="408"}') == 1, metrics
            assert number_of(metrics, 'proxy_requests_total{route="r0",outcome="refused"}') == 1, metrics
            assert number_of(metrics, 'proxy_tls_handshakes_completed_total{kind="ordinary"}') == 1002, metrics
            assert number_of(metrics, "proxy_client_connections_accepted_total") == 1002, metrics
        finally:
            proxy.stop()

    def believes_the_load_balancer(self):
        listen = "      proxy_protocol: any\n      trusted_peers: [127.0.0.0/8]\n"
        proxy = self.proxy((NAME, Upstream(echo_everything).port, ""), more=listen)
        try:
            v1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 443\r\n"
            v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + bytes(4)
            assert b"x-forwarded-for: 192.0.2.7" in proxy.ask("GET", "/", before=v1)[1]
            assert b'for="[2001:db8::7]"' in proxy.ask("GET", "/", before=v2)[1]
            try:
                proxy.ask("GET", "/")
                raise AssertionError("without a header nothing is answered")
            except OSError:
                pass
            wait_for("its count", lambda: "proxy_tls_handshakes_failed_total 1\n" in proxy.metrics())
        finally:
            proxy.stop()

    def changes_routes_while_it_runs(self):
        one, two = Upstream(echo_everything), Upstream(echo_everything)
        proxy = self.proxy((NAME, one.port, ""), (RAW, one.port, ""))
        try:
            kept, changed, fresh = proxy.connect(NAME), proxy.connect(RAW), proxy.connect(RAW)
            for connection, name in ((kept, NAME), (changed, RAW)):
                connection.sendall(request(name, "/before"))
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            proxy.write([(NAME, one.port, ""), (RAW, two.port, "")])
            proxy.process.send_signal(signal.SIGHUP)
            wait_for("reloaded", lambda: "reloaded" in proxy.text())
            assert changed.recv(1) == b"", "whoever was shown the old route is drained"
            fresh.sendall(request(RAW, "/fresh"))
            assert read_to_end(fresh).startswith(b"HTTP/1.1 421"), "who had not asked yet is told"
            kept.sendall(request(NAME, "/after"))
            assert kept.recv(65536).startswith(b"HTTP/1.1 200"), "and nobody else"
            for turn in range(20):
                assert proxy.ask("GET", f"/new{turn}", RAW)[0] == 200
            assert len([head for head in two.seen if b"/new" in head]) == 20, "every loop, once it is said"
            proxy.config.write_text("version: 9\n")
            proxy.process.send_signal(signal.SIGHUP)
            wait_for("refused", lambda: "reload_failed" in proxy.text())
            assert proxy.ask("GET", "/still", RAW)[0] == 200
        finally:
            proxy.stop()

    def finishes_what_is_under_way(self):
        asked, go_on = threading.Event(), threading.Event()

        def slow(upstream, connection):
            read_head(connection)
            asked.set()
            go_on.wait(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

        proxy = self.proxy((NAME, Upstream(slow).port, ""))
        result = []
        asking = threading.Thread(target=lambda: result.append(proxy.ask("GET", "/")[:2]))
        asking.start()
        try:
            assert asked.wait(30)
            proxy.process.send_signal(signal.SIGTERM)
            wait_for("stopping", lambda: "stopping" in proxy.text())
            wait_for("no listener", lambda: not can_connect(proxy.port))
            go_on.set()
            asking.join(30)
            assert result == [(200, b"done")], result
            assert proxy.process.wait(30) == 0
        finally:
            proxy.stop()


def run_stage(stages, name, bin_folder, *arguments):
    """One method, with a folder of its own; 1 if it failed."""
    with tempfile.TemporaryDirectory() as work:
        began = time.monotonic()
        try:
            getattr(stages(bin_folder, Path(work), *arguments), name)()
            print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
            return 0
        except Exception as error:  # noqa: BLE001: every stage is reported
            print(f"FAIL {name}: {error!r}\n{traceback.format_exc()}", flush=True)
            for log in Path(work).glob("*.log"):
                print(log.read_text()[-3000:])
            return 1


def run_stages(stages, helpers):
    """Every method that is no helper, or those that are named on the command line."""
    names = [name for name in vars(stages) if not name.startswith("_") and name not in helpers]
    names = [name for name in names if name in (sys.argv[2:] or names)]
    sys.exit(1 if sum(run_stage(stages, name, Path(sys.argv[1])) for name in names) else 0)


def main():
    # A thousand idle connections have two ends each, one of them here; programs raise their own limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096, hard))
    run_stages(Stage, {"proxy"})


if __name__ == "__main__":
    main()
