#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The proxy among clients and services that want to wear it out.

usage: proxy_siege.py BIN [IDLE [STAGE…]]     IDLE: so many idle connections, by default 300

While each of them tries, an ordinary client is served; memory stays where it was, and nothing is left to do afterwards.
"""
import concurrent.futures
import multiprocessing
import os
import resource
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

from proxy_e2e import NAME, RAW, Proxy, Upstream, ask_each, echo_everything, read_head, read_to_end, request, run_stage
from rig import free_ports, wait_for
from smuggling import ends_stream, frame, frames_of, hpack

# With a header table of no bytes every status is told in itself.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\0\1\0\0\0\0")
HEADERS, DATA, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW, MORE = 1, 0, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
ENHANCE_YOUR_CALM = 11
MEMORY_KIB = 24 * 1024
CROWDS = 4


def fields(method=b"GET", path=b"/", authority=NAME.encode()):
    return [(b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", authority)]


def connect(proxy, protocol="h2", name=NAME):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    plain = socket.create_connection(("127.0.0.1", proxy.port), 120)
    return context.wrap_socket(plain, server_hostname=name)


def get(stream, path=b"/flood"):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, hpack(fields(path=path)))


def flood(proxy, pieces, limit_bytes=64 * 1024 * 1024):
    """Sends until the proxy ends it; how much it took, and the code of its GOAWAY (None: it just closed)."""
    sent, got = 0, b""
    with connect(proxy) as connection:
        connection.settimeout(120)
        try:
            connection.sendall(PREFACE)
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
                assert sent < limit_bytes, f"{sent} bytes were taken"
        except (OSError, ssl.SSLError):
            pass
        try:
            while piece := connection.recv(65536):
                got += piece
        except (OSError, ssl.SSLError):
            pass
    codes = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in frames_of(got) if kind == GOAWAY]
    return sent, max(codes, default=None)


def many(make, each=100):
    """Pieces of `each` frames, without end, for streams 1, 3, 5 and so on."""
    stream = 1
    while stream < 2 ** 31:
        yield b"".join(make(stream + 2 * i) for i in range(each))
        stream += 2 * each


def bomb():
    """A field of 4,000 bytes, once in the table, then named by one byte each."""
    large = b"\x40" + b"\x01x" + b"\x7f" + bytes([(4000 - 127) & 0x7f | 0x80, (4000 - 127) >> 7]) + b"y" * 4000
    yield frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack(fields(path=b"/bomb")) + large)
    for stream in range(3, 20_001, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, hpack(fields(path=b"/bomb")) + b"\xbe" * 10_000)


FLOODS = {
    "rapid reset": lambda: many(lambda s: get(s) + frame(RESET, 0, s, (8).to_bytes(4, "big"))),
    "reset by a wrong window": lambda: many(lambda s: get(s) + frame(WINDOW, 0, s, (0).to_bytes(4, "big"))),
    "SETTINGS": lambda: many(lambda s: frame(SETTINGS, 0, 0), 500),
    "SETTINGS that change": lambda: many(lambda s: frame(SETTINGS, 0, 0, b"\0\4" + (s & 0xffff).to_bytes(4, "big")), 500),
    "PING": lambda: many(lambda s: frame(PING, 0, 0, bytes(8)), 500),
    "CONTINUATION": lambda: iter([frame(HEADERS, 0, 1, hpack(fields()))] + [frame(MORE, 0, 1, b"")] * 1_000_000),
    "CONTINUATION, full": lambda: iter([frame(HEADERS, 0, 1, hpack(fields()))]
                                       + [frame(MORE, 0, 1, hpack([(b"x", b"y" * 16_000)]))] * 10_000),
    "PRIORITY": lambda: many(lambda s: frame(PRIORITY, 0, s, bytes(5)), 500),
    "empty DATA": lambda: iter([frame(HEADERS, END_HEADERS, 1, hpack(fields(method=b"POST")))]
                               + [frame(DATA, 0, 1) * 500] * 100_000),
    "unknown frames": lambda: many(lambda s: frame(200, 0, 0, bytes(64)), 500),
    "streams that are malformed": lambda: many(lambda s: frame(HEADERS, 5, s, hpack([(b":method", b"GET")]))),
    "HPACK bomb": bomb,
}
# What costs the proxy nothing may go on for as long as the client likes.
HARMLESS = {"unknown frames"}


def run_flood(proxy, name, pieces):
    limit = 8 * 1024 * 1024 if name in HARMLESS else 64 * 1024 * 1024
    try:
        sent, code = flood(proxy, pieces(), limit)
        return f"    {name:28} ended after {sent / 1024:.0f} KiB, code {code}"
    except AssertionError:
        assert name in HARMLESS, name
        return f"    {name:28} carried for 8 MiB"


class Bystander:
    """An ordinary client, who asks again and again: a process of its own, which no flood of this one holds up."""

    def __init__(self, proxy):
        self.count, self.slowest_ms = multiprocessing.Value("i"), multiprocessing.Value("i")
        self.is_over, self.wrong = multiprocessing.Event(), multiprocessing.Queue()
        self.process = multiprocessing.Process(target=self.run, args=(proxy.port,), daemon=True)
        self.process.start()

    def run(self, port):
        proxy = Proxy.__new__(Proxy)
        proxy.port = port
        while not self.is_over.wait(0.01):
            began = time.monotonic()
            try:
                status = proxy.ask("GET", "/bystander")[0]
                if status != 200:
                    self.wrong.put(status)
            except OSError as error:
                self.wrong.put(repr(error))
            self.count.value += 1
            self.slowest_ms.value = max(self.slowest_ms.value, int((time.monotonic() - began) * 1000))

    @property
    def answered(self):
        return self.count.value

    def stop(self):
        self.is_over.set()
        self.process.join(60)
        assert self.wrong.empty(), self.wrong.get(timeout=5)
        assert self.answered > 0


def is_answered(proxy):
    try:
        return proxy.ask("GET", "/")[0] == 200
    except OSError:
        return False


def processor_seconds(process):
    line = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(line[11]) + int(line[12])) / os.sysconf("SC_CLK_TCK")


def is_at_rest(process):
    """Whether it uses less than a fifth of a processor for half a second."""
    before = processor_seconds(process)
    threading.Event().wait(0.5)
    return processor_seconds(process) - before < 0.1


def is_sanitized():
    return "EOS_SANITIZE" in os.environ


class Stage:
    def __init__(self, bin_folder, work, idle):
        self.bin, self.work, self.idle = bin_folder, work, idle

    def floods_end_themselves(self):
        upstream = Upstream(echo_everything)
        proxy = Proxy(self.bin, self.work, [(NAME, upstream.port, "")])
        try:
            assert proxy.ask("GET", "/")[0] == 200
            before = proxy.memory_kib()
            bystander = Bystander(proxy)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for line in pool.map(lambda item: run_flood(proxy, *item), FLOODS.items()):
                    print(line, flush=True)
            grown = proxy.memory_kib() - before
            arrived = sum(head.startswith((b"GET /flood", b"GET /bomb")) for head in upstream.seen)
            print(f"    {arrived} requests of all of them arrived, memory {grown:+} KiB", flush=True)
            assert arrived < 1000, arrived
            assert grown < MEMORY_KIB or is_sanitized(), grown
            bystander.stop()
            print(f"    a bystander had {bystander.answered} answers, the slowest in {bystander.slowest_ms.value} ms")
            wait_for("rest", lambda: is_at_rest(proxy.process))
        finally:
            proxy.stop()

    def slow_clients_are_cut(self):
        """Whoever sends almost nothing keeps a connection for seconds, whatever it almost sends."""
        def sink(_, connection):
            while connection.recv(65536):
                pass

        proxy = Proxy(self.bin, self.work, [(NAME, Upstream(echo_everything).port, ""), (RAW, Upstream(sink).port, "")])
        post = f"POST / HTTP/1.1\r\nHost: {RAW}\r\nContent-Length: 1000000\r\n\r\n".encode()
        body = frame(HEADERS, END_HEADERS, 1, hpack(fields(method=b"POST", authority=RAW.encode())))
        kinds = {
            "no handshake": (None, b"", b""), "half a handshake": (None, b"\x16\x03\x01\x02\x00", b"\x01"),
            "a head, byte by byte": ("http/1.1", b"GET / HTTP/1.1\r\nX: ", b"y"), "a body, byte by byte": ("http/1.1", post, b"y"),
            "HTTP/2: a head without its end": ("h2", PREFACE + frame(HEADERS, 0, 1, hpack(fields())), b""),
            "HTTP/2: a head, field by field": ("h2", PREFACE + frame(HEADERS, 0, 1, hpack(fields())), frame(MORE, 0, 1, hpack([(b"x", b"y")]))),
            "HTTP/2: a body, byte by byte": ("h2", PREFACE + body, frame(DATA, 0, 1, b"y")),
        }
        try:
            bystander = Bystander(proxy)
            with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
                lasted = dict(zip(kinds, pool.map(lambda kind: how_long(proxy, *kind), kinds.values())))
            bystander.stop()
            print("    " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in lasted.items()))
            assert max(lasted.values()) < 25, lasted
        finally:
            proxy.stop()

    def services_that_wear_out_are_given_up(self):
        """Each in HTTP/1.1 and in HTTP/2: told as an error while that can be told, broken off afterwards, never whole."""
        forever = threading.Event()
        answers = {
            "/drips": lambda c: [c.sendall(b"HTTP/1.1 200 OK\r\nX: ")] + [c.sendall(b"y") or forever.wait(0.2) for _ in range(200)],
            "/endless-head": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000),
            "/endless-interim": lambda c: [c.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100) for _ in range(1000)],
            "/stalls": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf") or c.recv(1),
            "/dies": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            "/endless-extension": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 4_000_000),
            "/endless-trailer": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000),
            "/early": lambda c: c.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nenough"[:-1]),
            "/never-reads": lambda c: forever.wait(16),
        }
        told = {"/drips": 504, "/endless-head": 502, "/endless-interim": 502, "/never-reads": 504, "/early": 413}

        def serve(_, connection):
            head = read_head(connection)
            if head:
                answers[head.split()[1].decode()](connection)

        lines = "      response_timeout_s: 6\n      idle_timeout_s: 6\n"
        proxy = Proxy(self.bin, self.work, [(NAME, Upstream(serve).port, lines)])
        try:
            with concurrent.futures.ThreadPoolExecutor(2 * len(answers)) as pool:
                first = list(pool.map(lambda path: ask_http1(proxy, path), answers))
                second = list(pool.map(lambda path: ask_http2(proxy, path), answers))
            for path, one, other in zip(answers, first, second):
                for protocol, (status, is_whole) in (("h1", one), ("h2", other)):
                    # Who never reads took a small upload, and is waited for until it goes.
                    expected = 502 if (path, protocol) == ("/never-reads", "h2") else told.get(path, 200)
                    assert status == expected or status == 0 and path not in told, (path, protocol, status, is_whole)
                    assert is_whole == (path in told), (path, protocol, status, is_whole)
            wait_for("rest", lambda: is_at_rest(proxy.process))
        finally:
            forever.set()
            proxy.stop()

    def descriptors_run_out(self):
        """40 clients have theirs, and whoever asks for health; 400 requests at once share what is left, and none is lost."""
        go_on = threading.Event()

        def hold(_, connection):
            while head := read_head(connection):
                if head.startswith(b"GET /hold"):
                    go_on.wait(60)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")

        small = self.work / "bin"
        small.mkdir()
        proxy = None
        for limit in (335, 336):
            program = small / "enclave-os-proxy-unattested"
            program.write_text(f"#!/bin/sh\nulimit -n {limit}\nexec {self.bin}/{program.name} \"$@\"\n")
            program.chmod(0o755)
            if limit == 336:
                # All clients have one address here, and are to have all that there is.
                proxy = SmallProxy(small, self.work, [(NAME, Upstream(hold).port, "      client_share_percent: 100\n")])
                continue
            config = self.work / "proxy.yaml"
            SmallProxy.write(Paper(config), [(NAME, 1, "")])
            said = subprocess.run([program, config], capture_output=True, text=True, timeout=120)
            assert said.returncode == 1 and "LimitNOFILE" in said.stderr and "336" in said.stderr, said
        try:
            clients = [connect(proxy) for _ in range(20)]
            for client in clients:
                client.sendall(PREFACE + b"".join(get(stream, b"/hold") for stream in range(1, 41, 2)))
            answered = 'class="5xx"} '
            wait_for("the rest is refused", lambda: 360 <= int(proxy.metrics().split(answered)[1].split()[0]) < 400)
            refused = int(proxy.metrics().split(answered)[1].split()[0])
            assert len(open_files(proxy)) <= 336 - 200, "there are spare ones"
            wait_for("rest", lambda: is_at_rest(proxy.process))
            go_on.set()
            with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
                statuses = [status for all_of_one in pool.map(lambda client: statuses_of(client, 20), clients) for status in all_of_one]
            assert statuses.count(200) == 400 - refused and statuses.count(503) == refused, (refused, statuses.count(200), statuses.count(503))
            self.no_descriptor_is_left(proxy, clients[0])
            for client in clients:
                client.close()
            wait_for("an ordinary request", lambda: is_answered(proxy))
            print(f"    {400 - refused} requests under way at once, {refused} told to come back")
        finally:
            go_on.set()
            proxy.stop()

    @staticmethod
    def no_descriptor_is_left(proxy, client):
        """Not one: who is there is served, who comes waits without costing anything, and is served once there are some."""
        pid = proxy.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(map(int, open_files(proxy))) + 1, hard))
        came = [socket.create_connection(("127.0.0.1", proxy.port), 120) for _ in range(30)]
        wait_for("rest", lambda: is_at_rest(proxy.process))
        client.sendall(get(41, b"/still"))
        assert statuses_of(client, 1)[0] in (200, 502), "answered, if only by the proxy"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        served = 0
        for plain in came:
            try:
                with context.wrap_socket(plain, server_hostname=NAME) as late:
                    late.sendall(request(NAME, "/late"))
                    served += late.recv(65536).startswith(b"HTTP/1.1 200 ")
            except OSError:
                pass  # more than may be connected
        assert served > 0, "whoever waited is served"

    def many_stand_idle(self):
        proxy, crowd = None, []
        try:
            # Each loop admits its share, and the kernel deals them out as it likes: either loop could take all.
            proxy = SmallProxy(self.bin, self.work, [(NAME, Upstream(echo_everything).port, "")],
                               connections=2 * (self.idle + 50))
            assert proxy.ask("GET", "/")[0] == 200
            before = proxy.memory_kib()
            began = time.monotonic()
            crowd = [Crowd(proxy, self.idle // CROWDS + (i < self.idle % CROWDS)) for i in range(CROWDS)]
            for one in crowd:
                one.await_all()
            took = time.monotonic() - began
            wait_for("all", lambda: f"proxy_client_connections {self.idle}\n" in proxy.metrics())
            each = (proxy.memory_kib() - before) * 1024 // self.idle
            bystander = Bystander(proxy)
            wait_for("answers", lambda: bystander.answered >= 30)
            bystander.stop()
            print(f"    {self.idle} idle connections, {self.idle / took:.0f} a second; {each} bytes of memory each; "
                  f"{bystander.answered} ordinary requests, the slowest in {bystander.slowest_ms.value} ms")
            assert each < 64 * 1024 or is_sanitized(), each
            wait_for("rest", lambda: is_at_rest(proxy.process))
        finally:
            for one in crowd:
                one.stop()
            if proxy is not None:
                proxy.stop()


class Crowd:
    """Clients that stand idle, in a process of their own, which has as many descriptors as the proxy. Where there are
    more than can be opened in a minute, those that wait for the others ask something now and then."""

    def __init__(self, proxy, count):
        self.count, self.opened = count, multiprocessing.Semaphore(0)
        self.is_over = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.run, args=(proxy,), daemon=True)
        self.process.start()

    def run(self, proxy):
        connections, asked = [], time.monotonic()
        while len(connections) < self.count:
            connections.append(connect(proxy, "http/1.1"))
            if time.monotonic() > asked + 20:
                ask_each(connections)
                asked = time.monotonic()
        ask_each(connections)
        self.opened.release()
        self.is_over.wait()

    def await_all(self):
        wait_for("all are let in", lambda: self.opened.acquire(timeout=1) or not self.process.is_alive(), 600)
        assert self.process.is_alive(), "not all were let in"

    def stop(self):
        self.is_over.set()
        self.process.join(60)


class SmallProxy(Proxy):
    """For so many clients and no more."""

    def __init__(self, bin_folder, work, upstreams, connections=40):
        self.connections = connections
        super().__init__(bin_folder, work, upstreams)

    def write(self, upstreams, more=""):
        Proxy.write(self, upstreams, more)
        text = self.config.read_text().replace("    connections: 4000\n", f"    connections: {self.connections}\n")
        self.config.write_text(text.replace("address: 4000", f"address: {self.connections}"))


class Paper:
    """What a configuration is written for when nothing is started."""

    port, ops_port, connections = 1, 2, 40

    def __init__(self, config):
        self.config = config


def open_files(proxy):
    return os.listdir(f"/proc/{proxy.process.pid}/fd")


def statuses_of(connection, count):
    """Of the next answers that come to their end."""
    connection.settimeout(120)
    got, statuses, whole = b"", {}, 0
    while whole < count:
        piece = connection.recv(65536)
        assert piece, "closed"
        got += piece
        ended = set()
        for kind, flags, stream, payload in frames_of(got):
            if kind == HEADERS and stream not in statuses:
                statuses[stream] = status_of(payload)
            if kind in (HEADERS, DATA) and flags & END_STREAM or kind == RESET:
                ended.add(stream)
        whole = len(ended)
    return [statuses.get(stream, 0) for stream in sorted(ended)]


def how_long(proxy, protocol, first, again):
    """Seconds until the proxy ends it, or its stream, while `again` is sent four times a second."""
    began, got = time.monotonic(), b""
    connection = connect(proxy, protocol, RAW if b"POST" in first else NAME) if protocol else socket.create_connection(("127.0.0.1", proxy.port), 120)
    with connection:
        try:
            connection.sendall(first)
            connection.settimeout(0.25)
            while time.monotonic() < began + 40:
                try:
                    piece = connection.recv(65536)
                    got += piece
                    if not piece or protocol == "h2" and ends_stream(got):
                        break
                except TimeoutError:
                    connection.sendall(again)
        except (OSError, ssl.SSLError):
            pass
    return time.monotonic() - began


def ask_http1(proxy, path):
    """(status, whether the answer came to its end); a POST whose body never ends, where that matters."""
    is_upload = path in ("/early", "/never-reads")
    with connect(proxy, "http/1.1") as connection:
        more = "Content-Length: 100000000\r\n" if is_upload else "Connection: close\r\n"
        connection.sendall(request(NAME, path, more, "POST" if is_upload else "GET"))
        data, is_clean = exchange(connection, b"z" * 10_000_000 if is_upload else b"")
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    if b"content-length:" in head.lower():
        size = int(head.lower().split(b"content-length:")[1].split()[0])
        return status, len(body) == size
    return status, is_clean and body.endswith(b"0\r\n\r\n")


def exchange(connection, upload):
    """(everything that comes, whether it ended by itself); sends `upload` until something comes (RFC 9112 section 9.5).
    In one thread: a TLS connection on which two read and write at once loses what comes."""
    connection.setblocking(False)
    data, unsent, deadline = b"", memoryview(upload), time.monotonic() + 40
    while time.monotonic() < deadline:
        select.select([connection], [connection] if unsent else [], [], 1)
        try:
            while piece := connection.recv(65536):
                data, unsent = data + piece, b""
            return data, True
        except ssl.SSLWantReadError:
            pass
        except OSError:
            break
        try:
            if unsent:
                unsent = unsent[connection.send(unsent[:16_384]):]
        except ssl.SSLWantWriteError:
            pass
        except OSError:
            unsent = b""  # nobody takes it; an answer may have come before
    return data, False


def ask_http2(proxy, path):
    is_upload = path in ("/early", "/never-reads")
    out = PREFACE + frame(HEADERS, END_HEADERS | (0 if is_upload else END_STREAM), 1,
                          hpack(fields(path=path.encode(), method=b"POST" if is_upload else b"GET")))
    if is_upload:
        out += frame(DATA, 0, 1, b"z" * 16_384) * 3
    got, status, is_whole = b"", 0, False
    with connect(proxy) as connection:
        connection.settimeout(60)
        connection.sendall(out)
        try:
            while piece := connection.recv(65536):
                got += piece
                kinds = [(kind, flags) for kind, flags, stream, _ in frames_of(got) if stream == 1]
                if any(kind == RESET or kind in (HEADERS, DATA) and flags & END_STREAM for kind, flags in kinds):
                    break
        except (OSError, ssl.SSLError):
            pass
    for kind, flags, stream, payload in frames_of(got):
        if stream != 1:
            continue
        if kind == HEADERS and status == 0:
            status = status_of(payload)
        is_whole = is_whole or kind in (HEADERS, DATA) and flags & END_STREAM != 0
    return status, is_whole


def status_of(block):
    """Out of a block whose first field is :status: a row of the static table, or a literal, perhaps coded by Huffman."""
    known = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
    while block[0] & 0xe0 == 0x20:  # the table is that small from now on
        block = block[1:]
    if block[0] in known:
        return known[block[0]]
    size = block[1] & 0x7f
    text = block[2:2 + size]
    if not block[1] & 0x80:
        return int(text)
    # RFC 7541, appendix B: digits are 5 bits (0, 1, 2) or 6 (3 to 9).
    bits = "".join(f"{byte:08b}" for byte in text)
    digits = ""
    while len(digits) < 3:
        size = 5 if bits[:5] in ("00000", "00001", "00010") else 6
        digits += str(int(bits[:size], 2) if size == 5 else int(bits[:size], 2) - 0x19 + 3)
        bits = bits[size:]
    return int(digits)


def main():
    bin_folder = Path(sys.argv[1]).resolve()
    idle = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = [name for name in vars(Stage) if not name.startswith("_") and name != "no_descriptor_is_left"]
    names = [name for name in names if name in (sys.argv[3:] or names)]
    # They wait more than they work.
    with concurrent.futures.ProcessPoolExecutor(len(names)) as pool:
        stages, folders, idles = ([one] * len(names) for one in (Stage, bin_folder, idle))
        failed = sum(pool.map(run_stage, stages, names, folders, idles))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
