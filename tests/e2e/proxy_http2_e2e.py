#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-only
"""The proxy in front of upstreams that speak HTTP/2, with other people's programs at both ends: gRPC's library, nghttpd,
and clients and upstreams that python3-h2 speaks for. Skipped where those are not installed."""
import base64
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

try:
    import grpc
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
except ImportError as error:
    print(f"skipped: {error.name} is not installed for {sys.executable}")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import demo_grpc  # noqa: E402
from proxy_e2e import NAME, Proxy, Upstream, can_connect, echo_everything, request, run_stages  # noqa: E402
from rig import end, free_ports, wait_for  # noqa: E402

HTTP2 = "      protocol: http2\n"
SIZE = 4 * 1024 * 1024
Code = grpc.StatusCode


class OneLoopProxy(Proxy):
    """Each event loop has a key of its own, and here clients trust the one that they are shown."""

    def write(self, upstreams, more=""):
        super().write(upstreams, more)
        self.config.write_text(self.config.read_text().replace("threads: 2", "threads: 1"))


class EchoService:
    """tools/demo_grpc.py as a process."""

    def __init__(self, address=None):
        self.port, = free_ports(1)
        self.address = address or f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen([Path(demo_grpc.__file__), "serve", self.address], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"serving\n"

    def stop(self):
        end(self.process)
        self.process.stdout.close()


def channel_to(proxy, name=NAME):
    """A stock client that trusts what the proxy shows, as it would trust a root."""
    with proxy.connect(name) as connection:
        shown = ssl.DER_cert_to_PEM_cert(connection.getpeercert(True)).encode()
    return demo_grpc.channel_to(name, proxy.port, shown)


def call(channel, kind, method):
    return getattr(channel, kind)(f"/{demo_grpc.SERVICE}/{method}")


def outcome(what):
    """The status that a call ends with, and its error."""
    try:
        what()
        return Code.OK, None
    except grpc.RpcError as error:
        return error.code(), error


class Http2Client:
    """One connection of python3-h2 to the proxy."""

    def __init__(self, proxy, name=NAME):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", proxy.port), 120)
        self.socket = context.wrap_socket(plain, server_hostname=name)
        self.name = name
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 24)  # of the connection: streams have their own
        self.bodies, self.heads, self.trailers, self.ended, self.resets = {}, {}, {}, set(), {}
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, fields, end_stream=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=end_stream)
        self.bodies[stream] = bytearray()
        self.flush()
        return stream

    def get(self, path, method="GET"):
        return self.ask([(":method", method), (":scheme", "https"), (":authority", self.name), (":path", path)])

    def send(self, stream, data, end_stream=False):
        self.h2.send_data(stream, data, end_stream)
        self.flush()

    def reset(self, stream, code=8):
        self.h2.reset_stream(stream, code)
        self.flush()

    def until(self, condition, takes=lambda stream: True):
        """Reads until it is so; `takes`: whether a stream's body is taken, so that its window opens again."""
        while not condition():
            data = self.socket.recv(65536)
            assert data, "the proxy has closed"
            for event in self.h2.receive_data(data):
                stream = getattr(event, "stream_id", None)
                if isinstance(event, h2.events.ResponseReceived):
                    self.heads[stream] = dict(event.headers)
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers[stream] = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[stream] += event.data
                    if takes(stream):
                        self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.add(stream)
                elif isinstance(event, h2.events.StreamReset):
                    self.resets[stream] = event.error_code
            self.flush()

    def answer(self, stream):
        self.until(lambda: stream in self.ended or stream in self.resets)
        return self.heads[stream], self.bodies[stream]

    def close(self):
        self.socket.close()


def speak_http2(handle, settings=None):
    """For Upstream: an HTTP/2 server of python3-h2; `handle(h2, event)` says what it does."""
    def serve(upstream, connection):
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        session.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, **(settings or {})})
        session.initiate_connection()
        connection.sendall(session.data_to_send())
        while data := connection.recv(65536):
            for event in session.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    upstream.seen.append(dict(event.headers))
                handle(session, event)
            connection.sendall(session.data_to_send())
    return serve


def echo_tunnel(session, event):
    """Consents to every WebSocket and sends back what comes."""
    if isinstance(event, h2.events.RequestReceived):
        session.send_headers(event.stream_id, [(":status", "200")])
    elif isinstance(event, h2.events.DataReceived):
        session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        session.send_data(event.stream_id, event.data)
    elif isinstance(event, h2.events.StreamEnded):
        session.end_stream(event.stream_id)


CONNECT = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", NAME),
           (":path", "/chat"), ("sec-websocket-version", "13")]
UPGRADE = request(NAME, "/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")


