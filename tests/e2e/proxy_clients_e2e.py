#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-only
"""What clients hold of a service behind the proxy: no longer than they are there, and no more than their share."""
import socket
import ssl
import threading
import time

from proxy_e2e import NAME, Proxy, Upstream, is_held_back, read_head, request, run_stages
from rig import number_of, wait_for

# Far below the route's response_timeout_s and idle_timeout_s, after which everybody is given up.
AT_ONCE = 20


class Waiting(Upstream):
    """A service that answers when it is told to: nothing, or the beginning of a stream of events."""

    def __init__(self):
        self.go_on, self.asked, self.left = threading.Event(), [], []
        super().__init__(self.wait)

    def wait(self, _, connection):
        while head := read_head(connection):
            path = head.split()[1]
            if path == b"/events":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            self.asked.append(path)
            if path == b"/now" or self.is_told(connection):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                return self.left.append(path)

    def is_told(self, connection):
        """False if the proxy leaves before."""
        connection.settimeout(0.1)
        while not self.go_on.is_set():
            try:
                if connection.recv(1) == b"":
                    return False
            except TimeoutError:
                pass
            except ConnectionError:
                return False
        connection.settimeout(120)
        return True


class TlsByHand:
    """A client whose TLS ends before its transport does."""

    def __init__(self, proxy):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), 120)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_hostname=NAME)
        self.until_done(self.tls.do_handshake)

    def flush(self):
        self.socket.sendall(self.output.read())

    def until_done(self, call):
        while True:
            try:
                result = call()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                self.input.write(data) if data else self.input.write_eof()

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def close_notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:  # for that of the other side
            self.flush()

    def read_to_end(self):
        data = b""
        try:
            while piece := self.until_done(lambda: self.tls.read(65536)):
                data += piece
        except (ssl.SSLError, ConnectionError):
            pass
        return data


class OneLoopProxy(Proxy):
    """Connections to services are divided among event loops, and here there is nothing to divide by."""

    def write(self, upstreams, more=""):
        super().write(upstreams, more)
        self.config.write_text(self.config.read_text().replace("threads: 2", "threads: 1"))


class Stage:
    def __init__(self, bin_folder, work):
        self.bin, self.work = bin_folder, work

    def proxy(self, *upstreams):
        return OneLoopProxy(self.bin, self.work, upstreams)

    def notices_clients_that_leave(self):
        service = Waiting()
        proxy = self.proxy((NAME, service.port, ""))
        try:
            for path, leave in (("/poll", close), ("/events", close), ("/killed", reset), ("/without-notify", cut)):
                connection = proxy.connect()
                connection.sendall(request(NAME, path))
                wait_for("the request", lambda: path.encode() in service.asked)
                if path == "/events":
                    data = b""
                    while b"data: 1" not in data:
                        data += connection.recv(65536)
                leave(connection)
                wait_for(f"the end of {path}", lambda: path.encode() in service.left, AT_ONCE)
            wait_for("their lines", lambda: proxy.text().count("outcome=client_gone") == 4)
        finally:
            proxy.stop()

    def hands_an_upload_on_whose_client_only_stops_sending(self):
        """The client ends while the service takes nothing and the proxy reads no more: all that was sent still arrives."""
        has_ended = threading.Event()

        def late(_, connection):
            data = read_head(connection)
            assert has_ended.wait(60)
            while not data.endswith(b"\r\n0\r\n\r\n"):
                data += connection.recv(1024 * 1024)
            count = b"%d" % data.count(b"#")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(count) + count)

        proxy = self.proxy((NAME, Upstream(late).port, ""))
        try:
            client = TlsByHand(proxy)
            client.send(request(NAME, "/", "Transfer-Encoding: chunked\r\n", "POST"))
            sent = 0
            while not is_held_back(proxy.port):
                client.send(b"4000\r\n" + b"#" * 0x4000 + b"\r\n")
                sent += 0x4000
            client.send(b"0\r\n\r\n")
            client.close_notify()
            has_ended.set()
            answer = client.read_to_end()
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n%d" % sent), (answer, sent)
        finally:
            has_ended.set()
            proxy.stop()

    def notices_who_leaves_behind_an_upload_that_nobody_takes(self):
        service = Upstream(lambda _, connection: read_head(connection) and time.sleep(60))
        proxy = self.proxy((NAME, service.port, ""))
        try:
            connection = proxy.connect()
            connection.sendall(request(NAME, "/", "Content-Length: 100000000\r\n", "POST"))
            while not is_held_back(proxy.port):
                connection.sendall(bytes(0x4000))
            cut(connection)
            wait_for("its line", lambda: "outcome=client_gone" in proxy.text(), AT_ONCE)
        finally:
            proxy.stop()

    def leaves_a_share_for_other_networks(self):
        service = Waiting()
        proxy = self.proxy((NAME, service.port, "      connections: 4\n"))
        try:
            held = [proxy.connect() for _ in range(3)]
            for number, connection in enumerate(held):
                connection.sendall(request(NAME, f"/slow{number}"))
            wait_for("three requests", lambda: len(service.asked) == 3)
            status, body, response = proxy.ask("GET", "/more")
            assert (status, response.getheader("Retry-After")) == (429, "1") and b"your network" in body, (status, body)
            other = proxy.connect(source="127.0.0.2")
            other.sendall(request(NAME, "/now"))
            assert other.recv(65536).startswith(b"HTTP/1.1 200 "), "a newcomer is served"
            metrics = proxy.metrics()
            assert number_of(metrics, 'proxy_requests_total{route="r0",outcome="over_share"}') == 1, metrics
            wait_for("its line", lambda: "status=429 outcome=over_share" in proxy.text())
            close(held.pop())
            wait_for("its end", lambda: len(service.left) == 1, AT_ONCE)
            assert proxy.ask("GET", "/now")[0] == 200, "what is given up counts no more"
            service.go_on.set()
            for connection in held:
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        finally:
            proxy.stop()

    def answers_those_that_only_stop_sending(self):
        service = Waiting()
        proxy = self.proxy((NAME, service.port, ""))
        try:
            client = TlsByHand(proxy)
            client.send(request(NAME, "/poll"))
            client.close_notify()
            wait_for("the request", lambda: service.asked)
            assert proxy.ask("GET", "/now")[0] == 200, "turns have passed"
            assert not service.left
            service.go_on.set()
            assert client.read_to_end().endswith(b"\r\n\r\nok")
        finally:
            proxy.stop()


def close(connection):
    """As most clients do: close_notify and the end of the transport, together."""
    try:
        connection.setblocking(False)
        connection.unwrap()
    except ssl.SSLWantReadError:
        pass
    connection.close()


def cut(connection):
    """As a process that is killed."""
    connection.close()


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


if __name__ == "__main__":
    run_stages(Stage, {"proxy"})