class Stage:
    def __init__(self, bin_folder, work):
        self.bin, self.work = bin_folder, work

    def proxy(self, *upstreams):
        return OneLoopProxy(self.bin, self.work, upstreams)

    def carries_grpc_of_every_kind(self):
        service = EchoService()
        proxy = self.proxy((NAME, service.port, HTTP2))
        try:
            with channel_to(proxy) as channel:
                answer, done = call(channel, "unary_unary", "Say").with_call(
                    b"hello", timeout=120, metadata=(("x-say", "something"),))
                assert answer == b"hello" and dict(done.trailing_metadata())["x-said"] == "something"
                # The deadline reaches the service as the client set it.
                assert 110 <= int(dict(done.trailing_metadata())["x-left"]) <= 120
                assert list(call(channel, "unary_stream", "Count")(b"1000", timeout=120))[-1] == b"999"
                assert call(channel, "stream_unary", "Join")(iter([b"a", b"b"]), timeout=120) == b"a b"
                large = bytes(3 * 1024 * 1024)
                assert call(channel, "unary_unary", "Say")(large, timeout=120) == large
                self.talks_in_turns(channel)
                code, error = outcome(lambda: call(channel, "unary_unary", "Say")(b"fail", timeout=120))
                assert (code, error.details()) == (Code.FAILED_PRECONDITION, "as you wish: 100 %"), error
                code, _ = outcome(lambda: call(channel, "unary_unary", "None")(b"", timeout=120))
                assert code == Code.UNIMPLEMENTED, "an answer that is trailers alone"
                code, _ = outcome(lambda: call(channel, "unary_unary", "Say")(b"wait", timeout=0.5))
                assert code == Code.DEADLINE_EXCEEDED
                calls = [call(channel, "unary_unary", "Say").future(b"%d" % i, timeout=120) for i in range(300)]
                assert [one.result() for one in calls] == [b"%d" % i for i in range(300)]
        finally:
            proxy.stop()
            service.stop()

    @staticmethod
    def talks_in_turns(channel):
        """Each message is sent when the echo of the one before has come."""
        turn = threading.Semaphore(1)

        def messages():
            for number in range(20):
                assert turn.acquire(timeout=120)
                yield b"%d" % number
        for number, answer in enumerate(call(channel, "stream_stream", "Chat")(messages(), timeout=120)):
            assert answer == b"%d" % number
            turn.release()

    def tells_grpc_clients_that_the_service_is_down(self):
        service = EchoService()
        proxy = self.proxy((NAME, service.port, HTTP2))
        try:
            with channel_to(proxy) as channel:
                say = call(channel, "unary_unary", "Say")
                assert say(b"x", timeout=120) == b"x"
                service.stop()
                code, error = outcome(lambda: say(b"x", timeout=120))
                assert code == Code.UNAVAILABLE and "502" in error.details(), error
                service.start()
                assert say(b"back", timeout=120) == b"back"
        finally:
            proxy.stop()
            service.stop()

    def reaches_services_on_unix_sockets(self):
        path = self.work / "echo.sock"
        service = EchoService(f"unix:{path}")
        proxy = self.proxy((NAME, 1, HTTP2))
        try:
            proxy.config.write_text(proxy.config.read_text().replace("tcp: 127.0.0.1:1", f"unix_socket: {path}"))
            proxy.process.send_signal(signal.SIGHUP)
            wait_for("reloaded", lambda: "reloaded" in proxy.text())
            with channel_to(proxy) as channel:
                assert call(channel, "unary_unary", "Say")(b"hello", timeout=120) == b"hello"
        finally:
            proxy.stop()
            service.stop()

    def serves_files_of_nghttpd_to_clients_of_both_versions(self):
        port, = free_ports(1)
        root = self.work / "root"
        root.mkdir()
        (root / "large").write_bytes(os.urandom(1024) * (SIZE // 1024))
        (root / "small").write_bytes(b"small\n")
        digest = hashlib.sha256((root / "large").read_bytes()).hexdigest()
        nghttpd = subprocess.Popen(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", root, str(port)])
        proxy = None
        try:
            wait_for("nghttpd", lambda: can_connect(port))
            proxy = self.proxy((NAME, port, HTTP2 + "    health:\n      path: /small\n      interval_s: 1\n"))
            status, body, _ = proxy.ask("GET", "/large")
            before = proxy.memory_kib()
            assert (status, hashlib.sha256(body).hexdigest()) == (200, digest)
            client = Http2Client(proxy)
            slow, missing, head = client.get("/large"), client.get("/missing"), client.get("/large", "HEAD")
            # A stream that its client does not take stops no other, and costs no memory.
            client.until(lambda: {missing, head} <= client.ended, lambda stream: stream != slow)
            assert client.heads[missing][":status"] == "404" and client.bodies[head] == b""
            assert int(client.heads[head]["content-length"]) == SIZE
            other = client.get("/small")
            client.until(lambda: other in client.ended, lambda stream: stream != slow)
            assert client.bodies[other] == b"small\n" and len(client.bodies[slow]) < 1024 * 1024
            client.reset(slow)
            large = client.get("/large")
            assert hashlib.sha256(client.answer(large)[1]).hexdigest() == digest
            client.close()
            assert "EOS_SANITIZE" in os.environ or proxy.memory_kib() < before + 8 * 1024
            end(nghttpd)
            wait_for("failed checks", lambda: 'proxy_upstream_healthy{route="r0"} 0' in proxy.metrics())
            assert proxy.ask("GET", "/small")[0] == 503
        finally:
            if proxy is not None:
                proxy.stop()
            end(nghttpd)

    def passes_resets_on(self):
        seen = []

        def handle(session, event):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[":path"]
                if path == "/never":
                    return session.reset_stream(event.stream_id, 2)
                session.send_headers(event.stream_id, [(":status", "200")])
                session.send_data(event.stream_id, b"part")
                if path == "/half":
                    session.reset_stream(event.stream_id, 2)
            elif isinstance(event, h2.events.StreamReset):
                seen.append(event.error_code)
        proxy = self.proxy((NAME, Upstream(speak_http2(handle)).port, HTTP2))
        try:
            client = Http2Client(proxy)
            assert client.answer(client.get("/never"))[0][":status"] == "502"
            half = client.get("/half")
            client.until(lambda: half in client.resets)
            mine = client.get("/mine")
            client.until(lambda: client.bodies[mine] == b"part")
            client.reset(mine)
            wait_for("the client's reset", lambda: seen == [8])
            client.close()
        finally:
            proxy.stop()

    def carries_websockets_over_http2_to_http1(self):
        upstream = Upstream(echo_everything)
        proxy = self.proxy((NAME, upstream.port, ""))
        try:
            client = Http2Client(proxy)
            stream = client.ask(CONNECT, end_stream=False)
            client.until(lambda: stream in client.heads)
            assert client.heads[stream][":status"] == "200" and "sec-websocket-accept" not in client.heads[stream]
            assert upstream.seen[0].startswith(b"GET /chat HTTP/1.1") and b"upgrade: websocket" in upstream.seen[0]
            for size in (1, 16_000):
                had = len(client.bodies[stream])
                client.send(stream, bytes(size))
                client.until(lambda: len(client.bodies[stream]) == had + size)
            client.send(stream, b"", end_stream=True)
            client.until(lambda: stream in client.ended)
            client.close()
        finally:
            proxy.stop()

    def refuses_consent_that_answers_another_key(self):
        def lie(upstream, connection):
            connection.recv(65536)
            accept = base64.b64encode(hashlib.sha1(b"another").digest())
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            connection.recv(1)
        proxy = self.proxy((NAME, Upstream(lie).port, ""))
        try:
            client = Http2Client(proxy)
            stream = client.ask(CONNECT, end_stream=False)
            client.until(lambda: stream in client.heads)
            assert client.heads[stream][":status"] == "502"
            client.close()
        finally:
            proxy.stop()

    def carries_websockets_to_http2_where_it_is_offered(self):
        offered = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
        upstream = Upstream(speak_http2(echo_tunnel, offered))
        without = Upstream(speak_http2(echo_tunnel))
        proxy = self.proxy((NAME, upstream.port, HTTP2), ("without.example.test", without.port, HTTP2))
        try:
            with proxy.connect() as connection:
                connection.sendall(UPGRADE)
                head = connection.recv(65536)
                assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
                connection.sendall(b"frames")
                assert connection.recv(65536) == b"frames"
            client = Http2Client(proxy)
            stream = client.ask(CONNECT, end_stream=False)
            client.until(lambda: stream in client.heads)
            client.send(stream, b"frames")
            client.until(lambda: client.bodies[stream] == b"frames")
            client.send(stream, b"", end_stream=True)
            client.until(lambda: stream in client.ended)
            assert [seen[":protocol"] for seen in upstream.seen] == ["websocket"] * 2, upstream.seen
            client.close()
            with proxy.connect("without.example.test") as connection:
                connection.sendall(UPGRADE.replace(NAME.encode(), b"without.example.test"))
                assert connection.recv(65536).startswith(b"HTTP/1.1 501 ")
        finally:
            proxy.stop()


if __name__ == "__main__":
    run_stages(Stage, {"proxy", "talks_in_turns"})
